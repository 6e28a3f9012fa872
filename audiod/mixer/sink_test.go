package mixer

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// A card may take 20 ms more than it plays when it starts. That must neither make it run dry, nor keep it from coming to rest after an xrun.
func TestHurriedStart(t *testing.T) {
	for _, latency := range []time.Duration{maxLatency, 20 * time.Millisecond} {
		b := newBench(t, device.Config{})
		b.card.Hurry(960)
		tlength := uint32(latency.Seconds() * 2 * 192000)
		b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, tlength, Whatever, Whatever}, Latency: AdjustLatency})
		b.run(time.Second)
		if n := b.sink.State().Xruns; n != 0 {
			t.Errorf("%v ahead: %d xruns from the start on", latency, n)
		}
		b.card.Xrun()
		b.run(time.Second)
		if n := b.sink.State().Xruns; n != 1 {
			t.Errorf("%v ahead: %d xruns since one was made", latency, n)
		}
	}
}

// late is a clock whose timers fire later than they should, as they do when the processor is busy.
type late struct {
	*loop.Hand
	by time.Duration
}

func (l late) NewTimer(f func()) *loop.Timer {
	then := l.Hand.NewTimer(f)
	return l.Hand.NewTimer(func() {
		if !then.Pending() {
			then.Set(l.Now() + l.by)
		}
	})
}

func TestLateWakeups(t *testing.T) {
	b := newBench(t, device.Config{})
	b.sink = NewSink(late{b.clock, 20 * time.Millisecond}, b.card, t.Logf)
	b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(10 * time.Second)
	wantFrames(t, heardFrames(b), 0, len(heardFrames(b)))
	if n := b.sink.State().Xruns; n != 0 {
		t.Errorf("%d xruns", n)
	}
}

// Somebody who wishes for a buffer of 100 bytes, on a machine that wakes us late: another's sound stays whole, and the wishes are raised.
func TestATinyWishBesideAnother(t *testing.T) {
	for _, test := range []struct {
		by     time.Duration
		least  time.Duration // ahead, from then on
		xruns  uint64        // until that is learnt
		resize int           // messages to the patient client, whose buffer is as long as it need be
	}{{0, 20 * time.Millisecond, 0, 0}, {12 * time.Millisecond, 30 * time.Millisecond, 0, 0}, {40 * time.Millisecond, 55 * time.Millisecond, 2, 1}} {
		b := newBench(t, device.Config{})
		said := 0
		b.sink = NewSink(late{b.clock, test.by}, b.card, func(string, ...any) { said++ })
		patient := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
		b.run(time.Second)
		for _, mode := range []LatencyMode{Traditional, AdjustLatency, EarlyRequests} {
			tiny := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 100, Whatever, Whatever}, Latency: mode, Muted: true})
			b.run(3 * time.Second)
			if _, latency := tiny.in.Attr(); latency < test.least {
				t.Errorf("%v late: the tiny wish is granted %v, want %v at least", test.by, latency, test.least)
			}
			if attr, latency := tiny.in.Attr(); int64(attr.TLength) < int64(stereo16(48000).Bytes(latency)) {
				t.Errorf("%v late: a queue of %d bytes for a device that takes %v at once", test.by, attr.TLength, latency)
			}
			tiny.in.Close()
			b.all = b.all[:1]
		}
		before := b.sink.State().Xruns
		if before > test.xruns {
			t.Errorf("%v late: %d xruns, want %d at most", test.by, before, test.xruns)
		}
		b.heard = b.heard[:0]
		b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 100, Whatever, Whatever}, Muted: true})
		b.run(3 * time.Second)
		if n := b.sink.State().Xruns - before; n != 0 {
			t.Errorf("%v late: %d more xruns", test.by, n)
		}
		first := 0
		for i, s := range b.heard { // every frame, one after another
			if i == 0 {
				first = int(s*32768) - 1
			}
			if want := float32(value(first+i)) / 32768; s != want {
				t.Fatalf("%v late: frame %d: %v is heard, want %v", test.by, i, s*32768, want*32768)
			}
		}
		if len(patient.underrun) != 0 {
			t.Errorf("%v late: the patient client ran dry: %v", test.by, patient.underrun)
		}
		if (said > 0) != (test.by > 0) || said > 5 {
			t.Errorf("%v late: %d lines in the log", test.by, said)
		}
		for _, p := range b.all {
			p.in.Close()
		}
		b.all = nil
		b.run(time.Second)
		if granted := b.sink.grant(0); granted != 20*time.Millisecond {
			t.Errorf("%v late: closed, the card still wants %v", test.by, granted)
		}
	}
}

