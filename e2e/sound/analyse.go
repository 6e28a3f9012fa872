package sound

import (
	"fmt"
	"math"
	"math/cmplx"
	"slices"
)

// Break is a place where the tones do not go on as they should.
type Break struct {
	Frame int    // where, to about a block's length at worst
	What  string // in words
}

func (b Break) String() string { return fmt.Sprintf("frame %d: %s", b.Frame, b.What) }

// Tones are the n strongest tones of channel ch, by frequency, and the level of all else. A disturbance of a few blocks
// changes none of them: each is the median over short blocks. The phase is that of the first block.
func (s Sound) Tones(ch, n int) (tones []Tone, rest float64) {
	f := fit(s.Ch[ch], s.Rate, n)
	if f == nil {
		return nil, s.Level(ch)
	}
	for i, freq := range f.freqs {
		tones = append(tones, Tone{Freq: freq * float64(s.Rate), DB: decibel(f.usual[i]), Phase: f.blocks[0].phase[i]})
	}
	slices.SortFunc(tones, func(a, b Tone) int { return int(math.Copysign(1, a.Freq-b.Freq)) })
	return tones, decibel(math.Sqrt2 * f.typical(func(b block) float64 { return b.rms }))
}

// Breaks are the places where the n strongest tones of channel ch jump in phase (frames lost or repeated), change their
// level, or have something beside them that stands out (a click). A stretch of several broken blocks is one break.
func (s Sound) Breaks(ch, n int) (breaks []Break) {
	f := fit(s.Ch[ch], s.Rate, n)
	if f == nil {
		return []Break{{0, fmt.Sprintf("too short (%d frames), or no tone in it", s.Frames())}}
	}
	typicalPeak := f.typical(func(b block) float64 { return b.peak })
	last := -10
	for k, b := range f.blocks {
		what := ""
		if b.peak > 4*typicalPeak+2.0/(1<<15) {
			what = fmt.Sprintf("%.4f beside the tones, %.5f elsewhere", b.peak, typicalPeak)
		}
		for i, freq := range f.freqs {
			before, after := f.around(k)
			if was, is := f.blocks[before].amp[i], f.blocks[after].amp[i]; math.Abs(is-was) > 0.02*f.usual[i] {
				what = fmt.Sprintf("%.1f Hz goes from %.2f dB to %.2f dB", freq*float64(s.Rate), decibel(was), decibel(is))
			}
		}
		for i, freq := range f.freqs {
			if jump := f.jump(k, i); math.Abs(jump) > f.steady[i] {
				what = fmt.Sprintf("%.1f Hz jumps by %+.2f frames (or as much less as its period of %.2f frames)", freq*float64(s.Rate), jump/(2*math.Pi*freq), 1/freq)
			}
		}
		if what == "" {
			continue
		}
		if k > last+2 {
			breaks = append(breaks, Break{f.locate(s.Ch[ch], k), what})
		}
		last = k
	}
	for i, freq := range f.freqs {
		for k, b := range f.blocks {
			if len(breaks) == 0 && math.Abs(b.amp[i]/f.usual[i]-1) > 0.04 {
				breaks = append(breaks, Break{k * f.size, fmt.Sprintf("%.1f Hz drifts to %.2f dB from %.2f dB", freq*float64(s.Rate), decibel(b.amp[i]), decibel(f.usual[i]))})
			}
		}
	}
	return breaks
}

// fitted is a channel described block by block as a sum of sines.
type fitted struct {
	size   int       // frames in a block
	freqs  []float64 // cycles per frame
	blocks []block
	usual  []float64 // by tone: the amplitude
	steady []float64 // by tone: the phase jump that noise does not make
	basis  [][]float64
}

type block struct {
	coef       []float64 // of the basis: sine and cosine of each tone, and a constant
	amp, phase []float64 // by tone; the phase at the block's first frame
	rms, peak  float64   // of what the tones do not explain
}

