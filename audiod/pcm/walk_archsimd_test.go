//go:build goexperiment.simd && amd64

package pcm

import "simd/archsimd"

func init() { walks["archsimd"] = archsimdWalk }

// archsimdWalk is walkFMA in Go, by the compiler's vectors.
func archsimdWalk(w *walk) {
	phase, at := w.phase, 0
	for k := range w.frames {
		row, a, b := w.coef[phase*w.taps:][:w.taps], w.a[at:][:w.taps], w.b[at:][:w.taps]
		var a0, a1, b0, b1 archsimd.Float32x8
		for len(row) >= 16 && len(a) >= 16 && len(b) >= 16 {
			h0, h1 := archsimd.LoadFloat32x8Slice(row), archsimd.LoadFloat32x8Slice(row[8:])
			a0, a1 = archsimd.LoadFloat32x8Slice(a).MulAdd(h0, a0), archsimd.LoadFloat32x8Slice(a[8:]).MulAdd(h1, a1)
			b0, b1 = archsimd.LoadFloat32x8Slice(b).MulAdd(h0, b0), archsimd.LoadFloat32x8Slice(b[8:]).MulAdd(h1, b1)
			row, a, b = row[16:], a[16:], b[16:]
		}
		a0, b0 = a0.Add(a1), b0.Add(b1)
		left, right := a0.GetLo().Add(a0.GetHi()), b0.GetLo().Add(b0.GetHi())
		pairs := left.AddPairs(right)
		pairs = pairs.AddPairs(pairs)
		out := w.out[k*w.stride:]
		out[w.second] = pairs.GetElem(1)
		out[0] = pairs.GetElem(0)
		at += w.whole
		if phase += w.rest; phase >= w.rows {
			phase -= w.rows
			at++
		}
	}
}
