package pcm

import "github.com/tphakala/simd/f32"

// walk makes frames of two channels while a table of filters walks past their histories. Where only one channel is left,
// both are that one. This is where nearly all of a Resampler's time goes, so the ways to do it were weighed (BenchmarkWalk; stereo from 44.1 to
// 48 kHz, nanoseconds a frame on an EPYC with AVX2): plain Go 120, a dot product of tphakala/simd for each channel 33, the same loop as ours in
// simd/archsimd, which a GOEXPERIMENT still has to turn on, 23, and vector_amd64.s 8.7. Of the whole daemon under 32 streams, milliseconds of
// processor a second of each: plain Go 6.0, dot products 1.9, vector_amd64.s 1.06, where PulseAudio took 3.9.
type walk struct {
	a, b   []float32 // the histories, from where the first frame's filter begins
	coef   []float32 // rows of the table, one after another
	taps   int       // the length of a row, a multiple of 16
	phase  int       // the first frame's row
	rest   int       // each frame's row is so many after the last one's, and
	rows   int       // at so many begins at the top again, a sample later in the histories;
	whole  int       // besides, it is so many samples later
	out    []float32 // where the first frame goes, a's sample first
	stride int       // from one frame to the next
	second int       // from a's sample to b's: 1, or 0 for a single channel
	frames int       // at least 1
}

// plain does it a frame and a channel at a time.
func (w *walk) plain() {
	phase, at := w.phase, 0
	for k := range w.frames {
		row, out := w.coef[phase*w.taps:][:w.taps], w.out[k*w.stride:]
		out[0] = f32.DotProduct(row, w.a[at:])
		if w.second > 0 {
			out[w.second] = f32.DotProduct(row, w.b[at:])
		}
		at += w.whole
		if phase += w.rest; phase >= w.rows {
			phase -= w.rows
			at++
		}
	}
}

// last is where in the histories the last frame's filter begins.
func (w *walk) last() int {
	return (w.frames-1)*w.whole + (w.phase+(w.frames-1)*w.rest)/w.rows
}
