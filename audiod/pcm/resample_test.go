package pcm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// sine is n frames of the same sine in every channel, a little less in each.
func sine(n, channels int, hz, rate float64) []float32 {
	s := make([]float32, n*channels)
	for i := range n {
		for c := range channels {
			s[i*channels+c] = float32(0.9 / float64(c+1) * math.Sin(2*math.Pi*hz*float64(i)/rate))
		}
	}
	return s
}

// channel is one channel of interleaved frames.
func channel(s []float32, channels, c int) (one []float32) {
	for i := c; i < len(s); i += channels {
		one = append(one, s[i])
	}
	return one
}

// fit finds the a·sin + b·cos + c that comes nearest to s. It returns the amplitude, and what is left in dB of it:
// distortion, images, aliases and noise together (THD+N).
func fit(s []float32, hz, rate float64) (amplitude, residual float64) {
	basis := func(i int) [3]float64 {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / rate)
		return [3]float64{sin, cos, 1}
	}
	var m [3][4]float64 // normal equations
	for i, x := range s {
		v := basis(i)
		for r := range 3 {
			for c := range 3 {
				m[r][c] += v[r] * v[c]
			}
			m[r][3] += v[r] * float64(x)
		}
	}
	for p := range 3 { // Gauss and Jordan
		for r := range 3 {
			if f := m[r][p] / m[p][p]; r != p {
				for c := range 4 {
					m[r][c] -= f * m[p][c]
				}
			}
		}
	}
	a, b, c := m[0][3]/m[0][0], m[1][3]/m[1][1], m[2][3]/m[2][2]
	var rest float64
	for i, x := range s {
		v := basis(i)
		e := float64(x) - a*v[0] - b*v[1] - c
		rest += e * e
	}
	amplitude = math.Hypot(a, b)
	return amplitude, 10 * math.Log10(rest/float64(len(s))/(amplitude*amplitude/2))
}

func db(x float64) float64 { return 20 * math.Log10(x) }

// all resamples in, and pushes out what is then inside.
func all(r *Resampler, in []float32) []float32 {
	frames := len(in) / r.channels * int(r.out) / int(r.in)
	in = append(in[:len(in):len(in)], make([]float32, r.filter.taps*r.channels)...)
	out := make([]float32, frames*r.channels)
	n, _ := r.Process(out, in)
	return out[:n*r.channels]
}

// everyRates are pairs with a table for every phase and without, up and down, to the limits of what is served.
var everyRates = [][2]int{
	{44100, 48000}, {48000, 44100}, {8000, 48000}, {4000, 48000}, {11025, 48000}, {44100, 192000}, {192000, 48000}, {96000, 44100},
	{384000, 48000}, {384000, 44100}, {47999, 48000}, {48000, 47999}, {5512, 48000}, {95999, 44100}, {MaxRate, MinRate}, {MinRate, MaxRate},
	{MaxRate - 1, MinRate}, {48000, 48000},
}

// A sine comes out as that sine, as loud, and next to nothing else: up to 85 % of what the lower rate can carry,
// in each channel alone, and with no more than single precision has at both ends.
func TestResamplerQuality(t *testing.T) {
	for _, rates := range everyRates {
		from, to := rates[0], rates[1]
		half := float64(min(from, to)) / 2
		for _, hz := range []float64{997, 10007, 18011, 0.45*half + 1, 0.85*half + 1} {
			if hz > 0.86*half {
				continue
			}
			t.Run(fmt.Sprintf("%d-%d/%.0fHz", from, to, hz), func(t *testing.T) {
				r := NewResampler(Normal, 2, from, to)
				out := all(r, sine(from/4, 2, hz, float64(from)))
				edge := r.filter.taps*to/from + 1
				for c := range 2 {
					s := channel(out, 2, c)
					gain, residual := fit(s[edge:len(s)-edge], hz, float64(to))
					gain = db(gain * float64(c+1) / 0.9)
					t.Logf("channel %d: %+.5f dB, residual %.1f dB", c, gain, residual)
					if math.Abs(gain) > 0.001 || residual > -115 {
						t.Errorf("channel %d: %+.5f dB, residual %.1f dB: want 0 and under -115", c, gain, residual)
					}
				}
			})
		}
	}
}

