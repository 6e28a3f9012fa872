package mixer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// deep is a card that can be written 400 ms ahead, since it gives back what it has not played.
var deep = device.Config{Ahead: 19200, Buffer: 24000}

// A film asks for two seconds, a game for 20 ms.
var (
	film = InputOptions{Spec: stereo16(48000), Attr: whatever}
	game = InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 3840, Whatever, Whatever}, Latency: AdjustLatency}
)

// counted is a clock that counts how often its timers fire.
type counted struct {
	*loop.Hand
	fired int
}

func (c *counted) NewTimer(f func()) *loop.Timer {
	return c.Hand.NewTimer(func() { c.fired++; f() })
}

// A film alone wakes the sink a few times a second. A game is heard at once beside it, and of neither a frame is lost or heard twice.
func TestFilmAndGame(t *testing.T) {
	b := newBench(t, deep)
	clock := &counted{Hand: b.clock}
	b.sink = NewSink(clock, b.card, t.Logf)
	wakes := func(d time.Duration) float64 {
		clock.fired = 0
		b.run(d)
		return float64(clock.fired) / d.Seconds()
	}
	patient := b.player(film)
	b.run(time.Second)
	alone := wakes(10 * time.Second)
	first := len(b.heard)
	o := b.player(game)
	o.opposite = true
	both := wakes(5 * time.Second)
	last := len(b.heard)
	o.in.Close()
	b.all = b.all[:1]
	b.run(time.Second)
	again := wakes(10 * time.Second)
	if alone > 5 || again > 5 || both < 50 {
		t.Errorf("%v wake-ups a second for the film alone, %v with the game, %v after it", alone, both, again)
	}
	if len(patient.underrun)+len(o.underrun) > 0 || b.sink.State().Xruns > 0 {
		t.Errorf("underruns at %v and %v, %d xruns", patient.underrun, o.underrun, b.sink.State().Xruns)
	}
	games, began := 0, 0
	for i, heard := range b.heard {
		rest := heard - float32(value(i))/32768
		switch {
		case rest == 0:
		case games == 0:
			began = i
			fallthrough
		default:
			if want := -float32(value(games)) / 32768; rest != want || i != began+games {
				t.Fatalf("frame %d, %d after the game began: %v is heard beside the film, want %v", i, i-began, rest*32768, want*32768)
			}
			games++
		}
	}
	if late := b.sink.duration(began - first); late > 25*time.Millisecond || games < 4*48000 || games > last+1200-began {
		t.Errorf("the game is heard after %v, for %d frames of %d", late, games, last-began)
	}
}

// What the owner of a patient stream or of the sink does is heard at once, and the stream goes on with the very next frame.
func TestRecall(t *testing.T) {
	for name, c := range map[string]struct {
		off, on func(b *bench, p *player)
		skips   bool // what is not heard is lost
		timely  bool // …and its time passes
	}{
		"cork":      {func(_ *bench, p *player) { p.in.Cork(true) }, func(_ *bench, p *player) { p.in.Cork(false) }, false, false},
		"flush":     {func(_ *bench, p *player) { p.lazy = true; p.in.Flush() }, func(_ *bench, p *player) { p.lazy = false }, true, false},
		"mute":      {func(_ *bench, p *player) { p.in.SetMuted(true) }, func(_ *bench, p *player) { p.in.SetMuted(false) }, true, true},
		"gain":      {func(_ *bench, p *player) { p.in.SetGain([]float32{0}) }, func(_ *bench, p *player) { p.in.SetGain(nil) }, true, true},
		"sink mute": {func(b *bench, _ *player) { b.sink.SetMuted(true) }, func(b *bench, _ *player) { b.sink.SetMuted(false) }, true, true},
		"suspend":   {func(b *bench, _ *player) { b.sink.Suspend(true) }, func(b *bench, _ *player) { b.sink.Suspend(false) }, true, false},
	} {
		b := newBench(t, deep)
		p := b.player(film)
		b.run(time.Second)
		before := len(b.heard)
		timing := p.in.Timing()
		c.off(b, p)
		b.run(time.Second)
		tail := len(sound(b.heard)) - before
		if tail > 48*35 {
			t.Errorf("%s: heard for another %v", name, b.sink.duration(tail))
		}
		if name == "cork" {
			now := p.in.Timing()
			if at := timing.ReadIndex - int64(p.in.opts.Spec.Bytes(timing.Latency)) + int64(tail*4); math.Abs(float64(now.ReadIndex-at)) > 8 || now.Latency != 0 {
				t.Errorf("%s: the stream's time is byte %d and %v, %d were heard", name, now.ReadIndex, now.Latency, at)
			}
		}
		b.heard = b.heard[:0]
		c.on(b, p)
		b.run(2 * time.Second)
		h := sound(b.heard)
		if len(h) < 48000 {
			t.Errorf("%s: only %d frames are heard after it", name, len(h))
			continue
		}
		h = h[960:] // it comes up
		next := int(h[0]*32768) - 1
		wantFrames(t, h, next, len(h))
		switch went := next - 960 - before - tail; {
		case !c.skips && apart(went, 0) != 0:
			t.Errorf("%s: %d frames were lost", name, apart(went, 0))
		case c.timely && apart(went, 48000) > 48*70:
			t.Errorf("%s: what passed is %d frames off a second", name, apart(went, 48000))
		}
	}
}

