package bridge

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/mixer"
)

// stall has time go by for both sides while nothing passes between them: what the server says meanwhile comes after what is written here.
func (d *desktop) stall(t time.Duration) {
	d.theirs.Advance(t)
	d.clock.Advance(t)
	d.exchange()
}

// all plays a sound of two seconds, with whatever happens at the given time, and returns how many frames of it were heard.
func (d *desktop) all(sink *mixer.Sink, at time.Duration, happens func()) (heard int) {
	l := d.play(sink)
	for now := time.Duration(0); now < 5*time.Second; now += 5 * time.Millisecond {
		if now == at {
			happens()
		}
		l.wants = min(l.wants, 4*(2*48000-l.at))
		l.feed()
		d.pass(5*time.Millisecond, time.Millisecond)
		for i, x := range d.card.Heard() {
			if i%2 == 0 && x != 0 {
				heard++
			}
		}
	}
	return heard
}

// A stream that ran dry is heard to its end: what was written before the server's word of that came is not taken for heard.
func TestRunsDry(t *testing.T) {
	for at := 1500 * time.Millisecond; at <= 1700*time.Millisecond; at += 20 * time.Millisecond {
		d := newDesktop(t, device.Config{})
		sink := d.bridged("test")
		if heard := d.all(sink, at, func() { d.stall(300 * time.Millisecond) }); heard != 2*48000 || sink.State().Xruns == 0 {
			t.Errorf("after %v nothing came for a while: of 96000 frames %d were heard, %d xruns", at, heard, sink.State().Xruns)
		}
	}
}

// What plays at once, when its user has only just come, waits for the server to make the stream, and is heard from its beginning.
func TestBeginning(t *testing.T) {
	d := newDesktop(t, device.Config{})
	d.pass(20*time.Millisecond, time.Millisecond)
	s := d.link.NewSink("test", "a helper")
	sink := mixer.NewSink(d.clock, s, t.Logf)
	s.OnChange(sink.Renew)
	if heard := d.all(sink, 0, func() { d.stall(time.Second) }); heard != 2*48000 {
		t.Errorf("of 96000 frames %d were heard", heard)
	}
}

// Where the server never makes it, time goes on.
func TestNeverMade(t *testing.T) {
	d := newDesktop(t, device.Config{})
	d.pass(20*time.Millisecond, time.Millisecond)
	s := d.link.NewSink("test", "a helper")
	sink := mixer.NewSink(d.clock, s, t.Logf)
	s.OnChange(sink.Renew)
	l := d.play(sink)
	for range 300 {
		l.feed()
		d.clock.Advance(10 * time.Millisecond)
	}
	if got := l.at; got < 2*48000+24000 || got > 3*48000 { // it asks for much at a time
		t.Errorf("in three seconds %d frames were taken, two seconds of which are buffered", got)
	}
}