// fit describes x by its n strongest tones; nil when it is too short or holds nothing.
func fit(x []float64, rate, n int) *fitted {
	size := min(rate/47, len(x)/8) // 1021 frames at 48 kHz
	if size < 16 {
		return nil
	}
	f := &fitted{size: size, freqs: peaks(x, n)}
	if len(f.freqs) < n {
		return nil
	}
	for range 3 { // the phase's drift from block to block is the error of the frequency
		f.describe(x)
		for i := range f.freqs {
			drift := f.median(func(k int) float64 {
				return wrap(f.blocks[k+1].phase[i] - f.blocks[k].phase[i] - 2*math.Pi*f.freqs[i]*float64(size))
			}, len(f.blocks)-1)
			f.freqs[i] += drift / (2 * math.Pi * float64(size))
		}
	}
	f.describe(x)
	for i, freq := range f.freqs {
		noise := f.median(func(k int) float64 { return math.Abs(f.jump(k, i)) }, len(f.blocks))
		f.steady = append(f.steady, 8*noise+0.05*2*math.Pi*freq)
		f.usual = append(f.usual, f.typical(func(b block) float64 { return b.amp[i] }))
	}
	return f
}

// jump is how far the phase of tone i behind block k is from where the one before block k leads.
func (f *fitted) jump(k, i int) float64 {
	a, b := f.around(k)
	return wrap(f.blocks[b].phase[i] - f.blocks[a].phase[i] - 2*math.Pi*f.freqs[i]*float64((b-a)*f.size))
}

// around are the blocks before and behind block k.
func (f *fitted) around(k int) (before, after int) { return max(0, k-1), min(len(f.blocks)-1, k+1) }

// describe fits every block by least squares, all with one basis.
func (f *fitted) describe(x []float64) {
	f.basis = nil
	for _, freq := range f.freqs {
		sin, cos := make([]float64, f.size), make([]float64, f.size)
		for t := range sin {
			sin[t], cos[t] = math.Sincos(2 * math.Pi * freq * float64(t))
		}
		f.basis = append(f.basis, sin, cos)
	}
	ones := make([]float64, f.size)
	for t := range ones {
		ones[t] = 1
	}
	f.basis = append(f.basis, ones)
	normal := make([][]float64, len(f.basis))
	for i := range normal {
		for j := range f.basis {
			normal[i] = append(normal[i], dot(f.basis[i], f.basis[j]))
		}
	}
	inverse := invert(normal)
	f.blocks = f.blocks[:0]
	for from := 0; from+f.size <= len(x); from += f.size {
		f.blocks = append(f.blocks, f.explain(x[from:from+f.size], inverse))
	}
}

func (f *fitted) explain(x []float64, inverse [][]float64) block {
	var b block
	right := make([]float64, len(f.basis))
	for i, v := range f.basis {
		right[i] = dot(v, x)
	}
	for i := range inverse {
		b.coef = append(b.coef, dot(inverse[i], right))
	}
	for i := range f.freqs {
		b.amp = append(b.amp, math.Hypot(b.coef[2*i], b.coef[2*i+1]))
		b.phase = append(b.phase, math.Atan2(b.coef[2*i+1], b.coef[2*i]))
	}
	for t, v := range x {
		for i := range f.basis[:len(f.basis)-1] {
			v -= b.coef[i] * f.basis[i][t]
		}
		b.rms += v * v
		b.peak = max(b.peak, math.Abs(v))
	}
	b.rms = math.Sqrt(b.rms / float64(len(x)))
	return b
}

// locate finds the frame around block k at which x leaves what the block before it leads to.
func (f *fitted) locate(x []float64, k int) int {
	before := f.blocks[max(0, k-2)]
	origin := max(0, k-2) * f.size
	limit := 2*f.typical(func(b block) float64 { return b.peak }) + 4.0/(1<<15)
	for frame := max(0, k-1) * f.size; frame < min(len(x), (k+2)*f.size); frame++ {
		v := x[frame]
		for i, freq := range f.freqs {
			v -= before.amp[i] * math.Sin(before.phase[i]+2*math.Pi*freq*float64(frame-origin))
		}
		if math.Abs(v) > limit {
			return frame
		}
	}
	return k * f.size
}

