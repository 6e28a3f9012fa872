package device

import (
	"errors"
	"fmt"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// ticking is what a source without hardware has in its place: frames that fall due as time passes, from Open on. A reader that stays away
// for more than a second loses them, as a card would.
type ticking struct {
	clock loop.Clock
	open  bool
	rate  int
	since time.Duration // when frame 0 fell due
	read  int64         // frames, since then
	stats Stats
}

// start opens the source with frames of the given rate and channels.
func (d *ticking) start(rate int, channels pcm.ChannelMap, format pcm.Format) (Config, error) {
	if d.open {
		return Config{}, errors.New("the device is open already")
	}
	d.open, d.rate, d.since, d.read = true, rate, d.clock.Now(), 0
	return Config{Rate: rate, Channels: channels, Buffer: rate, Hardware: fmt.Sprintf("%s %dch %dHz", format, len(channels), rate)}, nil
}

func (d *ticking) Available() (int, error) {
	if !d.open {
		return 0, errClosed
	}
	now := d.clock.Now()
	n := framesIn(now-d.since, d.rate) - d.read
	if n > int64(d.rate) {
		d.stats.Xruns++
		d.since, d.read, n = now, 0, 0
	}
	return int(n), nil
}

// due is how many frames, up to most, can be read now. They count as read.
func (d *ticking) due(most int) (int, error) {
	n, err := d.Available()
	n = min(n, most)
	d.read += int64(n)
	return n, err
}

func (d *ticking) Close() error {
	d.open = false
	return nil
}

func (d *ticking) Stats() Stats { return d.stats }

// silence is a source that keeps time and hears nothing.
type silence struct{ ticking }

func (d *silence) Name() string        { return "null" }
func (d *silence) Description() string { return "Silence" }

func (d *silence) Open() (Config, error) {
	return d.start(timedRate, pcm.StereoMap, pcm.Float32LE)
}

func (d *silence) Read(frames []float32) (int, error) {
	n, err := d.due(len(frames) / 2)
	clear(frames[:2*n])
	return n, err
}
