package devicetest

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
)

// SourceBench is a source on the bench, as Bench is for a sink.
type SourceBench struct {
	// Make returns a new source, closed.
	Make func(t *testing.T) device.Source
	// Now is the source's clock, and Pass lets time go by on it: (*loop.Hand).Advance, or time.Sleep.
	Now  func() time.Duration
	Pass func(time.Duration)
	// Jitter is how far Available may be off at any reading, beside one frame of rounding, and how much less Read may give; 0 on a clock moved by hand.
	Jitter time.Duration
	// Said returns the sample of channel c that was captured n frames after the source was opened, and Grain how coarse it is. Nil where that cannot be known.
	Said  func(s device.Source, n int64, c int) float32
	Grain float64
	// Vanish takes the open source away for good. Nil where that cannot be done.
	Vanish func(t *testing.T, s device.Source)
}

// SourceConformance runs the tests that every source must pass. It holds a source to the words of device.Source.
func SourceConformance(t *testing.T, b SourceBench) {
	t.Run("closed", b.closed)
	t.Run("reopen", b.reopen)
	t.Run("flow", b.flow)
	t.Run("overrun", b.overrun)
	t.Run("allocations", b.allocations)
	if b.Said != nil {
		t.Run("sound", b.sound)
	}
	if b.Vanish != nil {
		t.Run("gone", b.gone)
	}
}

func (b SourceBench) open(t *testing.T) (device.Source, device.Config) {
	t.Helper()
	s := b.Make(t)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	sane(t, c)
	return s, c
}

func available(t *testing.T, s device.Source) int {
	t.Helper()
	n, err := s.Available()
	if err != nil || n < 0 {
		t.Fatal("available:", n, err)
	}
	return n
}

func read(t *testing.T, s device.Source, frames []float32) int {
	t.Helper()
	n, err := s.Read(frames)
	if err != nil {
		t.Fatal("read:", err)
	}
	return n
}

// slack is the frames a reading may be off.
func (b SourceBench) slack(c device.Config) int { return 1 + int(b.Jitter.Seconds()*float64(c.Rate)) }

// closed: a source that is not open has a name, gives nothing and says so.
func (b SourceBench) closed(t *testing.T) {
	s := b.Make(t)
	if s.Name() == "" || s.Description() == "" {
		t.Errorf("name %q, description %q", s.Name(), s.Description())
	}
	if n, err := s.Read(make([]float32, 64)); err == nil || n != 0 {
		t.Error("read while closed:", n, err)
	}
	if _, err := s.Available(); err == nil {
		t.Error("available while closed: no error")
	}
	if err := s.Close(); err != nil {
		t.Error("close while closed:", err)
	}
	if x := s.Stats(); x != (device.Stats{}) {
		t.Error("stats before the first open:", x)
	}
}

// reopen: opened and closed at will, with nothing left of the time before, and no descriptor.
func (b SourceBench) reopen(t *testing.T) {
	s, c := b.open(t)
	b.Pass(50 * time.Millisecond)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal("close twice:", err)
	}
	before := descriptors(t) // after one opening, which may have made the runtime's own
	for range 3 {
		b.Pass(100 * time.Millisecond)
		start := b.Now()
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
		if n, most := available(t, s), int((b.Now()-start).Seconds()*float64(c.Rate)); n > most+b.slack(c) {
			t.Fatalf("%d frames there after open, which took no longer than %d", n, most)
		}
		b.Pass(20 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors open after closing, %d before", now, before)
	}
}

