package pcm

// walk makes frames of two channels while a table of filters walks past their histories. Where only one channel is left,
// both are that one. This is where nearly all time of the Resampler goes.
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

// plain does it in Go.
func (w *walk) plain() {
	phase, at := w.phase, 0
	for k := range w.frames {
		out := w.out[k*w.stride:]
		// In this order the first is right where both are the same.
		out[w.second], out[0] = dot2(w.coef[phase*w.taps:][:w.taps], w.b[at:], w.a[at:])
		at += w.whole
		if phase += w.rest; phase >= w.rows {
			phase -= w.rows
			at++
		}
	}
}

// dot2 is the sums of h·a and h·b.
func dot2(h, a, b []float32) (float32, float32) {
	a, b = a[:len(h)], b[:len(h)]
	var a0, a1, a2, a3, b0, b1, b2, b3 float32
	for i := 0; i+3 < len(h); i += 4 {
		h, a, b := h[i:i+4:i+4], a[i:i+4:i+4], b[i:i+4:i+4]
		a0 += h[0] * a[0]
		b0 += h[0] * b[0]
		a1 += h[1] * a[1]
		b1 += h[1] * b[1]
		a2 += h[2] * a[2]
		b2 += h[2] * b[2]
		a3 += h[3] * a[3]
		b3 += h[3] * b[3]
	}
	return a0 + a1 + (a2 + a3), b0 + b1 + (b2 + b3)
}

// last is where in the histories the last frame's filter begins.
func (w *walk) last() int {
	return (w.frames-1)*w.whole + (w.phase+(w.frames-1)*w.rest)/w.rows
}
