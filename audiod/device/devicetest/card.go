// Package devicetest is how devices, and what is built on them, are tested: a Card that plays into memory on a clock moved by hand,
// and Conformance, the suite that every device must pass.
//
//	clock := new(loop.Hand)
//	card := devicetest.New(clock, device.Config{})        // 48 kHz stereo, 200 ms buffer, 10 ms margin
//	m := mixer.New(clock, card, …)
//	clock.Advance(time.Second)                            // the mixer's timers fire, the card plays
//	sound := card.Heard()                                 // the very frames that were heard in that second
package devicetest

import (
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// Card is a device.Sink that behaves as a sound card does: a buffer that plays from the first Write on, runs dry when its writer is
// late, and then stays silent until it is written again. Its time is the hand clock's, so its position is exact: it plays
// frame n at precisely n/rate after it started.
type Card struct {
	clock  *loop.Hand
	config device.Config
	refuse error
	gone   bool
	open   bool
	opens  int
	stats  device.Stats
	ahead  int64

	ring            []float32     // the buffer: config.Buffer frames
	written, played int64         // frames since Open
	running         bool          // false before the first Write and after an xrun
	since           time.Duration // when frame base was heard, or would have been
	base            int64
	dry             bool          // silent since an xrun…
	dryAt           time.Duration // …that happened then

	heard, lent []float32
}

// New makes a closed card. Zero fields of c become 48000 frames per second, stereo, a Buffer of 200 ms, a Margin of 10 ms and no Linger.
func New(clock *loop.Hand, c device.Config) *Card {
	if c.Rate == 0 {
		c.Rate = 48000
	}
	if c.Channels == nil {
		c.Channels = pcm.StereoMap
	}
	if c.Buffer == 0 {
		c.Buffer = c.Rate / 5
	}
	if c.Margin == 0 {
		c.Margin = c.Rate / 100
	}
	if c.Hardware == "" {
		c.Hardware = fmt.Sprintf("float32le %dch %dHz", len(c.Channels), c.Rate)
	}
	frame := len(c.Channels)
	return &Card{clock: clock, config: c, ring: make([]float32, c.Buffer*frame), heard: make([]float32, 0, 2*c.Rate*frame), lent: make([]float32, 0, 2*c.Rate*frame)}
}

// Heard returns, interleaved, what was heard since the last call of Heard, the silence of xruns included: so while the card is open,
// frame follows frame at exactly 1/rate from the first Write on. The slice is good until the next but one call. As long as it is called at
// least every two seconds of the clock, recording allocates nothing.
func (c *Card) Heard() []float32 {
	c.advance()
	out := c.heard
	c.heard, c.lent = c.lent[:0], out
	return out
}

// Xrun makes the card run dry now: what is queued is lost, and silence is heard until the next Write.
func (c *Card) Xrun() {
	c.advance()
	if c.running {
		c.written = c.played
		c.stop(c.clock.Now())
	}
}

// Unplug makes every Open, Write and Queued fail with device.ErrGone from now on; what was queued is not heard.
func (c *Card) Unplug() {
	c.advance()
	c.gone, c.running, c.dry = true, false, false
}

// Plug undoes Unplug. The card must be opened anew.
func (c *Card) Plug() { c.gone = false }

// Hurry has the card play half as fast again whenever it starts, until it is n frames ahead of the time: cards that fill stages of
// their own behind the buffer look like that.
func (c *Card) Hurry(n int) { c.ahead = int64(n) }

// Refuse makes every Open fail with err, as a card does that another program holds; nil ends that.
func (c *Card) Refuse(err error) { c.refuse = err }

// IsOpen tells whether the card is open now; Opens how often it was opened since New.
func (c *Card) IsOpen() bool { return c.open }
func (c *Card) Opens() int   { return c.opens }

// Position is the number of written frames heard since Open, and Written the number written: what lies between is Queued.
func (c *Card) Position() int64 { c.advance(); return c.played }
func (c *Card) Written() int64  { return c.written }

func (c *Card) Name() string        { return "hand" }
func (c *Card) Description() string { return "Card ticked by hand" }
func (c *Card) Stats() device.Stats { c.advance(); return c.stats }

func (c *Card) Open() (device.Config, error) {
	switch {
	case c.open:
		return device.Config{}, fmt.Errorf("open a card that is open")
	case c.gone:
		return device.Config{}, fmt.Errorf("open hand: %w", device.ErrGone)
	case c.refuse != nil:
		return device.Config{}, c.refuse
	}
	c.open = true
	c.opens++
	c.written, c.played, c.running, c.dry = 0, 0, false, false
	return c.config, nil
}

func (c *Card) Close() error {
	c.advance()
	c.open, c.running, c.dry = false, false, false
	return nil
}

func (c *Card) Write(frames []float32) (int, error) {
	if err := c.usable("write"); err != nil {
		return 0, err
	}
	channels := len(c.config.Channels)
	n := min(len(frames)/channels, c.config.Buffer-int(c.written-c.played))
	if n == 0 {
		return 0, nil
	}
	at := int(c.written%int64(c.config.Buffer)) * channels
	k := copy(c.ring[at:], frames[:n*channels])
	copy(c.ring, frames[k:n*channels])
	c.clip(at, n*channels)
	c.written += int64(n)
	if !c.running {
		c.start()
	}
	return n, nil
}

func (c *Card) Queued() (int, error) {
	if err := c.usable("queued"); err != nil {
		return 0, err
	}
	return int(c.written - c.played), nil
}

// Rewind implements device.Rewinder.
func (c *Card) Rewind(frames int) (int, error) {
	if err := c.usable("rewind"); err != nil {
		return 0, err
	}
	n := max(0, min(frames, int(c.written-c.played)-c.config.Margin))
	c.written -= int64(n)
	return n, nil
}

func (c *Card) usable(what string) error {
	c.advance()
	if c.gone {
		return fmt.Errorf("%s: %w", what, device.ErrGone)
	}
	if !c.open {
		return fmt.Errorf("%s: the card is closed", what)
	}
	return nil
}

// clip holds n samples of the ring from at on to full scale, as every sink must.
func (c *Card) clip(at, n int) {
	for i := range n {
		s := &c.ring[(at+i)%len(c.ring)]
		*s = max(-1, min(1, *s))
	}
}

func (c *Card) start() {
	now := c.clock.Now()
	if c.dry {
		silence := c.frames(now - c.dryAt)
		c.heard = slices.Grow(c.heard, int(silence)*len(c.config.Channels))
		for range int(silence) * len(c.config.Channels) {
			c.heard = append(c.heard, 0)
		}
	}
	c.running, c.dry, c.since, c.base = true, false, now, c.played
}

func (c *Card) stop(at time.Duration) {
	c.running, c.dry, c.dryAt = false, true, at
	c.stats.Xruns++
}

// advance plays up to the clock's time.
func (c *Card) advance() {
	if !c.running {
		return
	}
	due := c.frames(c.clock.Now() - c.since)
	due += c.base + min(due/2, c.ahead)
	for end := min(due, c.written); c.played < end; {
		channels := len(c.config.Channels)
		at := int(c.played % int64(c.config.Buffer))
		n := min(c.config.Buffer-at, int(end-c.played))
		c.heard = append(c.heard, c.ring[at*channels:(at+n)*channels]...)
		c.played += int64(n)
	}
	if due >= c.written {
		c.stop(min(c.clock.Now(), c.since+time.Duration(c.written-c.base)*time.Second/time.Duration(c.config.Rate)))
	}
}

func (c *Card) frames(d time.Duration) int64 {
	return int64(d/time.Second)*int64(c.config.Rate) + int64(d%time.Second)*int64(c.config.Rate)/int64(time.Second)
}