func (f *fitted) typical(of func(block) float64) float64 {
	return f.median(func(k int) float64 { return of(f.blocks[k]) }, len(f.blocks))
}

// median is the median of of(0) to of(n-1).
func (f *fitted) median(of func(int) float64, n int) float64 {
	all := make([]float64, n)
	for k := range all {
		all[k] = of(k)
	}
	slices.Sort(all)
	return (all[n/2] + all[(n-1)/2]) / 2
}

// peaks are the frequencies of the n strongest tones of x in cycles per frame, good to a hundredth of a bin or so: the
// tops of the spectrum, each looked for after the stronger ones are taken away.
func peaks(x []float64, n int) (freqs []float64) {
	size := 1
	for size*2 <= min(len(x), 1<<16) {
		size *= 2
	}
	start := (len(x) - size) / 2
	spectrum := make([]complex128, size)
	for t := range spectrum { // Hann's window: a tone is three bins wide and little else
		spectrum[t] = complex(x[start+t]*(1-math.Cos(2*math.Pi*float64(t)/float64(size))), 0)
	}
	transform(spectrum)
	magnitude := make([]float64, size/2)
	for i := range magnitude {
		magnitude[i] = cmplx.Abs(spectrum[i])
	}
	for range n {
		top := 0
		for i := 2; i < len(magnitude)-1; i++ {
			if magnitude[i] > magnitude[max(top, 1)] || top == 0 {
				top = i
			}
		}
		if top == 0 || magnitude[top] < 1e-6*float64(size) {
			return freqs
		}
		// The ratio of the two highest bins of a Hann window tells where between them the tone is.
		side := 1
		if magnitude[top-1] > magnitude[top+1] {
			side = -1
		}
		r := magnitude[top+side] / magnitude[top]
		freqs = append(freqs, (float64(top)+float64(side)*(2*r-1)/(1+r))/float64(size))
		for i := max(0, top-8); i < min(len(magnitude), top+9); i++ {
			magnitude[i] = 0
		}
	}
	return freqs
}

// transform is the discrete Fourier transform in place, of a length that is a power of two.
func transform(x []complex128) {
	n := len(x)
	if n == 1 {
		return
	}
	even, odd := make([]complex128, n/2), make([]complex128, n/2)
	for i := range even {
		even[i], odd[i] = x[2*i], x[2*i+1]
	}
	transform(even)
	transform(odd)
	for i := range even {
		turned := cmplx.Rect(1, -2*math.Pi*float64(i)/float64(n)) * odd[i]
		x[i], x[i+n/2] = even[i]+turned, even[i]-turned
	}
}

func wrap(phase float64) float64 { return math.Remainder(phase, 2*math.Pi) }

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// invert is the inverse of a small matrix, by elimination with pivots.
func invert(m [][]float64) [][]float64 {
	n := len(m)
	inverse := make([][]float64, n)
	for i := range inverse {
		m[i] = slices.Clone(m[i])
		inverse[i] = make([]float64, n)
		inverse[i][i] = 1
	}
	for c := range n {
		pivot := c
		for r := c; r < n; r++ {
			if math.Abs(m[r][c]) > math.Abs(m[pivot][c]) {
				pivot = r
			}
		}
		m[c], m[pivot] = m[pivot], m[c]
		inverse[c], inverse[pivot] = inverse[pivot], inverse[c]
		scale := 1 / m[c][c]
		for j := range n {
			m[c][j] *= scale
			inverse[c][j] *= scale
		}
		for r := range n {
			if by := m[r][c]; r != c && by != 0 {
				for j := range n {
					m[r][j] -= by * m[c][j]
					inverse[r][j] -= by * inverse[c][j]
				}
			}
		}
	}
	return inverse
}
