package device

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// follow plays a card for some seconds: its true rate, the steps in which it tells its position, how late a reading may be stamped. It
// returns how far the smoother strays from the truth, in frames, after the first second, and its greatest move against the clock's.
func follow(rate float64, step int64, late time.Duration) (ahead, behind, jump float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := smoother{rate: 48000, limit: 1920}
	var last float64
	var lastAt time.Duration
	at := time.Hour
	start := at
	for at-start < 20*time.Second {
		at += time.Duration(1+rng.IntN(30)) * time.Millisecond
		truth := (at - start).Seconds() * rate
		reading := int64(truth) / step * step
		at += time.Duration(rng.Int64N(int64(late) + 1))
		s.read(at, reading)
		for range 3 {
			at += 300 * time.Microsecond
			p := s.position(at)
			if last > 0 && at-start > 100*time.Millisecond {
				jump = max(jump, math.Abs(p-last-(at-lastAt).Seconds()*48000))
			}
			last, lastAt = p, at
			if at-start > time.Second {
				truth := (at - start).Seconds() * rate
				ahead, behind = max(ahead, p-truth), max(behind, truth-p)
			}
		}
	}
	return
}

func TestSmoother(t *testing.T) {
	for _, c := range []struct {
		name                string
		rate                float64
		step                int64
		late                time.Duration
		ahead, behind, jump float64
	}{
		{"exact", 48000, 1, 0, 2, 2, 2},
		{"1 ms steps", 48000, 48, 0, 10, 48, 8},
		{"a clock 300 ppm fast", 48014.4, 48, 0, 5, 55, 8},
		{"periods of 10 ms", 48000, 480, 0, 60, 500, 60},
		{"periods of 20 ms", 48000, 960, 0, 100, 1000, 110},
		{"stamped up to 1 ms late", 48000, 48, time.Millisecond, 10, 100, 20},
	} {
		ahead, behind, jump := follow(c.rate, c.step, c.late)
		t.Logf("%s: at most %.1f frames ahead, %.1f behind, jumps of %.1f", c.name, ahead, behind, jump)
		if ahead > c.ahead || behind > c.behind || jump > c.jump {
			t.Errorf("%s: more than %v ahead, %v behind or jumps of %v", c.name, c.ahead, c.behind, c.jump)
		}
	}
}

func TestSmootherFollowsAJumpAndNoticesAStall(t *testing.T) {
	s := smoother{rate: 48000, limit: 1920}
	s.read(time.Second, 0)
	if p := s.position(2 * time.Second); p != 0 {
		t.Error("moved before the card did:", p)
	}
	s.read(2*time.Second, 480)
	s.read(3*time.Second, 480+48000+5000)
	if p := s.position(3 * time.Second); p != 53480 {
		t.Error("after a jump of 5000 frames:", p)
	}
	for at := 3 * time.Second; at <= 6*time.Second; at += 10 * time.Millisecond {
		s.read(at, 53480)
	}
	if d := s.stalled(6 * time.Second); d != 3*time.Second {
		t.Error("stood still for 3 s, noticed", d)
	}
	if p := s.position(6 * time.Second); p > 53480+1920+480 {
		t.Error("ran away from a card that stands still:", p)
	}
}
