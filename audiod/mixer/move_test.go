package mixer

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/pcm"
)

// second adds another card and sink to a bench, on the same clock.
func (b *bench) second(c device.Config) (*devicetest.Card, *Sink) {
	card := devicetest.New(b.clock, c)
	return card, NewSink(b.clock, card, b.t.Logf)
}

// played is the client's reckoning of what has been heard, in time: never less than before, as libpulse makes sure of.
func played(in *Input, before time.Duration) time.Duration {
	t := in.Timing()
	return max(before, in.Spec().Duration(t.ReadIndex)-t.Latency)
}

// A stream goes from card to card, of other rates too, at awkward moments: each frame is heard once, and the client's clock neither leaps nor runs
// backwards.
func TestMove(t *testing.T) {
	for _, c := range []struct {
		busy  bool
		cards device.Config
	}{{false, device.Config{}}, {true, device.Config{}}, {false, deep}, {true, deep}} {
		busy, b := c.busy, newBench(t, c.cards)
		card2, sink2 := b.second(c.cards)
		if busy { // where something plays already, more has been rendered than the newcomer left behind
			in, err := sink2.NewInput(InputOptions{Spec: stereo16(48000), Map: pcm.StereoMap, Attr: BufferAttr{Whatever, Whatever, 0, Whatever}}, &player{t: t})
			if err != nil {
				t.Fatal(err)
			}
			in.Missing()
			in.Start()
		}
		p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
		first, total := 0, 0
		count := func(h []float32) (n int) {
			for i := 0; i < len(h); i += 2 {
				if h[i] != 0 {
					n++
				}
			}
			return n
		}
		position := time.Duration(0)
		moves := 0
		for ms := range 3000 {
			p.feed()
			b.clock.Advance(time.Millisecond)
			first += count(b.card.Heard())
			total += count(card2.Heard())
			now := played(p.in, position)
			stalled := now == position && moves == 0 && ms > 300
			if d := now - position; d < -time.Microsecond || d > 2*time.Millisecond && ms > 0 || stalled {
				t.Fatalf("busy %v, %d ms, after %d moves: the clock went from %v to %v", busy, ms, moves, position, now)
			}
			position = now
			if ms%137 == 136 {
				to := sink2
				if moves++; moves%2 == 0 {
					to = b.sink
				}
				p.in.Move(to)
				if now := played(p.in, position); now < position || now > position+25*time.Microsecond { // one frame of rounding
					t.Fatalf("busy %v: the move makes %v of %v", busy, now, position)
				}
			}
		}
		want := int(position * 48 / time.Millisecond)
		if got := first + total - 480*moves; got < want-48*moves || got > want+48 { // of a fade's frames, heard twice, some are rounded to nothing
			t.Errorf("busy %v: %d frames were heard of %d", busy, got, want)
		}
		if position < 2500*time.Millisecond {
			t.Errorf("busy %v: after 3 s and %d moves %v have been played", busy, moves, position)
		}
		p.in.Close()
		b.clock.Advance(time.Second)
		if b.card.IsOpen() || len(b.sink.Inputs()) != 0 || busy != card2.IsOpen() {
			t.Error("something is left behind")
		}
	}
}

// Neither card clicks, whatever the rates are.
func TestMoveDoesNotClick(t *testing.T) {
	for _, rate := range []int{48000, 44100} {
		b := newBench(t, device.Config{})
		card2, sink2 := b.second(device.Config{Rate: rate})
		in := steady(t, b, InputOptions{Spec: stereo16(48000)})
		b.last(200 * time.Millisecond)
		in.Move(sink2)
		var left, come []float32
		for range 20 {
			b.clock.Advance(10 * time.Millisecond)
			left, come = append(left, b.card.Heard()...), append(come, card2.Heard()...)
		}
		for name, h := range map[string][]float32{"the card it leaves": left, "the card it comes to": come} {
			for i := 2; i < len(h); i++ {
				if d := h[i] - h[i-2]; d > 0.0015 || d < -0.0015 {
					t.Fatalf("%d Hz: %s makes a step of %v", rate, name, d)
				}
			}
		}
		if left[len(left)-1] != 0 || !near(come[len(come)-1], 0.5) {
			t.Errorf("%d Hz: in the end %v is heard there and %v here", rate, left[len(left)-1], come[len(come)-1])
		}
	}
}

// A stream that has played out but for what the old card still has is drained all the same.
func TestMoveWhileDraining(t *testing.T) {
	b := newBench(t, device.Config{})
	_, sink2 := b.second(device.Config{Rate: 44100})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true})
	p.in.Write(make([]byte, 4*4800))
	p.in.Cork(false)
	if p.in.Drain() {
		t.Fatal("drained before it was heard")
	}
	b.clock.Advance(60 * time.Millisecond)
	p.in.Move(sink2)
	if p.drained != 0 {
		t.Fatal("drained too early")
	}
	b.clock.Advance(time.Second)
	if p.drained != 1 {
		t.Errorf("drained %d times", p.drained)
	}
	if n := b.clock.Timers(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// Streams that play together move together, and are together to the frame where they come.
func TestMoveTogether(t *testing.T) {
	b := newBench(t, device.Config{})
	_, sink2 := b.second(device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	q := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Sync: p.in})
	b.run(300 * time.Millisecond)
	q.in.Move(sink2)
	b.run(300 * time.Millisecond)
	if len(b.sink.Inputs()) != 0 || len(sink2.Inputs()) != 2 {
		t.Errorf("%d are left, %d have come", len(b.sink.Inputs()), len(sink2.Inputs()))
	}
	if a, b := p.in.Timing(), q.in.Timing(); a.ReadIndex != b.ReadIndex || a.Latency != b.Latency || !a.Playing {
		t.Errorf("%+v beside %+v", a, b)
	}
}

func TestSuspend(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(300 * time.Millisecond)
	b.sink.Suspend(true)
	if b.card.IsOpen() || !b.sink.State().Suspended {
		t.Fatal("the card is held")
	}
	before := p.in.Timing()
	b.run(300 * time.Millisecond)
	if after := p.in.Timing(); after.ReadIndex != before.ReadIndex || after.Playing {
		t.Errorf("while suspended it went from %+v to %+v", before, after)
	}
	late := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(100 * time.Millisecond)
	if late.started != 0 || b.card.IsOpen() {
		t.Error("a suspended sink plays")
	}
	b.sink.Suspend(false)
	b.run(300 * time.Millisecond)
	if after := p.in.Timing(); !after.Playing || after.ReadIndex <= before.ReadIndex || len(p.underrun) != 0 || late.started != 1 {
		t.Errorf("afterwards: %+v, %d underruns, the new one started %d times", after, len(p.underrun), late.started)
	}
}