// What the lower rate cannot carry is not to be heard at some other place.
func TestResamplerRejectsAliases(t *testing.T) {
	for _, c := range []struct{ from, to, hz int }{{48000, 44100, 23900}, {192000, 48000, 30011}, {384000, 8000, 5003}, {95999, 44100, 40009}} {
		in := sine(c.from/4, 1, float64(c.hz), float64(c.from))
		r := NewResampler(Normal, 1, c.from, c.to)
		out := all(r, in)
		edge := r.filter.taps*c.to/c.from + 1
		if p := db(float64(Peak(out[edge : len(out)-edge]))); p > -105 {
			t.Errorf("%d Hz, from %d to %d: %.1f dB of it are left", c.hz, c.from, c.to, p)
		}
	}
}

// The first output frame is of the same instant as the first input frame.
func TestResamplerKeepsTime(t *testing.T) {
	for i, rates := range slices.Concat(everyRates, everyRates) {
		from, to := rates[0], rates[1]
		hz := float64(min(from, to)) / 8
		r := NewResampler(Quality(i/len(everyRates)), 1, from, to)
		out := all(r, sine(from/4, 1, hz, float64(from)))
		edge := r.filter.taps*to/from + 1
		for i := edge; i < len(out)-edge; i++ {
			if want := 0.9 * math.Sin(2*math.Pi*hz*float64(i)/float64(to)); math.Abs(float64(out[i])-want) > 2e-5 {
				t.Errorf("from %d to %d: frame %d is %g, want %g", from, to, i, out[i], want)
				break
			}
		}
	}
}

// However the sound is cut, every sample is the same, Need is enough and not too much, and Delay says what is inside.
func TestResamplerAnyBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, rates := range everyRates {
		for _, channels := range []int{1, 2, 5} {
			q := Quality(rng.IntN(len(designs)))
			r := NewResampler(q, channels, rates[0], rates[1])
			have := 8000 + r.filter.taps
			in := make([]float32, have*channels)
			for i := range in {
				in[i] = rng.Float32()*2 - 1
			}
			n := have / 2 * rates[1] / rates[0]
			whole := make([]float32, min(n, 5000)*channels)
			n, taken := NewResampler(q, channels, rates[0], rates[1]).Process(whole, in)
			whole = whole[:n*channels]

			r.Process(make([]float32, 77*channels), in) // Reset must undo it
			r.Reset()
			var cut []float32
			at := 0
			for len(cut) < len(whole) {
				buf := make([]float32, min(rng.IntN(700), n-len(cut)/channels)*channels)
				need := r.Need(len(buf) / channels)
				give := min(need+rng.IntN(3)-1, have-at)
				give = max(give, 0)
				o, i := r.Process(buf, in[at*channels:(at+give)*channels])
				if enough := give >= need; i != min(give, need) || enough != (o == len(buf)/channels) {
					t.Fatalf("%v: needs %d for %d, given %d: took %d, made %d", rates, need, len(buf)/channels, give, i, o)
				}
				at += i
				cut = append(cut, buf[:o*channels]...)
				want := float64(at) - float64(len(cut)/channels)*float64(rates[0])/float64(rates[1])
				if math.Abs(r.Delay()-want) > 1e-6 {
					t.Fatalf("%v: %d in, %d out, delay %g, want %g", rates, at, len(cut)/channels, r.Delay(), want)
				}
			}
			if at != taken || !slices.Equal(cut, whole) {
				t.Errorf("%v, %d channels: cut into blocks it is another sound (%d of %d samples from %d of %d frames)",
					rates, channels, len(cut), len(whole), at, taken)
			}
		}
	}
}

