package device

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// pcmState is a playback PCM as the kernel has it, with a buffer of size frames of which the test says when they are heard.
type pcmState struct {
	state       alsa.PcmState
	size        int
	appl, hw    int
	moved       time.Duration // when hw last did
	prepared    int
	unpluggable error // what every call says once the card is gone
}

func (k *pcmState) call(request uintptr, arg unsafe.Pointer) error {
	if k.unpluggable != nil {
		return k.unpluggable
	}
	switch request {
	case alsa.SNDRV_PCM_IOCTL_PREPARE:
		k.state, k.appl, k.hw = alsa.SNDRV_PCM_STATE_PREPARED, 0, 0
		k.prepared++
	case alsa.SNDRV_PCM_IOCTL_STATUS:
		s := (*pcmStatus)(arg)
		*s = pcmStatus{state: k.state, tstamp: unix.NsecToTimespec(int64(k.moved)), delay: k.appl - k.hw, avail: uint(k.size - (k.appl - k.hw))}
	case alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES:
		x := (*xferi)(arg)
		switch k.state {
		case alsa.SNDRV_PCM_STATE_XRUN:
			return unix.EPIPE
		case alsa.SNDRV_PCM_STATE_SUSPENDED:
			return unix.ESTRPIPE
		}
		x.result = min(int(x.frames), k.size-(k.appl-k.hw))
		if x.result == 0 {
			return unix.EAGAIN
		}
		k.appl += x.result
		k.state = alsa.SNDRV_PCM_STATE_RUNNING
	case pcmRewind:
		n := (*uint)(arg)
		*n = uint(min(int(*n), k.appl-k.hw))
		k.appl -= int(*n)
	default:
		return unix.ENOTTY
	}
	return nil
}

// openFake is a player with a buffer of 9600 frames on a card with one of size.
func openFake(t *testing.T, size int) (*player, *pcmState, *loop.Hand) {
	t.Helper()
	k, clock := &pcmState{state: alsa.SNDRV_PCM_STATE_PREPARED, size: size}, new(loop.Hand)
	p := &player{card{clock: clock, at: address{"Fake", 0, false}, controlled: uncontrolled, substream: substream{handle: new(alsa.PCM), kernel: k.call, format: pcm.S16LE,
		bytes: make([]byte, 9600*4), size: size, config: Config{Rate: 48000, Channels: pcm.StereoMap, Buffer: 9600}}}}
	p.fresh()
	return p, k, clock
}

func TestRecovery(t *testing.T) {
	for name, c := range map[string]struct {
		state alsa.PcmState
		xruns uint64
	}{"ran dry": {alsa.SNDRV_PCM_STATE_XRUN, 1}, "the machine slept": {alsa.SNDRV_PCM_STATE_SUSPENDED, 0}} {
		for _, noticed := range []string{"write", "queued"} {
			p, k, clock := openFake(t, 96000)
			frames := make([]float32, 2*4800)
			if n, err := p.Write(frames); n != 4800 || err != nil {
				t.Fatal(n, err)
			}
			clock.Advance(50 * time.Millisecond)
			k.hw += 2400
			if _, err := p.Queued(); err != nil {
				t.Fatal(err)
			}
			k.state = c.state
			clock.Advance(time.Hour)
			if noticed == "queued" {
				if q, err := p.Queued(); q != 0 || err != nil {
					t.Errorf("%s: queued %d, %v", name, q, err)
				}
			}
			if n, err := p.Write(frames); n != 4800 || err != nil {
				t.Errorf("%s, noticed by %s: wrote %d, %v", name, noticed, n, err)
			}
			q, err := p.Queued()
			if q != 4800 || err != nil || k.state != alsa.SNDRV_PCM_STATE_RUNNING || k.prepared != 1 || p.Stats().Xruns != c.xruns {
				t.Errorf("%s, noticed by %s: queued %d, %v; state %d, prepared %d times, %d xruns", name, noticed, q, err, k.state, k.prepared, p.Stats().Xruns)
			}
		}
	}
}

