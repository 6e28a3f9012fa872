package mixer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
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

// TestDrainsAtACardThatComesSoon moves what is left of a stream to a card that is only being opened: its end is told when the time of it is over there.
func TestDrainsAtACardThatComesSoon(t *testing.T) {
	b := newBench(t, device.Config{})
	card2, sink2 := b.second(device.Config{})
	card2.Refuse(device.ErrSoon)
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
	p.frames = 48000
	b.run(950 * time.Millisecond)
	p.in.Drain()
	b.run(30 * time.Millisecond)
	p.in.Move(sink2)
	b.run(time.Second)
	if p.drained != 0 {
		t.Fatal("drained where nothing plays yet")
	}
	card2.Refuse(nil)
	sink2.Retry()
	b.run(time.Second)
	if p.drained != 1 || card2.IsOpen() {
		t.Errorf("drained %d times, the card is open: %v", p.drained, card2.IsOpen())
	}
}

// TestDrainsWhatWasDropped lets a device go that was playing the last of a stream: the stream has ended with that, also where nobody opens the device again.
func TestDrainsWhatWasDropped(t *testing.T) {
	for name, letGo := range map[string]func(b *bench){
		"another is being opened": func(b *bench) {
			b.card.Refuse(device.ErrSoon)
			b.sink.Retry()
			b.run(50 * time.Millisecond)
			b.card.Refuse(nil)
			b.sink.Retry()
		},
		"suspended": func(b *bench) {
			b.sink.Suspend(true)
			b.run(50 * time.Millisecond)
			b.sink.Suspend(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, device.Config{})
			p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
			p.frames = 48000
			b.run(950 * time.Millisecond)
			p.in.Drain()
			for range 100 {
				if b.run(time.Millisecond); !p.in.running {
					break
				}
			}
			if p.in.running || p.drained != 0 {
				t.Fatalf("it is still mixed: %v, drained %d times", p.in.running, p.drained)
			}
			letGo(b)
			b.run(time.Second)
			if p.drained != 1 || b.card.IsOpen() {
				t.Errorf("drained %d times, the card is open: %v", p.drained, b.card.IsOpen())
			}
		})
	}
}

// TestClosedBeforeItIsOpen ends a sink whose card is being opened.
func TestClosedBeforeItIsOpen(t *testing.T) {
	b := newBench(t, device.Config{})
	b.card.Refuse(device.ErrSoon)
	b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(20 * time.Millisecond)
	b.sink.Close()
	b.card.Refuse(nil)
	b.sink.Retry()
	if b.card.Opens() != 1 || b.clock.Timers() != 0 { // the one is NewSink's
		t.Errorf("opened %d times, %d timers", b.card.Opens(), b.clock.Timers())
	}
}

// TestMonitorOfACardThatComesSoon listens from before a card is opened: to silence until it is, and then to all that it plays.
func TestMonitorOfACardThatComesSoon(t *testing.T) {
	b := newBench(t, device.Config{})
	m := record(t, NewMonitor(b.sink, nil), OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Attr: RecordAttr{Whatever, 1920 * 4}, Latency: AdjustLatency})
	b.card.Refuse(device.ErrSoon)
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
	p.frames = 24000
	b.run(200 * time.Millisecond)
	b.card.Refuse(nil)
	b.sink.Retry()
	b.run(time.Second)
	heard := m.samples(0)
	if n := len(heard); n < 48000*115/100 || n > 48000*12/10 {
		t.Errorf("%d frames in 1.2 s", n)
	}
	played := sound(heard)
	if before := slices.IndexFunc(heard, func(x float32) bool { return x != 0 }); len(played) < 24000 || before < 48000*195/1000 || before > 48000*22/100 {
		t.Fatalf("%d frames of sound, the first at %d", len(played), before)
	}
	wantFrames(t, played[:24000], 0, 24000)
}

// TestRecordsFromACardThatComesSoon waits for a microphone, at first and when it has failed, and for nothing once nobody records any more.
func TestRecordsFromACardThatComesSoon(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(n int64) float32 { return float32(value(int(n))) / 32768 }
	s.mic.Refuse(device.ErrSoon)
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(100 * time.Millisecond)
	if len(p.got) > 0 || s.clock.Timers() != 0 {
		t.Fatalf("%d bytes recorded, %d timers before there is a microphone", len(p.got), s.clock.Timers())
	}
	s.mic.Refuse(nil)
	s.src.Renew()
	s.clock.Advance(2 * time.Second)
	h := p.samples(0)
	wantFrames(t, h, int(s.mic.Opened()), len(h))
	if len(h) < 48000*19/10 {
		t.Errorf("%d frames in 2 s", len(h))
	}
	s.mic.Refuse(device.ErrSoon)
	s.mic.Unplug()
	s.clock.Advance(200 * time.Millisecond)
	s.mic.Plug()
	p.out.Close()
	s.clock.Advance(200 * time.Millisecond)
	if n := s.clock.Timers(); n != 0 || s.mic.IsOpen() {
		t.Errorf("%d timers when nobody records any more", n)
	}
	s.mic.Refuse(nil)
	if s.src.Renew(); s.mic.IsOpen() {
		t.Error("the microphone is opened for nobody")
	}
}
