package devicetest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
)

// Bench is a device on the bench: how to make one, how to let its time pass and what may be looked at.
type Bench struct {
	// Make returns a new sink, closed.
	Make func(t *testing.T) device.Sink
	// Now is the sink's clock, and Pass lets time go by on it: (*loop.Hand).Advance, or time.Sleep.
	Now  func() time.Duration
	Pass func(time.Duration)
	// Jitter is how far the position may be off at any reading, beside one frame of rounding; 0 on a clock moved by hand.
	Jitter time.Duration
	// Heard returns all samples that came out of the sink since it was made, up to now, and Grain how coarse they are: 1/32768 for 16 bits.
	// Nil where that cannot be seen.
	Heard func(t *testing.T, s device.Sink) []float32
	Grain float64
	// Vanish takes the open sink away for good. Nil where that cannot be done.
	Vanish func(t *testing.T, s device.Sink)
}

// Conformance runs the tests that every device must pass. It holds a sink to the words of device.Sink.
func Conformance(t *testing.T, b Bench) {
	t.Run("closed", b.closed)
	t.Run("reopen", b.reopen)
	t.Run("fill", b.fill)
	t.Run("flow", b.flow)
	t.Run("late", b.late)
	t.Run("rewind", b.rewind)
	if !raceDetector {
		t.Run("allocations", b.allocations)
	}
	if b.Heard != nil {
		t.Run("sound", b.sound)
	}
	if b.Vanish != nil {
		t.Run("gone", b.gone)
	}
}

func (b Bench) open(t *testing.T) (device.Sink, device.Config) {
	t.Helper()
	s := b.Make(t)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	sane(t, c)
	if c.Margin < 0 || c.Margin >= c.Buffer || c.Linger < 0 {
		t.Fatalf("buffer %d, margin %d, linger %v", c.Buffer, c.Margin, c.Linger)
	}
	return s, c
}

// sane fails t unless c can be what a device agreed to, in what sinks and sources have alike.
func sane(t *testing.T, c device.Config) {
	t.Helper()
	switch {
	case c.Rate < pcm.MinRate || c.Rate > pcm.MaxRate:
		t.Fatal("rate", c.Rate)
	case len(c.Channels) == 0 || c.Channels.Check(uint8(len(c.Channels))) != nil:
		t.Fatal("channels", c.Channels)
	case c.Buffer <= 0:
		t.Fatal("buffer", c.Buffer)
	case c.Hardware == "":
		t.Fatal("nothing said about the hardware")
	}
}

func queued(t *testing.T, s device.Sink) int {
	t.Helper()
	q, err := s.Queued()
	if err != nil {
		t.Fatal("queued:", err)
	}
	return q
}

func write(t *testing.T, s device.Sink, frames []float32) int {
	t.Helper()
	n, err := s.Write(frames)
	if err != nil {
		t.Fatal("write:", err)
	}
	return n
}

// silence is n frames of it.
func silence(c device.Config, n int) []float32 { return make([]float32, n*len(c.Channels)) }

func duration(c device.Config, frames int) time.Duration {
	return time.Duration(frames) * time.Second / time.Duration(c.Rate)
}

// closed: a sink that is not open has a name, plays nothing and says so.
func (b Bench) closed(t *testing.T) {
	s := b.Make(t)
	if s.Name() == "" || s.Description() == "" {
		t.Errorf("name %q, description %q", s.Name(), s.Description())
	}
	if n, err := s.Write(make([]float32, 64)); err == nil || n != 0 {
		t.Error("write while closed:", n, err)
	}
	if _, err := s.Queued(); err == nil {
		t.Error("queued while closed: no error")
	}
	if err := s.Close(); err != nil {
		t.Error("close while closed:", err)
	}
	if x := s.Stats(); x != (device.Stats{}) {
		t.Error("stats before the first open:", x)
	}
}

