package pcm

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/tphakala/simd/f32"
)

// Quality is how well a Resampler does its work, for how much of the processor.
type Quality uint8

const (
	Normal Quality = iota // what is not the sound lies 110 dB below it; flat to 86 % of half the lower rate
	Best                  // 130 dB; flat to 91 %, and next to nothing folds back
)

var qualities = [...]string{Normal: "normal", Best: "best"}

func (q Quality) String() string { return qualities[q] }

// MarshalText and UnmarshalText are for options and their files.
func (q Quality) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText returns an error for what is no quality's name.
func (q *Quality) UnmarshalText(name []byte) error {
	i := slices.Index(qualities[:], string(name))
	if i < 0 {
		return fmt.Errorf("no resampler is called %q: there are %s", name, strings.Join(qualities[:], " and "))
	}
	*q = Quality(i)
	return nil
}

// design is the one filter that all of a quality are cut from: a sinc under a Kaiser window, in units of input frames; of output frames
// where those are fewer.
type design struct {
	halfTaps  int
	phases    int              // rows of a table that has not every phase, with as many taps as the prototype…
	cubic     bool             // …and whether what lies between is weighed from four of them, or two
	prototype func() []float64 // its right half, from one point before the middle to two after the end
}

// The normal one falls by 6 dB at 96.8 % of half the lower rate and by 115 dB from 86 to 108 %: between 44.1 and 48 kHz it is flat
// to 19 kHz, and what folds back is above 20 kHz. The best one falls by 140 dB from 91 to 101 %.
var designs = [...]design{
	Normal: newDesign(40, 0.968, 12, 1024, false),
	Best:   newDesign(96, 0.96, 14.6, 256, true),
}

const (
	fine      = 512     // points of the prototype for each unit
	tableSize = 1 << 16 // coefficients, up to which a table has every phase
)

// filter is the prototype stretched for one pair of rates and sampled at evenly spaced phases. Immutable.
type filter struct {
	taps  int
	rows  int       // how many phases of an input frame the table has
	coef  []float32 // row after row, and the first again, one input frame later
	table []float32 // the same, and what between needs besides: a row before and another after
}

// filterKey is all that a filter depends on.
type filterKey struct {
	quality Quality
	rows    int
	stretch float64
}

// filters holds what is in use, by any goroutine that makes a Resampler.
var filters struct {
	sync.Mutex
	known map[filterKey]weak.Pointer[filter]
}

// filterFor returns the filter between rates without common factor.
func filterFor(q Quality, in, out int) *filter {
	stretch := max(1, float64(in)/float64(out))
	if rows := out; rows*q.taps(stretch) <= tableSize {
		return shared(filterKey{q, rows, stretch})
	}
	return shared(coarse(q, stretch))
}

// filterNear returns a filter for any ratio of rates up to in/out, that does for ratios a little less as well.
func filterNear(q Quality, ratio float64) *filter {
	return shared(coarse(q, max(1, math.Ceil(ratio/tuneStep)*tuneStep)))
}

func (q Quality) taps(stretch float64) int {
	return (int(math.Ceil(2*float64(designs[q].halfTaps)*stretch)) + 15) &^ 15
}

// coarse is the key of a table that has not every phase. A stretched filter is so much smoother.
func coarse(q Quality, stretch float64) filterKey {
	return filterKey{q, int(math.Ceil(float64(designs[q].phases) / stretch)), stretch}
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
	f := newFilter(key)
	if filters.known == nil {
		filters.known = map[filterKey]weak.Pointer[filter]{}
	}
	filters.known[key] = weak.Make(f)
	return f
}

func newFilter(key filterKey) *filter {
	d := &designs[key.quality]
	f := &filter{taps: key.quality.taps(key.stretch), rows: key.rows}
	first, last := 0, f.rows
	if d.cubic {
		first, last = -1, f.rows+1
	}
	f.table = make([]float32, 0, (last-first+1)*f.taps)
	h := d.prototype()
	for row := first; row <= last; row++ {
		for i := range f.taps {
			t := math.Abs(float64(i-(f.taps/2-1))-float64(row)/float64(f.rows)) / key.stretch * fine
			var x float64
			if n := int(t); n < d.halfTaps*fine {
				for k, w := range lagrange(t - float64(n)) {
					x += w * h[n+k] / key.stretch
				}
			}
			f.table = append(f.table, float32(x))
		}
	}
	f.coef = f.table[-first*f.taps:]
	return f
}

// lagrange weighs four points in a row for what lies x, 0 to 1, beyond the second.
func lagrange(x float64) [4]float64 {
	return [4]float64{-x * (1 - x) * (2 - x) / 6, (1 - x*x) * (2 - x) / 2, x * (1 + x) * (2 - x) / 2, -x * (1 - x*x) / 6}
}

// between puts into row the filter for a phase of 0 to 1, weighed from the rows around it.
func (f *filter) between(row []float32, phase float64) {
	phase *= float64(f.rows)
	n := int(phase)
	x := phase - float64(n)
	near := f.table[n*f.taps:]
	if len(f.table) == len(f.coef) {
		f32.Scale(row, near, float32(1-x))
		f32.AddScaled(row, float32(x), near[f.taps:])
		return
	}
	w := lagrange(x)
	f32.Scale(row, near, float32(w[0]))
	for k, w := range w[1:] {
		f32.AddScaled(row, float32(w), near[(k+1)*f.taps:])
	}
}

func newDesign(halfTaps int, cutoff, kaiserB float64, phases int, cubic bool) design {
	return design{halfTaps, phases, cubic, sync.OnceValue(func() []float64 {
		q := kaiserB * kaiserB / 4
		h, top := make([]float64, halfTaps*fine+4), bessel(q)
		for i := range h {
			t := math.Abs(float64(i-1)) / fine
			x := t / float64(halfTaps)
			h[i] = cutoff * sinc(cutoff*t) * bessel(q*(1-x*x)) / top
		}
		return h
	})}
}

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