// Whoever comes and goes, patient streams sound as they would have without.
func TestRecallChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	play := func(disturb bool) []float32 {
		b := newBench(t, deep)
		for _, rate := range []uint32{44100, 48000, 96000} {
			b.player(InputOptions{Spec: stereo16(rate), Attr: whatever, Volume: []pcm.Volume{pcm.VolumeOf(0.25)}})
		}
		for range 40 {
			b.run(50 * time.Millisecond)
			if !disturb {
				b.run(200 * time.Millisecond)
				continue
			}
			pause := time.Duration(r.IntN(100)) * time.Millisecond
			b.run(pause)
			hurried := game
			hurried.Muted = true
			o := b.player(hurried)
			b.run(100*time.Millisecond - pause)
			o.in.Close()
			b.all = b.all[:3]
			b.run(100 * time.Millisecond)
		}
		return b.heard
	}
	want, got := play(false), play(true)
	if len(want) != len(got) {
		t.Fatalf("%d frames and %d", len(got), len(want))
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Fatalf("frame %d of %d: %v, undisturbed %v", i, len(want), got[i], want[i])
		}
	}
}

// A sound that has been given to the card to its end, and not been heard, is heard all the same when somebody comes, and drained when it was.
func TestRecallOfAnEnd(t *testing.T) {
	b := newBench(t, deep)
	long := b.player(film)
	long.opposite = true
	b.run(500 * time.Millisecond)
	p := b.player(film)
	p.frames = 24000
	p.feed()
	p.in.Drain()
	b.run(300 * time.Millisecond)
	hurried := game
	hurried.Muted = true
	b.player(hurried)
	b.run(50 * time.Millisecond)
	if p.drained != 0 {
		t.Error("drained before it was heard")
	}
	b.run(time.Second)
	if p.drained != 1 {
		t.Errorf("drained %d times", p.drained)
	}
	n := 0
	for i, heard := range b.heard {
		if rest := heard + float32(value(i))/32768; rest != 0 {
			if want := float32(value(n)) / 32768; rest != want {
				t.Fatalf("frame %d: %v, want %v", n, rest*32768, want*32768)
			}
			n++
		}
	}
	if n != 24000 {
		t.Errorf("%d frames of 24000 were heard", n)
	}
}

// What a card had not played when it was pulled out is heard on the next one.
func TestRecallFromALostCard(t *testing.T) {
	b := newBench(t, deep)
	p := b.player(film)
	b.run(1100 * time.Millisecond)
	before := len(sound(b.heard))
	b.card.Unplug()
	card, next := b.second(deep)
	p.in.Move(next)
	b.sink.Close()
	b.card = card
	b.heard = nil
	b.run(time.Second)
	h := sound(b.heard)
	if len(h) < 40000 {
		t.Fatalf("%d frames in a second", len(h))
	}
	h = h[960:]
	wantFrames(t, h, before+960, len(h))
}

// Moved by its owner, a patient stream is on the other card at once.
func TestRecallForAMove(t *testing.T) {
	b := newBench(t, deep)
	p := b.player(film)
	b.run(1100 * time.Millisecond)
	card, next := b.second(deep)
	first := b.card
	before := len(sound(b.heard))
	p.in.Move(next)
	b.card = card
	b.run(time.Second)
	left := first.Heard()
	for i := 0; i < len(left); i += 2 {
		if left[i] == 0 {
			left = left[:i]
		}
	}
	if tail := b.sink.duration(len(left) / 2); tail > 35*time.Millisecond {
		t.Errorf("still heard for %v where it came from", tail)
	}
	h := sound(b.heard[before:])
	h = h[960:]
	at := int(h[0]*32768) - 1
	wantFrames(t, h, at, len(h))
	if lost := apart(at-960, before+len(left)/2-480); lost > 48 { // of a fade's frames, heard twice
		t.Errorf("it goes on %d frames off where it left", lost)
	}
}

// apart is how far two frames' numbers are apart, as far as their values tell.
func apart(a, b int) int {
	d := ((a-b)%30000 + 30000) % 30000
	return min(d, 30000-d)
}