// Resamplers between the same rates have one filter, those upwards between odd rates too, and nobody keeps one that is not in use.
func TestFiltersAreShared(t *testing.T) {
	a, b := NewResampler(Normal, 1, 44100, 48000), NewResampler(Normal, 2, 88200, 96000)
	c, d := NewResampler(Normal, 1, 47999, 48000), NewResampler(Normal, 1, 31337, 48000)
	if a.filter != b.filter || c.filter != d.filter || a.filter == c.filter {
		t.Error("filters are not shared as they could be")
	}
	for _, rates := range everyRates {
		for q := range designs {
			if f := NewResampler(Quality(q), 1, rates[0], rates[1]).filter; len(f.table)*4 > 450<<10 {
				t.Errorf("%v, %v: a filter of %d KB", Quality(q), rates, len(f.table)*4>>10)
			}
		}
	}
	runtime.KeepAlive(a)
	runtime.KeepAlive(c)
	a, b, c, d = nil, nil, nil, nil
	runtime.GC()
	filters.Lock()
	defer filters.Unlock()
	for key, f := range filters.known {
		if f.Value() != nil {
			t.Errorf("%v is still there", key)
		}
	}
}

// The plain loops and the vector instructions make the same sound.
func TestWalk(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := func(n int) []float32 {
		s := make([]float32, n)
		for i := range s {
			s[i] = rng.Float32() - .5
		}
		return s
	}
	for range 2000 {
		w := walk{taps: 16 * (1 + rng.IntN(20)), rows: 1 + rng.IntN(20), stride: 1 + rng.IntN(8), frames: 1 + rng.IntN(100)}
		w.phase, w.rest, w.whole = rng.IntN(w.rows), rng.IntN(w.rows), rng.IntN(3)
		w.second = rng.IntN(min(w.stride, 2))
		w.coef = noise(w.rows * w.taps)
		last := w.last()
		w.a, w.b = noise(last+w.taps), noise(last+w.taps)
		if w.second == 0 {
			w.b = w.a
		}
		size := (w.frames-1)*w.stride + w.second + 1
		plain := w
		plain.out = make([]float32, size)
		plain.plain()
		for name, do := range walks {
			other := w
			other.out = make([]float32, size)
			do(&other)
			for i := range plain.out {
				if d := plain.out[i] - other.out[i]; d > 1e-5 || d < -1e-5 {
					t.Fatalf("%d taps, frame %d of %d: %g, but by %s %g", w.taps, i/w.stride, w.frames, plain.out[i], name, other.out[i])
				}
			}
		}
		x := plain.out[size-1] // the last frame, worked out anew
		var want float64
		row := (w.phase + (w.frames-1)*w.rest) % w.rows
		for i, h := range w.coef[row*w.taps:][:w.taps] {
			want += float64(h) * float64(w.b[last+i])
		}
		if math.Abs(float64(x)-want) > 1e-5 {
			t.Fatalf("%d taps: %g, want %g", w.taps, x, want)
		}
	}
}

func TestResamplerDoesNotAllocate(t *testing.T) {
	for i, rates := range [][2]int{{44100, 48000}, {47999, 48000}, {44100, 48000}, {47999, 48000}} {
		r := NewResampler(Quality(i/2), 2, rates[0], rates[1])
		in, out := make([]float32, 2000), make([]float32, 960)
		if n := testing.AllocsPerRun(100, func() {
			r.Process(out, in[:2*r.Need(480)])
			r.Reset()
		}); n > 0 {
			t.Errorf("%v: %g allocations", rates, n)
		}
	}
}

// What Need says of frames that come out, Gives says of those that go in, at every moment.
func TestGivesIsNeedsInverse(t *testing.T) {
	for _, rates := range [][2]int{{44100, 48000}, {48000, 44100}, {8000, 48000}, {192000, 48000}, {47999, 48000}} {
		r := NewResampler(Normal, 1, rates[0], rates[1])
		out, in := make([]float32, 2000), make([]float32, 10000)
		for i := range 500 {
			for _, frames := range []int{0, 1, 2, 31, 100, 1764} {
				n := r.Gives(frames)
				if most := r.Need(n); n > 0 && most > frames || r.Need(n+1) <= frames {
					t.Fatalf("%v: %d frames give %d, for which %d are needed, and %d for one more", rates, frames, n, most, r.Need(n+1))
				}
			}
			n := i * 7 % len(out)
			r.Process(out[:n], in[:r.Need(n)])
		}
	}
}
