package pcm

import "golang.org/x/sys/cpu"

var haveFMA = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// dot2fma is dot2go for processors with AVX2 and FMA; n is a multiple of 16.
//
//go:noescape
func dot2fma(h, a, b *float32, n int) (float32, float32)

func dot2(h, a, b []float32) (float32, float32) {
	if haveFMA && len(h) > 0 {
		return dot2fma(&h[0], &a[:len(h)][0], &b[:len(h)][0], len(h))
	}
	return dot2go(h, a, b)
}
