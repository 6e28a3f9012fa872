package device

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// follow plays a card for some seconds, by its true rate, the steps in which it tells its position, how late it is read, and how many frames it
// fetches ahead in its first 100 ms. It returns how far the smoother strays from the truth after the first second, its greatest
// move against the clock's, and how far it ever is behind what the card told, all in frames.
func follow(rate float64, step int64, late time.Duration, ahead float64) (before, behind, jump, owed float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := NewSmoother(48000, 0)
	var last float64
	var lastAt time.Duration
	at := time.Hour
	start := at
	for at-start < 20*time.Second {
		at += time.Duration(1+rng.IntN(30)) * time.Millisecond
		past := (at - start).Seconds()
		reading := int64(past*rate+ahead*min(1, past*10)) / step * step
		now := at + time.Duration(rng.Int64N(int64(late)+1))
		if step >= 480 { // whole periods: the interrupt at its end stamps it
			at = start + time.Duration(float64(reading)/rate*1e9)
		}
		s.Read(now, at, reading)
		for range 3 {
			now += 300 * time.Microsecond
			p := s.Position(now)
			owed = max(owed, float64(reading)-p)
			past := (now - start).Seconds()
			if past > 0.2 {
				jump = max(jump, math.Abs(p-last-(now-lastAt).Seconds()*48000))
			}
			if truth := past*rate + ahead; past > 1 {
				before, behind = max(before, p-truth), max(behind, truth-p)
			}
			last, lastAt = p, now
		}
		at = max(at, now)
	}
	return
}

func TestSmoother(t *testing.T) {
	for _, c := range []struct {
		name                 string
		rate                 float64
		step                 int64
		late                 time.Duration
		ahead                float64
		before, behind, jump float64
	}{
		{"exact", 48000, 1, 0, 0, 2, 2, 2},
		{"1 ms steps", 48000, 48, 0, 0, 10, 48, 8},
		{"a clock 300 ppm fast", 48014.4, 48, 0, 0, 5, 55, 8},
		{"periods of 10 ms", 48000, 480, 0, 0, 2, 2, 2},
		{"periods of 20 ms, 300 ppm fast", 48014.4, 960, 0, 0, 2, 10, 2},
		{"read up to 5 ms late", 48000, 48, 5 * time.Millisecond, 0, 10, 50, 20},
		{"20 ms ahead at the start", 48000, 48, 0, 960, 10, 100, 60},
	} {
		before, behind, jump, owed := follow(c.rate, c.step, c.late, c.ahead)
		t.Logf("%s: at most %.1f frames ahead, %.1f behind, jumps of %.1f, %.1f behind the card's word", c.name, before, behind, jump, owed)
		if before > c.before || behind > c.behind || jump > c.jump || owed > 240 {
			t.Errorf("%s: more than %v ahead, %v behind, jumps of %v or 240 behind the card's word", c.name, c.before, c.behind, c.jump)
		}
	}
}

func TestSmootherFollowsAJumpAndNoticesAStall(t *testing.T) {
	s := NewSmoother(48000, 0)
	s.Read(time.Second, time.Second, 0)
	if p := s.Position(2 * time.Second); p != 0 {
		t.Error("moved before the card did:", p)
	}
	s.Read(2*time.Second, 2*time.Second, 480)
	s.Read(3*time.Second, 3*time.Second, 480+48000+5000)
	if p := s.Position(3 * time.Second); p != 53480-240 {
		t.Error("after a jump of 5000 frames:", p)
	}
	last := 0.0
	for at := 3 * time.Second; at <= 6*time.Second; at += 10 * time.Millisecond {
		s.Read(at, at, 53480)
		if p := s.Position(at); p < last {
			t.Fatalf("went back from %.0f to %.0f", last, p)
		} else {
			last = p
		}
	}
	if d := s.stalled(6 * time.Second); d != 3*time.Second {
		t.Error("stood still for 3 s, noticed", d)
	}
	if last > 53480+1920+480 {
		t.Error("ran away from a card that stands still:", last)
	}
}