// After an xrun each client whose buffer is too short for what the card needs now is told of a longer one, once.
func TestXrunsRaiseTheFloor(t *testing.T) {
	b := newBench(t, device.Config{})
	tiny := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 100, Whatever, Whatever}})
	corked := b.player(InputOptions{Spec: stereo16(44100), Attr: BufferAttr{Whatever, 100, Whatever, Whatever}, Corked: true})
	patient := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(500 * time.Millisecond)
	for n := range 20 {
		was, _ := tiny.in.Attr()
		resized := tiny.resized
		b.card.Xrun()
		b.run(100 * time.Millisecond)
		now, latency := tiny.in.Attr()
		if tiny.resized > resized != (now.TLength > was.TLength) || now.TLength < was.TLength {
			t.Errorf("xrun %d: %+v became %+v, told %v", n, was, now, tiny.resized > resized)
		}
		if tiny.resized != corked.resized {
			t.Errorf("xrun %d: the corked client was told %d times, the other %d", n, corked.resized, tiny.resized)
		}
		if most := 120 * time.Millisecond; latency > most {
			t.Errorf("xrun %d: %v ahead, %v at most", n, latency, most)
		}
	}
	if tiny.resized == 0 || patient.resized > tiny.resized {
		t.Errorf("told %d, %d, %d times", tiny.resized, corked.resized, patient.resized)
	}
	tiny.underrun = nil
	b.run(2 * time.Second)
	if len(tiny.underrun) != 0 {
		t.Errorf("the longer queue is too short: underruns at %v", tiny.underrun)
	}

	// When the card has been closed, its wish counts as before.
	for _, p := range b.all {
		p.in.Cork(true)
	}
	b.run(time.Second)
	tiny.in.Cork(false)
	b.run(100 * time.Millisecond)
	if b.sink.latency != b.sink.frames(20*time.Millisecond) {
		t.Errorf("opened again, the card is written %d frames ahead", b.sink.latency)
	}
}

// Who asks for 100 ms on the whole way may answer later than the device is written to anew: as long as its queue is not empty it is not heard.
func TestALateClient(t *testing.T) {
	for _, rate := range []uint32{48000, 44100, 47999, 96000} {
		for _, test := range []struct{ tlength, late time.Duration }{{100 * time.Millisecond, 57 * time.Millisecond}, {20 * time.Millisecond, 10 * time.Millisecond}} {
			clock := new(loop.Hand)
			sink := NewSilence(clock, t.Logf)
			spec := stereo16(rate)
			p := &player{t: t}
			in, err := sink.NewInput(InputOptions{Spec: spec, Map: pcm.StereoMap, Attr: BufferAttr{Whatever, uint32(spec.Bytes(test.tlength)), Whatever, Whatever}, Latency: AdjustLatency}, p)
			if err != nil {
				t.Fatal(err)
			}
			if _, latency := in.Attr(); latency < test.tlength/3 {
				t.Errorf("of %v, %v are the device's", test.tlength, latency)
			}
			p.in, p.wanted = in, in.Missing()
			p.feed()
			var asked []int // by the millisecond
			for range 2000 {
				clock.Advance(time.Millisecond)
				asked, p.wanted = append(asked, p.wanted), 0
				if ms := len(asked) - 1 - int(test.late/time.Millisecond); ms >= 0 {
					p.wanted = asked[ms]
					p.feed()
					asked[len(asked)-1] += p.wanted // less than a frame
					p.wanted = 0
				}
			}
			if len(p.underrun) > 0 {
				t.Errorf("%v, tlength %v, answers after %v: underruns at %v", spec, test.tlength, test.late, p.underrun)
			}
			if p.next < int(rate) {
				t.Errorf("only %d frames in two seconds", p.next)
			}
		}
	}
}

// toil is a clock on which time passes while sound is mixed, too, and worker a card for which that takes a while.
type toil struct {
	*loop.Hand
	now  time.Duration
	turn time.Duration // how long the timer's function that runs now has taken
	most time.Duration
}

func (c *toil) Now() time.Duration { return max(c.Hand.Now(), c.now) }

func (c *toil) NewTimer(f func()) *loop.Timer {
	return c.Hand.NewTimer(func() {
		c.turn = 0
		f()
		c.most = max(c.most, c.turn)
	})
}

type worker struct {
	*devicetest.Card
	clock *toil
	frame time.Duration // of work for each
}

func (w worker) Write(frames []float32) (int, error) {
	spent := w.frame * time.Duration(len(frames)/2)
	w.clock.now = w.clock.Now() + spent
	w.clock.turn += spent
	return w.Card.Write(frames)
}

// TestMixingLetsOthersIn mixes far ahead, with a processor that takes long for it: nobody else waits for more than a moment, and the sound is whole.
func TestMixingLetsOthersIn(t *testing.T) {
	for _, c := range []device.Config{{}, deep} {
		b := newBench(t, c)
		clock := &toil{Hand: b.clock}
		b.sink = NewSink(clock, worker{b.card, clock, time.Microsecond / 2}, t.Logf)
		p := b.player(film)
		b.run(time.Second) // what it takes is known by then
		clock.most = 0
		b.run(20 * time.Second)
		wantFrames(t, heardFrames(b), 0, len(heardFrames(b)))
		if n := len(heardFrames(b)); n < 48000*20 || len(p.underrun) > 0 || b.sink.State().Xruns > 0 {
			t.Errorf("%d frames heard, underruns at %v, %d xruns", n, p.underrun, b.sink.State().Xruns)
		}
		if clock.most == 0 || clock.most > 2*mostBusy {
			t.Errorf("others waited for %v, and were to for %v", clock.most, mostBusy)
		}
	}
}

// TestAGameMidway has somebody impatient come while the mixer is midway to what a film allows: it goes no further.
func TestAGameMidway(t *testing.T) {
	b := newBench(t, device.Config{})
	clock := &toil{Hand: b.clock}
	b.sink = NewSink(clock, worker{b.card, clock, time.Microsecond / 2}, t.Logf)
	b.player(film)
	for b.run(time.Second); !b.sink.midway; {
		b.run(time.Millisecond)
	}
	b.player(game)
	written := b.card.Written()
	b.run(2 * time.Millisecond)
	if more := b.card.Written() - written; more > 0 {
		t.Errorf("%d frames were written ahead of the game", more)
	}
}
