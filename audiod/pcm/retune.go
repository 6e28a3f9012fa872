package pcm

import "math"

const (
	finePhases = 1 << 32 // about how many steps of an input frame a retuned Resampler tells apart
	tuneStep   = 1. / 64 // of a filter's stretch
)

// Retune goes on at other rates from the next frame on: none is lost or comes twice, and there is no step in what comes out but
// that it runs faster or slower. Delay and Need hold as before. Only the ratio of the two rates counts: where a Hertz is too much of a step, both may be
// in parts of one. A Resampler that was retuned costs what one between rates with little in common does. Retune may allocate, and works
// out a filter where the new rates need one that no other Resampler has.
func (r *Resampler) Retune(inRate, outRate int) {
	fine := finePhases / int64(outRate)
	in, out := int64(inRate)*fine, int64(outRate)*fine
	// Both ends of the change lie at the same place between the same two frames.
	r.phase = min(int64(math.Round(float64(r.phase)/float64(r.out)*float64(out))), out-1)
	r.in, r.out = in, out

	f := filterNear(r.quality, float64(inRate)/float64(outRate))
	if grown := (f.taps - r.filter.taps) / 2; f != r.filter {
		r.filter = f
		r.recenter(grown)
	}
	if len(r.row) != f.taps {
		r.row = make([]float32, f.taps)
	}
}

// recenter makes room for a filter that reaches so many frames further to both sides; less far where that is negative. What came before
// the history, which only a filter much longer needs, is taken for silence.
func (r *Resampler) recenter(grown int) {
	size := 2*r.filter.taps + back + block
	from := max(0, r.pos-grown-back)
	lead := max(0, grown-r.pos)
	for c, h := range r.history {
		next := make([]float32, max(size, lead+r.fill-from+block))
		copy(next[lead:], h[from:r.fill])
		r.history[c] = next
	}
	r.fill += lead - from
	r.pos += lead - from - grown
}
