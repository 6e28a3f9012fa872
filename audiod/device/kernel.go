package device

import (
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"
)

// The calls of the kernel's PCM interface (include/uapi/sound/asound.h) that are made while sound plays, or that gen2brain/alsa
// has no words for. Its Write takes any slice by reflection, which allocates, and repeats what was not accepted; its Timestamp
// lacks the delay of what is on its way in the hardware. A C long is a Go int on Linux.

// xferi is struct snd_xferi: the argument of WRITEI_FRAMES and READI_FRAMES.
type xferi struct {
	result int
	buf    unsafe.Pointer
	frames uint
}

// pcmStatus is struct snd_pcm_status.
type pcmStatus struct {
	state               alsa.PcmState
	trigger, tstamp     unix.Timespec
	applPtr, hwPtr      uint
	delay               int  // frames written and not heard, or captured and not read
	avail               uint // frames that may be written, or read
	availMax, overrange uint
	suspendedState      alsa.PcmState
	audioTstampData     uint32
	audio, driver       unix.Timespec
	audioAccuracy       uint32
	_                   [52 - 2*unsafe.Sizeof(unix.Timespec{})]byte
}

// swParams is struct snd_pcm_sw_params.
type swParams struct {
	tstampMode       int32
	periodStep       uint32
	sleepMin         uint32
	availMin         uint
	xferAlign        uint
	startThreshold   uint
	stopThreshold    uint
	silenceThreshold uint
	silenceSize      uint
	boundary         uint
	proto            uint32
	tstampType       uint32
	_                [56]byte
}

const (
	pcmRewind = 1<<30 | unsafe.Sizeof(uint(0))<<16 | 'A'<<8 | 0x46 // SNDRV_PCM_IOCTL_REWIND: _IOW('A', 0x46, snd_pcm_uframes_t)

	tstampEnable    = 1          // SNDRV_PCM_TSTAMP_ENABLE
	tstampMonotonic = 1          // SNDRV_PCM_TSTAMP_TYPE_MONOTONIC
	protoTstampType = 2<<16 | 12 // SNDRV_PROTOCOL_VERSION(2, 0, 12), the first in which tstampType counts
)

// ioctl repeats what a signal interrupts: Go's runtime sends its threads SIGURG at any time.
func ioctl(fd uintptr, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// kernel makes one call about an open PCM.
type kernel func(request uintptr, arg unsafe.Pointer) error

// pcmKernel is the kernel's own. Those calls that are made while sound plays do not wait, on a non-blocking descriptor, and so Go's scheduler is
// not told of them: it would have its monitor thread look after each.
func pcmKernel(fd uintptr) kernel {
	return func(request uintptr, arg unsafe.Pointer) error {
		switch request {
		case alsa.SNDRV_PCM_IOCTL_STATUS, alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES, alsa.SNDRV_PCM_IOCTL_READI_FRAMES:
			for {
				switch _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, request, uintptr(arg)); errno {
				case 0:
					return nil
				case unix.EINTR:
				default:
					return errno
				}
			}
		}
		return ioctl(fd, request, arg)
	}
}

// setTiming has the card start with the first frame written, stop as soon as it runs dry or full, and play silence rather than old sound
// until that is noticed (silence of a whole boundary: the kernel fills whatever is free). It never wakes anybody: nobody waits for it.
func setTiming(call kernel, buffer int) error {
	p := swParams{tstampMode: tstampEnable, periodStep: 1, availMin: uint(buffer), xferAlign: 1, startThreshold: 1, stopThreshold: uint(buffer),
		proto: protoTstampType, tstampType: tstampMonotonic}
	if err := call(alsa.SNDRV_PCM_IOCTL_SW_PARAMS, unsafe.Pointer(&p)); err != nil { // tells the boundary
		return err
	}
	p.silenceSize, p.availMin = p.boundary, p.boundary
	return call(alsa.SNDRV_PCM_IOCTL_SW_PARAMS, unsafe.Pointer(&p))
}
