package pcm

import "golang.org/x/sys/cpu"

// haveAVX2 says that the processor has what vector_amd64.s is written in.
var haveAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// walkFMA is walk.plain; it trusts w.
//
//go:noescape
func walkFMA(w *walk)

// scrubAVX2 is scrub for n little endian floats, a multiple of 8.
//
//go:noescape
func scrubAVX2(dst *float32, src *byte, n int)

func (w *walk) run() {
	if !haveAVX2 {
		w.plain()
		return
	}
	// The instructions check no bounds, so that is done here, for the furthest each slice is used.
	_ = w.out[(w.frames-1)*w.stride+w.second]
	_ = w.coef[w.rows*w.taps-1]
	end := w.last() + w.taps
	_, _ = w.a[:end:len(w.a)], w.b[:end:len(w.b)]
	walkFMA(w)
}

// scrubMany is scrub for the first floats of src, and says how many.
func scrubMany(dst []float32, src []byte) int {
	n := min(len(dst), len(src)/4) &^ 7
	if !haveAVX2 || n == 0 {
		return 0
	}
	scrubAVX2(&dst[0], &src[0], n)
	return n
}
