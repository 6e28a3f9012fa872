package pcm

import (
	"math"
	"sync"
	"weak"

	"github.com/tphakala/simd/f32"
)

// The one filter that all are cut from: a sinc under a Kaiser window, in units of input frames; of output frames where those are fewer.
// It falls by 6 dB at 97 % of half the lower rate and by 120 dB from 87 to 107 %: between 44.1 and 48 kHz it is flat
// to 19.3 kHz, and what folds back is above 20 kHz.
const (
	halfTaps  = 40
	cutoff    = 0.97
	kaiserB   = 11.6
	fine      = 512     // points of the prototype for each unit
	tableSize = 1 << 16 // coefficients, up to which a table has every phase
	phases    = 1024    // rows of a table that has not, with as many taps as the prototype
)

// filter is the prototype stretched for one pair of rates and sampled at evenly spaced phases. Immutable.
type filter struct {
	taps int
	rows int       // how many phases of an input frame the table has
	coef []float32 // row after row, and the first again, one input frame later
}

// filterKey is all that a filter depends on.
type filterKey struct {
	rows    int
	stretch float64
}

// filters holds what is in use, by any goroutine that makes a Resampler.
var filters struct {
	sync.Mutex
	known map[filterKey]weak.Pointer[filter]
}

// filterFor returns the filter between rates without common factor.
func filterFor(in, out int) *filter {
	stretch := max(1, float64(in)/float64(out))
	if rows := out; rows*tapsOf(stretch) <= tableSize {
		return shared(filterKey{rows, stretch})
	}
	return shared(coarse(stretch))
}

// filterNear returns a filter for any ratio of rates up to in/out, that does for ratios a little less as well.
func filterNear(ratio float64) *filter {
	return shared(coarse(max(1, math.Ceil(ratio/tuneStep)*tuneStep)))
}

func tapsOf(stretch float64) int { return (int(math.Ceil(2*halfTaps*stretch)) + 15) &^ 15 }

// coarse is the key of a table that has not every phase. A stretched filter is so much smoother.
func coarse(stretch float64) filterKey {
	return filterKey{int(math.Ceil(phases / stretch)), stretch}
}

// shared is the filter of that key, worked out if nobody has it.
func shared(key filterKey) *filter {
	filters.Lock()
	defer filters.Unlock()
	if f := filters.known[key].Value(); f != nil {
		return f
	}
	for k, p := range filters.known {
		if p.Value() == nil {
			delete(filters.known, k)
		}
	}
	f := newFilter(tapsOf(key.stretch), key.rows, key.stretch)
	if filters.known == nil {
		filters.known = map[filterKey]weak.Pointer[filter]{}
	}
	filters.known[key] = weak.Make(f)
	return f
}

func newFilter(taps, rows int, stretch float64) *filter {
	f := &filter{taps: taps, rows: rows, coef: make([]float32, (rows+1)*taps)}
	h := prototype()
	for row := range rows + 1 {
		for i := range taps {
			// Cubic interpolation (Lagrange) between the four points around t.
			t := math.Abs(float64(i-(taps/2-1))-float64(row)/float64(rows)) / stretch * fine
			n := int(t)
			if n >= halfTaps*fine {
				continue
			}
			x, p := t-float64(n), h[n:n+4]
			f.coef[row*taps+i] = float32((p[1]*(1-x*x)*(2-x)/2 + p[2]*x*(1+x)*(2-x)/2 -
				p[0]*x*(1-x)*(2-x)/6 - p[3]*x*(1-x*x)/6) / stretch)
		}
	}
	return f
}

// between puts into row the filter for a phase of 0 to 1, weighed from the two rows around it.
func (f *filter) between(row []float32, phase float64) {
	phase *= float64(f.rows)
	n := int(phase)
	x := float32(phase - float64(n))
	f32.Scale(row, f.coef[n*f.taps:], 1-x)
	f32.AddScaled(row, x, f.coef[(n+1)*f.taps:])
}

// prototype is the right half of the filter, from one point before the middle to two after the end.
var prototype = sync.OnceValue(func() []float64 {
	const q = kaiserB * kaiserB / 4
	h, top := make([]float64, halfTaps*fine+4), bessel(q)
	for i := range h {
		t := math.Abs(float64(i-1)) / fine
		x := t / halfTaps
		h[i] = cutoff * sinc(cutoff*t) * bessel(q*(1-x*x)) / top
	}
	return h
})

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function of the first kind and order 0, of twice the root of q.
func bessel(q float64) float64 {
	sum, term := 1., 1.
	for k := 1.; math.Abs(term) > sum*1e-18; k++ {
		term *= q / (k * k)
		sum += term
	}
	return sum
}