// What is taken back from a card counts as never written. What it may be fetching stays.
func TestRewind(t *testing.T) {
	p, k, clock := openFake(t, 96000)
	if n, err := p.Rewind(480); n != 0 || err != nil {
		t.Errorf("before anything is written: %d, %v", n, err)
	}
	p.Write(make([]float32, 2*9600))
	clock.Advance(50 * time.Millisecond)
	k.hw, k.moved = 2400, clock.Now()
	if n, err := p.Rewind(4800); n != 4800 || err != nil || k.appl != 4800 {
		t.Errorf("taken back %d, %v; %d are written", n, err, k.appl)
	}
	if q, err := p.Queued(); q != 2400 || err != nil {
		t.Errorf("queued %d, %v", q, err)
	}
	if n, err := p.Write(make([]float32, 2*9600)); n != 9600-2400 || err != nil {
		t.Errorf("took %d then, %v", n, err)
	}
	p.config.Margin = 480
	if n, err := p.Rewind(1 << 20); n != 9600-480 || err != nil {
		t.Errorf("taken back all that may be %d, %v", n, err)
	}
	if n, err := p.Rewind(1 << 20); n != 0 || err != nil {
		t.Errorf("taken back of the rest %d, %v", n, err)
	}
	k.unpluggable = unix.ENODEV
	if _, err := p.Rewind(1); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

func TestNoRecovery(t *testing.T) {
	for name, c := range map[string]struct {
		state alsa.PcmState
		fail  error
	}{"unplugged": {alsa.SNDRV_PCM_STATE_DISCONNECTED, unix.ENODEV}, "taken away": {alsa.SNDRV_PCM_STATE_OPEN, unix.EBADFD}, "cannot be prepared": {alsa.SNDRV_PCM_STATE_XRUN, unix.EIO}} {
		p, k, _ := openFake(t, 9600)
		p.Write(make([]float32, 2*480))
		k.state, k.unpluggable = c.state, c.fail
		if _, err := p.Write(make([]float32, 2*480)); !errors.Is(err, ErrGone) {
			t.Errorf("%s: write: %v", name, err)
		}
		if _, err := p.Queued(); !errors.Is(err, ErrGone) {
			t.Errorf("%s: queued: %v", name, err)
		}
	}
}

func TestFullAndStuck(t *testing.T) {
	for _, size := range []int{9600, 96000} {
		p, _, clock := openFake(t, size)
		frames := make([]float32, 2*96000)
		if n, err := p.Write(frames); n != 9600 || err != nil {
			t.Errorf("an empty card took %d, %v", n, err)
		}
		if n, err := p.Write(frames); n != 0 || err != nil {
			t.Errorf("a full card took %d, %v", n, err)
		}
		var err error
		for range 50 {
			clock.Advance(100 * time.Millisecond)
			if _, err = p.Queued(); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrGone) {
			t.Errorf("a card that does not move for 5 s: %v", err)
		}
	}
}

// A card is rid of its interrupts only if its driver can do without, and only with as long a buffer as it has; whatever happens it is configured.
func TestCalm(t *testing.T) {
	for name, c := range map[string]struct {
		info    uint32 // of the driver
		longest int    // buffer it can have
		memory  int    // frames of it that there are
		want    int
	}{
		"a driver that cannot":    {0, 1 << 20, 1 << 20, 9600},
		"one that can":            {infoNoWakeup, 1 << 20, 1 << 20, 96000},
		"with half the buffer":    {infoNoWakeup, 50000, 1 << 20, 48000},
		"with a buffer too short": {infoNoWakeup, 10000, 1 << 20, 9600},
		"without memory for more": {infoNoWakeup, 1 << 20, 20000, 9600},
	} {
		configured, calm := 0, false
		call := kernel(func(request uintptr, arg unsafe.Pointer) error {
			h := (*hwParams)(arg)
			b := &h.intervals[paramBufferSize-sampleBits]
			if b.max = min(b.max, uint32(c.longest)); b.min > b.max || h.masks[0][0] != 1<<accessInterleaved || h.intervals[paramRate-sampleBits].min != 48000 {
				return unix.EINVAL
			}
			h.info = c.info
			if request != alsa.SNDRV_PCM_IOCTL_HW_PARAMS {
				return nil
			}
			if configured = 0; int(b.max) > c.memory {
				return unix.ENOMEM
			}
			if b.max -= b.max % h.intervals[paramPeriodSize-sampleBits].min; b.max < b.min {
				return unix.EINVAL
			}
			b.min, configured, calm = b.max, int(b.max), h.flags&paramsNoWakeup != 0
			return nil
		})
		period, size, err := call.calm(alsa.SNDRV_PCM_FORMAT_S16_LE, 2, 48000, 960, 9600)
		if size != c.want || err != nil || configured != 0 && configured != size || size > 9600 && (configured != size || !calm || period > size/2) {
			t.Errorf("%s: period %d, buffer %d, %v; configured to %d, calm %v", name, period, size, err, configured, calm)
		}
	}
}
