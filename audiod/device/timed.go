package device

import (
	"errors"
	"fmt"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// timed is a queue that the clock empties: what null and wav have in place of hardware. It runs at 48 kHz in stereo, from the first
// Write after Open on. It cannot run dry: a writer that is late owes the frames of the time that passed, up to a second of them. One that
// stayed away longer (a stopped process) is forgiven all, or it would have to make up minutes at once.
type timed struct {
	clock   loop.Clock
	open    bool
	running bool
	since   time.Duration // when frame 0 was heard
	written int64         // frames, since then
}

const (
	timedRate   = 48000
	timedBuffer = timedRate / 5
)

var errClosed = errors.New("the device is closed")

func (d *timed) Open() (Config, error) {
	if d.open {
		return Config{}, errors.New("the device is open already")
	}
	d.open, d.running, d.written = true, false, 0
	return Config{Rate: timedRate, Channels: pcm.StereoMap, Buffer: timedBuffer, Hardware: fmt.Sprintf("float32le 2ch %dHz", timedRate)}, nil
}

func (d *timed) Queued() (int, error) {
	if !d.open {
		return 0, errClosed
	}
	if !d.running {
		return 0, nil
	}
	now := d.clock.Now()
	q := d.written - framesIn(now-d.since, timedRate)
	if q < -timedRate {
		d.since, d.written, q = now, 0, 0
	}
	return int(q), nil
}

// room is how many of the given samples fit, in frames.
func (d *timed) room(samples int) (int, error) {
	q, err := d.Queued()
	return min(samples/2, timedBuffer-q), err
}

// took adds n frames to the queue, and sets it off.
func (d *timed) took(n int) {
	if n > 0 && !d.running {
		d.running, d.since = true, d.clock.Now()
	}
	d.written += int64(n)
}

func (d *timed) Write(frames []float32) (int, error) {
	n, err := d.room(len(frames))
	if err != nil {
		return 0, err
	}
	d.took(n)
	return n, nil
}

func (d *timed) Close() error {
	d.open, d.running = false, false
	return nil
}

func (d *timed) Stats() Stats { return Stats{} }

// framesIn is the number of whole frames that fit in t at rate frames per second, for any t that is not negative.
func framesIn(t time.Duration, rate int) int64 {
	return int64(t/time.Second)*int64(rate) + int64(t%time.Second)*int64(rate)/int64(time.Second)
}
