package mixer

import (
	"fmt"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
)

// TestWaitsForAnAnswer opens a card that must be asked for first: a stream waits, and not a frame of it is lost, whether the card is had in the end, is
// another's, or is taken away.
func TestWaitsForAnAnswer(t *testing.T) {
	b := newBench(t, device.Config{Linger: time.Second})
	soon := fmt.Errorf("hand: %w", device.ErrSoon)
	b.card.Refuse(soon)
	b.sink.Retry()
	if b.card.Opens() != 1 || b.clock.Timers() != 0 {
		t.Fatal("a sink on which nothing plays tried its card again")
	}
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
	p.frames = 2 * 48000
	b.run(20 * time.Millisecond)
	if at := p.in.Timing(); at.Playing || at.ReadIndex != 0 || p.started != 0 {
		t.Fatalf("it plays before there is an answer: %+v", at)
	}
	b.sink.Retry()
	b.run(20 * time.Millisecond)
	b.card.Refuse(nil)
	b.sink.Retry()
	b.run(500 * time.Millisecond)
	if st := b.sink.State(); p.started != 1 || st.Device != "hand" || st.Trouble != "" {
		t.Fatalf("started %d times on %+v", p.started, st)
	}

	b.card.Refuse(fmt.Errorf("hand: it is reserved by Jack"))
	b.sink.Retry()
	if st := b.sink.State(); st.Device != "null" || st.Trouble != "hand: it is reserved by Jack" || b.card.IsOpen() {
		t.Fatalf("it was to be let go, and plays on %+v", st)
	}
	b.run(300 * time.Millisecond)
	if played(p.in, 0) < 700*time.Millisecond {
		t.Errorf("without the card time stands still at %v", played(p.in, 0))
	}
	b.card.Refuse(soon)
	b.sink.Retry()
	b.run(20 * time.Millisecond)
	b.card.Refuse(nil)
	b.sink.Retry()
	b.run(3 * time.Second)
	if b.card.IsOpen() || b.clock.Timers() != 0 {
		t.Error("it is not closed in the end")
	}
	wantFrames(t, sound(b.heard)[:10000], 0, 10000)
}
