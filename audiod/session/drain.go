package session

import (
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/native"
)

// drainTime is how long a DRAIN is held: libpulse gives a request up after 30 s (pulse/internal.h, DEFAULT_TIMEOUT) and takes it for failed. A
// stream that is corked, or has more than that to play, fails it in time, with the error that libpulse itself would give its program.
const drainTime = 25 * time.Second

// drains are a stream's DRAIN requests that wait until all has been heard, oldest first.
type drains struct {
	held  []held
	timer *loop.Timer // at the oldest one's end
}

type held struct {
	tag   uint32
	until time.Duration
}

func (c *Session) drain(r *request, m *native.ByIndex) error {
	p, err := c.existing(m.Index)
	if err != nil {
		return err
	}
	d := &p.drains
	if len(d.held) >= maxDrains {
		return native.ErrBusy
	}
	if p.input.Drain() {
		return c.reply(r.tag, nil)
	}
	if d.timer == nil {
		d.timer = c.server.clock.NewTimer(p.drainLate)
	}
	d.held = append(d.held, held{r.tag, c.server.clock.Now() + drainTime})
	d.timer.Set(d.held[0].until)
	return nil
}

// drainLate fails the requests whose time is up.
func (p *playback) drainLate() {
	d, now := &p.drains, p.session.server.clock.Now()
	for len(d.held) > 0 && d.held[0].until <= now {
		p.session.refuse(d.held[0].tag, native.ErrTimeout)
		d.held = d.held[1:]
	}
	if len(d.held) > 0 {
		d.timer.Set(d.held[0].until)
	}
}

// Drained is called by the mixer.
func (p *playback) Drained() {
	for _, h := range p.drains.held {
		p.session.reply(h.tag, nil)
	}
	p.drains.end()
}

// undrain tells those that wait that the stream is gone.
func (p *playback) undrain() {
	for _, h := range p.drains.held {
		p.session.refuse(h.tag, native.ErrNoEntity)
	}
	p.drains.end()
}

func (d *drains) end() {
	d.held = nil
	if d.timer != nil {
		d.timer.Stop()
	}
}
