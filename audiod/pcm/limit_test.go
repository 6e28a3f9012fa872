package pcm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// limited is s after a Limiter, in blocks of odd sizes.
func limited(s []float32, channels int) []float32 {
	l, rnd := NewLimiter(channels, 48000), rand.New(rand.NewPCG(7, 9))
	s = slices.Clone(s)
	for rest := s; len(rest) > 0; {
		n := min(len(rest), (1+rnd.IntN(1024))*channels)
		l.Limit(rest[:n])
		rest = rest[n:]
	}
	return s
}

// Up to full scale not a bit is changed, and so 1 dB below it.
func TestLimiterIsTransparent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, level := range []float64{-60, -1, 0} {
		top := float32(math.Pow(10, level/20))
		noise := make([]float32, 2*48000)
		for i := range noise {
			noise[i] = top * (2*rnd.Float32() - 1)
		}
		noise[1000], noise[1001] = top, -top
		if !slices.Equal(limited(noise, 2), noise) {
			t.Errorf("noise of %v dBFS is changed", level)
		}
	}
}

// A tone beyond full scale stays a tone, with far less beside it than clipping leaves, and never beyond.
func TestLimiterKeepsTones(t *testing.T) {
	for _, hz := range []float64{60, 997, 10007} {
		for _, over := range []float64{0.5, 3, 6, 20} {
			s := sine(48000*2, 2, hz, 48000)
			for i := range s {
				s[i] *= float32(math.Pow(10, over/20) / 0.9)
			}
			out := limited(s, 2)
			if p := Peak(out); p > 1 {
				t.Fatalf("%v Hz, %v dB over: a peak of %v", hz, over, p)
			}
			one := channel(out, 2, 0)[4800:]
			amplitude, residual := fit(one, hz, 48000)
			clipped := channel(s, 2, 0)[4800:]
			Clip(clipped)
			_, before := fit(clipped, hz, 48000)
			if residual > -36 || residual > before-10 || amplitude < 0.9 || amplitude > 1.01 {
				t.Errorf("%v Hz, %v dB over: amplitude %.3f, %.1f dB beside it; clipping leaves %.1f dB", hz, over, amplitude, residual, before)
			}
			// The second channel, half as loud, keeps its distance from the first.
			if second, _ := fit(channel(out, 2, 1)[4800:], hz, 48000); math.Abs(db(second/amplitude)+6.02) > 0.1 {
				t.Errorf("%v Hz, %v dB over: the channels are %.2f dB apart", hz, over, db(second/amplitude))
			}
		}
	}
}

// After a burst what follows comes back without a step, and to the bit within three seconds.
func TestLimiterRecovers(t *testing.T) {
	s := make([]float32, 48000*4)
	for i := range s {
		s[i] = 0.25
		if i >= 4800 && i < 9600 {
			s[i] = 4
		}
	}
	out := limited(s, 1)
	for i := 9601; i < len(out); i++ {
		if d := out[i] - out[i-1]; d < -1e-6 || d > 1e-4 {
			t.Fatalf("frame %d after the burst: a step of %v", i-9600, d)
		}
	}
	for i, x := range out[9600+3*48000:] {
		if x != 0.25 {
			t.Fatalf("3 s and %d frames after the burst: %v", i, x)
		}
	}
	// What can be foreseen is not fallen into.
	block := slices.Repeat([]float32{0.5}, 1024)
	block[600] = 4
	NewLimiter(1, 48000).Limit(block)
	for i := 1; i < 600; i++ {
		if d := block[i-1] - block[i]; d < -1e-6 || d > 0.0025 {
			t.Fatalf("%d frames before a peak: a step of %v", 600-i, d)
		}
	}
	if block[600] < 0.99 || block[599] > 0.13 {
		t.Errorf("the peak is %v after %v", block[600], block[599])
	}
	// A level that goes slowly beyond full scale is followed without a step, too.
	for i := range s {
		s[i] = float32(i) / 48000
	}
	out = limited(s, 1)
	for i := 1; i < len(out); i++ {
		if d := math.Abs(float64(out[i] - out[i-1])); d > 2e-3 || out[i] > 1 {
			t.Fatalf("frame %d: %v after %v", i, out[i], out[i-1])
		}
	}
}

func TestLimiterBearsAnything(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, channels := range []int{1, 2, 5, 8} {
		l := NewLimiter(channels, 8000)
		buf := make([]float32, 3000*channels)
		for k := range 50 {
			if k == 0 {
				buf[1] = nan // alone
				l.Limit(buf[:8*channels])
				if buf[1] != 0 {
					t.Errorf("%d channels: a NaN became %v", channels, buf[1])
				}
			}
			for i := range buf {
				buf[i] = []float32{0.5, 3e38, -3e38, 1, -1, 7, 0}[(i+k)%7]
			}
			if k == 25 {
				buf[17], buf[170*channels], buf[2000] = nan, inf, -inf
			}
			l.Limit(buf[:(1+k*59)*channels])
			for i, x := range buf[:(1+k*59)*channels] {
				if !(x >= -1 && x <= 1) {
					t.Fatalf("%d channels, block %d: sample %d is %v", channels, k, i, x)
				}
			}
		}
		clear(buf)
		for range 100 {
			l.Limit(buf)
		}
		if l.gain != 1 {
			t.Errorf("%d channels: it does not recover from that: %v", channels, l.gain)
		}
		if n := testing.AllocsPerRun(100, func() { buf[0] = 2; l.Limit(buf) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