// reopen: opened and closed at will, with nothing left of the time before, and no descriptor.
func (b Bench) reopen(t *testing.T) {
	s, c := b.open(t)
	write(t, s, silence(c, c.Buffer/2))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal("close twice:", err)
	}
	before := descriptors(t) // after one opening, which may have made the runtime's own
	for range 3 {
		again, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		if again.Rate != c.Rate || again.Buffer != c.Buffer || len(again.Channels) != len(c.Channels) {
			t.Fatalf("opened as %+v, then as %+v", c, again)
		}
		if _, err := s.Open(); err == nil {
			t.Fatal("open while open: no error")
		}
		if q := queued(t, s); q != 0 {
			t.Fatal("queued after open:", q)
		}
		write(t, s, silence(c, c.Buffer/2))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors open after closing, %d before", now, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// fill: Write takes what fits and never waits for room.
func (b Bench) fill(t *testing.T) {
	s, c := b.open(t)
	b.Pass(50 * time.Millisecond) // an open sink that was not written to stands still
	if q := queued(t, s); q != 0 {
		t.Fatal("queued before the first write:", q)
	}
	frames := silence(c, 2*c.Buffer)
	if n := write(t, s, frames); n != c.Buffer {
		t.Fatalf("an empty buffer of %d frames took %d", c.Buffer, n)
	}
	start, slack := b.Now(), b.slack(c)
	n := write(t, s, frames)
	if most := int(b.since(c, start)) + slack + c.Margin; n > most { // a card may have fetched up to Margin ahead
		t.Errorf("a full buffer took %d more at once, %d may have been heard", n, most)
	}
	if q := queued(t, s); q > c.Buffer+slack+c.Margin {
		t.Errorf("queued %d in a buffer of %d", q, c.Buffer)
	}
	if n := write(t, s, nil); n != 0 {
		t.Error("writing nothing took", n)
	}
}

// since is the frames that go by from a time until now; slack is how many a reading may be off.
func (b Bench) since(c device.Config, from time.Duration) float64 {
	return (b.Now() - from).Seconds() * float64(c.Rate)
}
func (b Bench) slack(c device.Config) int { return 1 + int(b.Jitter.Seconds()*float64(c.Rate)) }

// flow: over a second of writing on time, what is queued falls by exactly the time that passes and rises by exactly what is written. Each
// reading is bracketed by the clock, so a test that is held up makes the bracket wide and not the device wrong. What a bracket cannot
// tell is an emulated card that is held up itself: on a real clock one second out of five tries must be good. Running backwards never is.
func (b Bench) flow(t *testing.T) {
	s, c := b.open(t)
	for range 5 {
		err := b.flows(t, s, c)
		if err == nil {
			return
		}
		t.Log(err)
		if b.Jitter == 0 {
			break
		}
	}
	t.Error("never a whole second of even flow")
}

// flows is one second of flow; the error says how it was uneven.
func (b Bench) flows(t *testing.T, s device.Sink, c device.Config) error {
	target, slack, xruns := c.Buffer*3/4, float64(b.slack(c)), s.Stats().Xruns
	written := queued(t, s)
	feed := func() (q int) {
		q = queued(t, s)
		if free := target - q; free > 0 {
			written += write(t, s, silence(c, free))
		}
		return q
	}
	for range 20 { // a card fetches ahead when it starts
		feed()
		b.Pass(10 * time.Millisecond)
	}
	before := b.Now()
	heard := written - queued(t, s)
	after := b.Now()
	first, begin := heard, after
	for i := 0; b.Now()-begin < time.Second; i++ {
		b.Pass([]time.Duration{1, 3, 10, 20}[i%4] * time.Millisecond)
		t0, known := b.Now(), written
		q := feed()
		t1 := b.Now()
		if q <= 0 || s.Stats().Xruns != xruns {
			return fmt.Errorf("reading %d: the test was too late to keep the buffer filled", i)
		}
		least := (t0-after).Seconds()*float64(c.Rate) - slack
		most := (t1-before).Seconds()*float64(c.Rate) + slack
		moved := float64(known - q - heard)
		if moved < 0 {
			t.Fatalf("reading %d: the position went back by %v frames", i, -moved)
		}
		if moved < least || moved > most {
			return fmt.Errorf("reading %d: %v frames heard since the last, between %.0f and %.0f went by", i, moved, least, most)
		}
		before, after, heard = t0, t1, known-q
	}
	rate := float64(heard-first) / (after - begin).Seconds()
	if off := math.Abs(rate-float64(c.Rate)) / float64(c.Rate); off > 0.01+slack/float64(heard-first) {
		return fmt.Errorf("%.0f frames a second, %d promised", rate, c.Rate)
	}
	return nil
}

// late: a card that runs dry says so once, stands still and plays again; a sink that cannot run dry wants what it missed, within reason.
func (b Bench) late(t *testing.T) {
	s, c := b.open(t)
	if c.Margin == 0 {
		b.owing(t, s, c)
		return
	}
	for round := range 4 {
		n := write(t, s, silence(c, c.Buffer))
		if n != c.Buffer {
			t.Fatalf("round %d: a dry card with a buffer of %d took %d", round, c.Buffer, n)
		}
		start := b.Now()
		b.Pass(duration(c, n/2))
		q := queued(t, s)
		if intime := b.since(c, start) < float64(n-b.slack(c)-c.Margin); q > n+c.Margin || q <= 0 && intime {
			t.Fatalf("round %d: queued %d of %d, about half its time later", round, q, n)
		}
		for start := b.Now(); s.Stats().Xruns == uint64(round); b.Pass(10 * time.Millisecond) {
			if queued(t, s); b.Now()-start > 5*time.Second {
				t.Fatalf("round %d: not dry 5 s after the last write", round)
			}
		}
		for range 3 {
			if q, x := queued(t, s), s.Stats().Xruns; q != 0 || x != uint64(round)+1 {
				t.Fatalf("round %d: queued %d in a card run dry, %d xruns", round, q, x)
			}
			b.Pass(20 * time.Millisecond)
		}
	}
	s.Close()
	if x := s.Stats().Xruns; x != 4 {
		t.Fatal("xruns, forgotten at close or counted then:", x)
	}
}

// rewind: a device that can be written far ahead gives back what it has not played but for Margin frames, and plays on undisturbed.
func (b Bench) rewind(t *testing.T) {
	s, c := b.open(t)
	if c.Ahead == 0 {
		return
	}
	if c.Ahead < 0 || c.Ahead >= c.Buffer {
		t.Fatalf("%d frames ahead in a buffer of %d", c.Ahead, c.Buffer)
	}
	r := s.(device.Rewinder)
	for round := range 5 {
		write(t, s, silence(c, c.Ahead-queued(t, s)))
		b.Pass(50 * time.Millisecond)
		start, before := b.Now(), queued(t, s)
		n, err := r.Rewind(before - 4*c.Margin)
		after := queued(t, s)
		if err != nil || n < before-4*c.Margin-int(b.since(c, start))-b.slack(c) || n > before-4*c.Margin {
			t.Fatalf("round %d: of %d frames %d were taken back, %v", round, before, n, err)
		}
		if off := before - n - after; off < -b.slack(c) || off > int(b.since(c, start))+b.slack(c) {
			t.Errorf("round %d: of %d frames %d were taken back, and %d are left", round, before, n, after)
		}
		if more, err := r.Rewind(c.Buffer); err != nil || more > after-c.Margin+b.slack(c) || more < after-3*c.Margin {
			t.Errorf("round %d: of %d frames %d were taken back, %v", round, after, more, err)
		}
	}
	if s.Close(); s.Stats().Xruns > 0 {
		t.Errorf("%d xruns", s.Stats().Xruns)
	}
	if n, err := r.Rewind(1); err == nil || n != 0 {
		t.Error("rewind while closed:", n, err)
	}
}

func (b Bench) owing(t *testing.T, s device.Sink, c device.Config) {
	n := write(t, s, silence(c, c.Buffer/2))
	b.Pass(duration(c, n) + 100*time.Millisecond)
	q, late := queued(t, s), c.Rate/10
	if q > -late+b.slack(c) {
		t.Fatalf("queued %d when %d frames late", q, late)
	}
	if n := write(t, s, silence(c, c.Buffer-q)); n < c.Buffer-q {
		t.Fatalf("late by %d, with a buffer of %d, it took %d", -q, c.Buffer, n)
	}
	b.Pass(20 * time.Millisecond)
	if q := queued(t, s); q <= 0 || q > c.Buffer {
		t.Fatal("queued after catching up:", q)
	}
	b.Pass(10 * time.Second)
	if q := queued(t, s); q < -c.Rate || q > 0 {
		t.Fatalf("queued %d after ten seconds away: more than a second to make up", q)
	}
	if x := s.Stats().Xruns; x != 0 {
		t.Fatal("xruns of a sink that cannot run dry:", x)
	}
}

// allocations: none in Write and Queued, whether the buffer has room or not.
func (b Bench) allocations(t *testing.T) {
	s, c := b.open(t)
	quantum := silence(c, c.Rate/100)
	write(t, s, silence(c, c.Buffer/2))
	if n := testing.AllocsPerRun(50, func() {
		b.Pass(5 * time.Millisecond)
		s.Queued()
		s.Write(quantum)
	}); n != 0 {
		t.Errorf("%v allocations a quantum", n)
	}
}

// sound: what went in comes out, clipped, in order, nothing lost or repeated, over a close and an open too.
func (b Bench) sound(t *testing.T) {
	s, c := b.open(t)
	var want []float32
	play := func(scale float64) {
		for range 60 {
			if free := c.Buffer/2 - queued(t, s); free > 0 {
				q := silence(c, free)
				for i := range q {
					x := float64(len(want) + i)
					q[i] = float32(scale * math.Sin(x*x/1e7))
				}
				n := write(t, s, q)
				want = append(want, q[:n*len(c.Channels)]...)
			}
			b.Pass(10 * time.Millisecond)
		}
		b.Pass(duration(c, c.Buffer))
	}
	play(0.9)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	play(1.5)
	got := b.Heard(t, s)
	if len(got) != len(want) || len(want) < c.Rate*len(c.Channels) {
		t.Fatalf("%d samples heard of %d", len(got), len(want))
	}
	for i := range got {
		w := max(-1, min(1, float64(want[i])))
		if off := math.Abs(float64(got[i]) - w); !(off <= b.Grain) {
			t.Fatalf("sample %d of %d is %v, want %v", i, len(got), got[i], w)
		}
	}
}

// gone: a device that left says ErrGone, and still closes.
func (b Bench) gone(t *testing.T) {
	s, c := b.open(t)
	write(t, s, silence(c, c.Buffer/4))
	b.Vanish(t, s)
	_, err := s.Write(silence(c, c.Buffer/4))
	if !errors.Is(err, device.ErrGone) {
		t.Error("write:", err)
	}
	s.Close()
	if err := s.Close(); err != nil {
		t.Error("close twice:", err)
	}
}
