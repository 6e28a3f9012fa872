package pcm

import "golang.org/x/sys/cpu"

var haveFMA = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// walkFMA does it with AVX2 and FMA, trusting w.
//
//go:noescape
func walkFMA(w *walk)

func (w *walk) run() {
	if !haveFMA {
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
