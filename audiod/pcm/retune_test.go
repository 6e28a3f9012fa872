package pcm

import (
	"math"
	"testing"
)

// A sine whose rate is changed again and again comes out as the sine at the times that the changes amount to: no step, no frame too many, and
// nothing else above what the quality promises.
func TestRetune(t *testing.T) {
	for q := range promises {
		testRetune(t, Quality(q))
	}
}

func testRetune(t *testing.T, q Quality) {
	for _, c := range []struct {
		name     string
		from, to int
		rates    []int // of the input, 20 ms each
		hz       float64
	}{
		{"drift", 48000, 48000, []int{48001, 48003, 48000, 47990, 48010, 47999, 48000}, 10007},
		{"drift of 44.1 kHz", 44100, 48000, []int{44101, 44090, 44100, 44123, 44144, 44056}, 997},
		{"drift of what is above", 96000, 44100, []int{96010, 95990, 96500, 95000, 96000}, 10007},
		{"faster and slower", 44100, 48000, []int{66150, 22050, 44100, 48000, 96000, 32000}, 3001},
		{"to the same rate", 44100, 44100, []int{44100, 44101, 44100}, 10007},
		{"drift of a millionth", 48000, 48000, []int{48000_048, 47999_952, 48000_001}, 10007},
	} {
		per := 1 // of a Hertz
		if c.rates[0] > MaxRate {
			per = 1000
		}
		most := 10 * math.Pow(10, promises[q].residual/20) // of a single sample
		for _, channels := range []int{1, 2, 3} {
			r := NewResampler(q, channels, c.from, c.to)
			frames := c.to / 50
			in := sine(len(c.rates)*4*c.from/50+4000, channels, c.hz, float64(c.from))
			at, now := 0, 0.
			var off, worst float64
			n := 0
			rate := c.from * per
			for k := -1; k < len(c.rates); k++ {
				if k >= 0 {
					rate = c.rates[k]
					before := r.Delay()
					r.Retune(rate, c.to*per)
					if d := r.Delay() - before; math.Abs(d) > 1e-9 {
						t.Errorf("%s: the change to %d made the delay %v longer", c.name, rate, d)
					}
				}
				out := make([]float32, frames*channels)
				for rest := out; len(rest) > 0; { // in odd pieces
					piece := rest[:min(len(rest), 61*channels)]
					need := r.Need(len(piece) / channels)
					made, taken := r.Process(piece, in[at*channels:(at+need)*channels])
					if made*channels != len(piece) || taken != need {
						t.Fatalf("%s: %d frames of %d, %d taken of the %d that were needed", c.name, made, len(piece)/channels, taken, need)
					}
					at += taken
					rest = rest[len(piece):]
				}
				for i := range frames {
					if now > 200 {
						for ch := range channels {
							e := math.Abs(float64(out[i*channels+ch]) - 0.9/float64(ch+1)*math.Sin(2*math.Pi*c.hz*now/float64(c.from)))
							off, worst, n = off+e*e, max(worst, e), n+1
						}
					}
					now += float64(rate) / float64(c.to*per)
				}
			}
			if residual := 10 * math.Log10(off/float64(n)/(0.9*0.9/2)); residual > promises[q].residual || worst > most {
				t.Errorf("%s, %d channels: %.1f dB beside the sine, at most %g", c.name, channels, residual, worst)
			}
			if d := float64(at) - now - r.Delay(); math.Abs(d) > 1e-3 {
				t.Errorf("%s: the delay is wrong by %v frames", c.name, d)
			}
		}
	}
}

// Any change from any rate to any other leaves a Resampler that works.
func TestRetuneAnything(t *testing.T) {
	rates := []int{MinRate, 8000, 44100, 48000, 47999, 192000, MaxRate}
	r := NewResampler(Normal, 2, 44100, 48000)
	in := make([]float32, 2*200*1024)
	for i := range in {
		in[i] = 0.5
	}
	for _, from := range rates {
		for _, to := range rates {
			r.Retune(from, to)
			out := make([]float32, 2*1024)
			for range 3 {
				need := r.Need(1024)
				if made, taken := r.Process(out, in[:2*need]); made != 1024 || taken != need {
					t.Fatalf("%d to %d: made %d, took %d of %d", from, to, made, taken, need)
				}
			}
			for i, x := range out {
				if math.Abs(float64(x)-0.5) > 1e-4 {
					t.Fatalf("%d to %d: sample %d of a constant 0.5 is %v", from, to, i, x)
				}
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { r.Process(in[:2*480], in[:2*r.Need(480)]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
