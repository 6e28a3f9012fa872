package device

import (
	"errors"
	"time"
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"
)

// hwParams is struct snd_pcm_hw_params, by which a program and the kernel agree on what a PCM runs at: the program says what would do, the kernel
// narrows that down to what the card can do (HW_REFINE), and chooses (HW_PARAMS).
type hwParams struct {
	flags     uint32
	masks     [3][8]uint32 // access, format, subformat
	_         [5][8]uint32
	intervals [12]interval // from sampleBits on
	_         [9]interval
	requested uint32
	changed   uint32
	info      uint32
	_         [3]uint32
	_         uint
	_         [64]byte
}

// interval is struct snd_interval.
type interval struct {
	min, max uint32
	flags    uint32
}

const (
	intervalInteger   = 1 << 2
	accessInterleaved = 3       // SNDRV_PCM_ACCESS_RW_INTERLEAVED
	infoNoWakeup      = 1 << 23 // SNDRV_PCM_INFO_NO_PERIOD_WAKEUP
	paramsNoWakeup    = 1 << 2  // SNDRV_PCM_HW_PARAMS_NO_PERIOD_WAKEUP

	sampleBits      = 8 // SNDRV_PCM_HW_PARAM_…
	paramChannels   = 10
	paramRate       = 11
	paramPeriodSize = 13
	paramBufferSize = 17
)

// calmBuffer is what a card without interrupts has for a buffer. Such a card does not stop when it runs dry, but plays on round and round until
// somebody looks. All that was heard up to the last look is silence by then, and so a daemon that is held up is silent, too, for as long
// as the rest of the buffer lasts, and does not stutter.
const calmBuffer = 2 * time.Second

// calm has a playback PCM that was opened at format, channels and rate run without interrupts, which nobody waits for, if its driver can do
// without. It returns the sizes of a period and of the buffer in frames, which are the given ones where it cannot.
func (call kernel) calm(format alsa.PcmFormat, channels, rate, period, buffer int) (int, int, error) {
	set := func(p, b interval, flags uint32) *hwParams {
		h := &hwParams{flags: flags, requested: ^uint32(0)}
		for i, only := range []uint32{accessInterleaved, uint32(format), 0} {
			h.masks[i][only/32] = 1 << (only % 32)
		}
		for i := range h.intervals {
			h.intervals[i].max = ^uint32(0)
		}
		for param, in := range map[int]interval{paramChannels: exactly(channels), paramRate: exactly(rate), paramPeriodSize: p, paramBufferSize: b} {
			h.intervals[param-sampleBits] = in
		}
		return h
	}
	longest := int(framesIn(calmBuffer, rate))
	for ; longest > buffer; longest /= 2 {
		h := set(between(longest/4, longest), between(buffer, longest), paramsNoWakeup)
		err := call(alsa.SNDRV_PCM_IOCTL_HW_REFINE, unsafe.Pointer(h))
		if errors.Is(err, unix.EINVAL) {
			continue
		}
		if err != nil || h.info&infoNoWakeup == 0 {
			return period, buffer, err
		}
		if call(alsa.SNDRV_PCM_IOCTL_HW_PARAMS, unsafe.Pointer(h)) == nil {
			return int(h.intervals[paramPeriodSize-sampleBits].min), int(h.intervals[paramBufferSize-sampleBits].min), nil
		}
		// It is not configured at all now, perhaps for want of memory.
		err = call(alsa.SNDRV_PCM_IOCTL_HW_PARAMS, unsafe.Pointer(set(exactly(period), exactly(buffer), 0)))
		return period, buffer, err
	}
	return period, buffer, nil
}

func exactly(n int) interval         { return between(n, n) }
func between(low, high int) interval { return interval{uint32(low), uint32(high), intervalInteger} }
