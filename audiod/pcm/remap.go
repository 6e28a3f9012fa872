package pcm

import "slices"

// Matrix says how much of each input channel goes into each output channel. It does not change once made,
// so streams may share one.
type Matrix struct {
	in, out int
	gain    []float32 // for each output channel a row of in factors
}

// NewMatrix gives every input a loudspeaker and every loudspeaker an input, by the rules of PulseAudio 16
// as it comes (setup_remap in pulsecore/resampler.c):
//
//   - Equal maps connect channel by channel, otherwise equal positions connect.
//   - Mono goes to every output but the LFE; a mono output is the average of all inputs.
//   - A rear output without input takes an unused side input, and the reverse: either is what "5.1" may mean.
//   - Any other left, right or center output without input takes the average of the inputs on that side;
//     where there is no center, a center output takes the average of left and right.
//   - An input still unused is added to the outputs of its side, at 1/9. A center without center output goes at 1/2 to the
//     left and right of its own row, front or rear or side, and without those to all left and right.
//   - LFE connects to LFE and nothing else.
//   - An output that would get more than 1 in all is scaled down to 1, so that nothing clips.
func NewMatrix(from, to ChannelMap) *Matrix {
	if slices.Equal(from, to) {
		return MatchIndex(from, to)
	}
	m := emptyMatrix(from, to)
	used := make([]bool, m.in)
	for o, p := range to {
		m.fill(o, p, from, used)
	}
	m.addUnused(from, to, used)
	m.normalise()
	return m
}

// MatchName connects equal positions and nothing else, as PA_STREAM_NO_REMIX_CHANNELS asks.
func MatchName(from, to ChannelMap) *Matrix {
	if slices.Equal(from, to) {
		return MatchIndex(from, to)
	}
	m := emptyMatrix(from, to)
	for o, p := range to {
		for i, q := range from {
			if p == q {
				m.row(o)[i] = 1
			}
		}
	}
	m.normalise()
	return m
}

// MatchIndex connects the first channel to the first, the second to the second, whatever their positions,
// as PA_STREAM_NO_REMAP_CHANNELS asks.
func MatchIndex(from, to ChannelMap) *Matrix {
	m := emptyMatrix(from, to)
	for i := range min(m.in, m.out) {
		m.row(i)[i] = 1
	}
	return m
}

// Identity reports whether Apply would only copy.
func (m *Matrix) Identity() bool {
	for o := range m.out {
		for i, g := range m.row(o) {
			if (i == o) != (g == 1) || i != o && g != 0 {
				return false
			}
		}
	}
	return m.in == m.out
}

// Apply makes frames of the output map in dst out of frames of the input map in src, as many as both hold whole.
// The two must not overlap.
func (m *Matrix) Apply(dst, src []float32) {
	n := min(len(dst)/m.out, len(src)/m.in)
	dst, src = dst[:n*m.out], src[:n*m.in]
	switch g := m.gain; {
	case m.in == 1 && m.out == 2:
		l, r := g[0], g[1]
		for _, x := range src {
			dst[0], dst[1] = x*l, x*r
			dst = dst[2:]
		}
	case m.in == 2 && m.out == 1:
		l, r := g[0], g[1]
		for i := range dst {
			dst[i] = src[0]*l + src[1]*r
			src = src[2:]
		}
	case m.in == 2 && m.out == 2:
		ll, lr, rl, rr := g[0], g[1], g[2], g[3]
		for i := 0; i+1 < len(src) && i+1 < len(dst); i += 2 {
			l, r := src[i], src[i+1]
			dst[i], dst[i+1] = l*ll+r*lr, l*rl+r*rr
		}
	default:
		for ; len(src) > 0; src, dst = src[m.in:], dst[m.out:] {
			frame := src[:m.in]
			for o := range dst[:m.out] {
				var sum float32
				for i, g := range m.gain[o*m.in : (o+1)*m.in] {
					sum += frame[i] * g
				}
				dst[o] = sum
			}
		}
	}
}

func emptyMatrix(from, to ChannelMap) *Matrix {
	return &Matrix{len(from), len(to), make([]float32, len(from)*len(to))}
}

func (m *Matrix) row(o int) []float32 { return m.gain[o*m.in : (o+1)*m.in] }

// fill finds the inputs for output o, which stands at p, and marks them as used.
func (m *Matrix) fill(o int, p Position, from ChannelMap, used []bool) {
	row, found := m.row(o), false
	connect := func(i int, gain float32) { row[i], used[i], found = gain, true, true }
	for i, q := range from {
		switch {
		case p == q, q == Mono && p != LFE:
			connect(i, 1)
		case p == Mono:
			connect(i, 1/float32(m.in))
		}
	}
	if found {
		return
	}
	for i, q := range from {
		if !used[i] && isTwin(p, q) {
			connect(i, 1)
		}
	}
	if found {
		return
	}
	nearest := sideOf(p)
	if nearest == center && count(from, center) == 0 {
		nearest = left | right
	}
	for i, q := range from {
		if sideOf(q)&nearest != 0 {
			connect(i, 1/float32(count(from, nearest)))
		}
	}
}

// addUnused sends inputs that no output asked for where they disturb least.
func (m *Matrix) addUnused(from, to ChannelMap, used []bool) {
	var unused ChannelMap
	for i, p := range from {
		if !used[i] {
			unused = append(unused, p)
		}
	}
	for i, q := range from {
		if used[i] {
			continue
		}
		side := sideOf(q)
		for o, p := range to {
			if sideOf(p)&side != 0 {
				m.row(o)[i] = 1 / (9 * float32(count(unused, side)))
			}
		}
	}
	if count(to, center) > 0 {
		return
	}
	// takes reports whether the left or right output at p gets some of the center input at q.
	takes := func(p, q Position) bool {
		sameRow := func(p Position) bool { return sideOf(p)&(left|right) != 0 && rowOf(p) == rowOf(q) }
		return sideOf(p)&(left|right) != 0 && (sameRow(p) || !slices.ContainsFunc(to, sameRow))
	}
	for o, p := range to {
		n := 0
		for _, q := range unused {
			if sideOf(q) == center && takes(p, q) {
				n++
			}
		}
		for i, q := range from {
			if !used[i] && sideOf(q) == center && takes(p, q) {
				m.row(o)[i] = .5 / float32(n)
			}
		}
	}
}

func (m *Matrix) normalise() {
	for o := range m.out {
		var sum float32
		for _, g := range m.row(o) {
			sum += g
		}
		if sum > 1 {
			for i := range m.row(o) {
				m.row(o)[i] /= sum
			}
		}
	}
}
