package pcm

import (
	"math"
	"testing"
)

// figures are what a Resampler does to sound, in dB, measured on what comes out of Process.
type figures struct {
	tones  [3]float64 // all that is not the tone, beside tones of 997 Hz, 10 kHz and 18 kHz; NaN for those the rates cannot carry
	sweep  float64    // the same beside a sweep through the flat part, the worst of its windows: images
	ripple float64    // the furthest from 0 dB in the flat part
	top    float64    // the gain at 20 kHz or, where the rates do not reach so far, at 90 % of half the lower one
	alias  float64    // what is left of a sweep through all that the lower rate cannot carry, the worst of its windows; NaN upwards
	delay  float64    // ms
}

// promises are what each quality keeps at all rates.
var promises = [...]struct {
	residual float64 // dB, of tones, sweep and alias
	ripple   float64 // dB
	top      float64 // dB
	flat     float64 // of half the lower rate: up to where ripple and sweep are kept…
	stop     float64 // …and from where on alias is: what folds back from below that is as far beyond 20 kHz, or 90 %
}{
	Normal: {-110, 0.0001, -0.05, 0.86, 1.08},
	Best:   {-130, 0.0001, -0.0001, 0.91, 1.01},
}

func measure(q Quality, from, to int) (f figures) {
	fs, half := float64(from), float64(min(from, to))/2
	flat, stop := promises[q].flat*half, promises[q].stop*half
	through := func(in []float32) (out []float32, edge int) {
		r := NewResampler(q, 1, from, to)
		f.delay = float64(r.Need(1)) / fs * 1000
		return all(r, in), r.filter.taps*to/from + 1
	}
	tone := func(hz float64, frames int) (gain, residual float64) {
		out, edge := through(sine(frames, 1, hz, fs))
		gain, residual = fit(out[edge:len(out)-edge], hz, float64(to))
		return db(gain / 0.9), residual
	}
	for i, hz := range []float64{997, 10007, 18011} {
		if f.tones[i] = math.NaN(); hz < flat {
			_, f.tones[i] = tone(hz, from/4)
		}
	}
	short := 4*NewResampler(q, 1, from, to).filter.taps + from/50
	for k := range 40 {
		gain, _ := tone(flat*(float64(k)+1)/40, short)
		f.ripple = max(f.ripple, math.Abs(gain))
	}
	f.top, _ = tone(min(20000, 0.9*half), short)

	// worst is the loudest window of what lies beside the sweep, of the sweep's own level.
	worst := func(out []float32, edge int, beside func(t float64) float64) float64 {
		const window = 200
		most := 0.
		for at := edge; at+window < len(out)-edge; at += window {
			sum := 0.
			for i := at; i < at+window; i++ {
				e := float64(out[i]) - beside(float64(i)/float64(to))
				sum += e * e
			}
			most = max(most, sum/window)
		}
		return 10 * math.Log10(most/(0.9*0.9/2))
	}
	out, edge := through(chirp(from/2, fs, 20, flat))
	f.sweep = worst(out, edge, func(t float64) float64 { return chirpAt(t, float64(from/2)/fs, 20, flat) })
	f.alias = math.NaN()
	if stop < fs/2 {
		out, edge = through(chirp(from/2, fs, stop, fs/2))
		f.alias = worst(out, edge, func(float64) float64 { return 0 })
	}
	return f
}

// chirp is n frames of a tone that rises evenly from one frequency to another.
func chirp(n int, rate, low, high float64) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(chirpAt(float64(i)/rate, float64(n)/rate, low, high))
	}
	return s
}

func chirpAt(t, length, low, high float64) float64 {
	return 0.9 * math.Sin(2*math.Pi*t*(low+t*(high-low)/2/length))
}

// TestQuality holds both qualities to their promises, and prints what they do with -v.
func TestQuality(t *testing.T) {
	t.Logf("%22s %29s %7s %9s %9s %7s %8s", "dB:", "beside 997 Hz, 10 and 18 kHz", "sweep", "ripple", "top", "alias", "delay")
	for q, limit := range promises {
		for _, rates := range [][2]int{{44100, 48000}, {48000, 44100}, {48000, 96000}, {96000, 48000}, {8000, 48000}, {48000, 8000},
			{22050, 48000}, {48000, 22050}, {192000, 48000}, {48000, 192000}, {47999, 48000}, {48000, 47999}} {
			f := measure(Quality(q), rates[0], rates[1])
			t.Logf("%-6v %6d > %-6d %9.1f %9.1f %9.1f %7.1f %9.6f %9.5f %7.1f %5.2f ms", Quality(q), rates[0], rates[1],
				f.tones[0], f.tones[1], f.tones[2], f.sweep, f.ripple, f.top, f.alias, f.delay)
			for _, x := range append(f.tones[:], f.sweep, f.alias) {
				if x >= limit.residual {
					t.Errorf("%v, %v: %.1f dB where %v are promised", Quality(q), rates, x, limit.residual)
				}
			}
			if f.ripple > limit.ripple || f.top < limit.top {
				t.Errorf("%v, %v: a ripple of %f dB, %f dB at the top, where %v and %v are promised", Quality(q), rates, f.ripple, f.top, limit.ripple, limit.top)
			}
			if math.IsNaN(f.tones[0]) || math.IsNaN(f.alias) != (rates[0] <= rates[1] || rates[0] == 48000 && rates[1] == 47999) {
				t.Errorf("%v, %v: not measured", Quality(q), rates)
			}
		}
	}
}