// flow: over a second of reading on time, what is available rises by exactly the time that passes and falls by exactly what is read, and
// nearly all of it can be read. Readings are bracketed by the clock as for a sink.
func (b SourceBench) flow(t *testing.T) {
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
func (b SourceBench) flows(t *testing.T, s device.Source, c device.Config) error {
	frames, slack, xruns := silence(c, c.Buffer), float64(b.slack(c)), s.Stats().Xruns
	taken := 0
	for range 20 { // a card may begin late, or by leaps
		taken += read(t, s, frames)
		b.Pass(10 * time.Millisecond)
	}
	before := b.Now()
	captured := taken + available(t, s)
	after := b.Now()
	first, begin := captured, after
	for i := 0; b.Now()-begin < time.Second; i++ {
		b.Pass([]time.Duration{1, 3, 10, 20}[i%4] * time.Millisecond)
		t0, known := b.Now(), taken
		n := available(t, s)
		t1 := b.Now()
		got := read(t, s, frames)
		taken += got
		if s.Stats().Xruns != xruns {
			return fmt.Errorf("reading %d: the test was too late to keep the buffer from overrunning", i)
		}
		if float64(got) < float64(n)-slack {
			return fmt.Errorf("reading %d: %d available, and only %d could be read", i, n, got)
		}
		least := (t0-after).Seconds()*float64(c.Rate) - slack
		most := (t1-before).Seconds()*float64(c.Rate) + slack
		moved := float64(known + n - captured)
		if moved < least || moved > most {
			return fmt.Errorf("reading %d: %v frames captured since the last, between %.0f and %.0f went by", i, moved, least, most)
		}
		before, after, captured = t0, t1, known+n
	}
	rate := float64(captured-first) / (after - begin).Seconds()
	if off := math.Abs(rate-float64(c.Rate)) / float64(c.Rate); off > 0.01+slack/float64(captured-first) {
		return fmt.Errorf("%.0f frames a second, %d promised", rate, c.Rate)
	}
	return nil
}

// overrun: a source that nobody reads loses all it has, says so once, and goes on.
func (b SourceBench) overrun(t *testing.T) {
	s, c := b.open(t)
	for round := range 3 {
		b.Pass(duration(c, c.Buffer) + 50*time.Millisecond)
		start := b.Now()
		if n, most := available(t, s), int((b.Now()-start).Seconds()*float64(c.Rate)); n > most+b.slack(c) {
			t.Fatalf("round %d: %d frames are left of a buffer of %d that overran", round, n, c.Buffer)
		}
		if x := s.Stats().Xruns; x != uint64(round)+1 {
			t.Fatalf("round %d: %d overruns", round, x)
		}
		b.Pass(50 * time.Millisecond)
		if n := available(t, s); n < c.Rate/20-b.slack(c) {
			t.Fatalf("round %d: %d frames, 50 ms after an overrun", round, n)
		}
	}
	s.Close()
	if x := s.Stats().Xruns; x != 3 {
		t.Fatal("overruns, forgotten at close or counted then:", x)
	}
}

// allocations: none in Read and Available.
func (b SourceBench) allocations(t *testing.T) {
	s, c := b.open(t)
	quantum := silence(c, c.Rate/100)
	if n := testing.AllocsPerRun(50, func() {
		b.Pass(5 * time.Millisecond)
		s.Available()
		s.Read(quantum)
	}); n != 0 {
		t.Errorf("%v allocations a quantum", n)
	}
}

// sound: what there was to hear comes out in order, nothing lost or repeated, however it is read; and after a close and an open from then on.
func (b SourceBench) sound(t *testing.T) {
	s, c := b.open(t)
	channels := len(c.Channels)
	for opening := range 2 {
		frames, n := silence(c, c.Buffer), int64(0)
		for i := range 150 {
			b.Pass([]time.Duration{1, 3, 10, 20}[i%4] * time.Millisecond)
			for got := -1; got != 0; n += int64(got) {
				got = read(t, s, frames[:(1+i*37%700)*channels])
				for k := range got * channels {
					want := b.Said(s, n+int64(k/channels), k%channels)
					if off := math.Abs(float64(frames[k] - want)); !(off <= b.Grain) {
						t.Fatalf("opening %d: sample %d of frame %d is %v, want %v", opening, k%channels, n+int64(k/channels), frames[k], want)
					}
				}
			}
		}
		if n < 1000 {
			t.Fatal("only", n, "frames were read")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(); err != nil {
			t.Fatal(err)
		}
	}
}

// gone: a device that left says ErrGone, and still closes.
func (b SourceBench) gone(t *testing.T) {
	s, c := b.open(t)
	b.Pass(20 * time.Millisecond)
	b.Vanish(t, s)
	b.Pass(20 * time.Millisecond)
	_, err := s.Read(silence(c, c.Buffer))
	if !errors.Is(err, device.ErrGone) {
		t.Error("read:", err)
	}
	s.Close()
	if err := s.Close(); err != nil {
		t.Error("close twice:", err)
	}
}
