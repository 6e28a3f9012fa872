package pcm

import "testing"

// walks are the ways to do a walk that were weighed against each other; walk.run is the one in use.
var walks = map[string]func(*walk){"run": (*walk).run, "dot products": (*walk).plain, "plain Go": scalarWalk}

// scalarWalk is walk.plain without any vectors.
func scalarWalk(w *walk) {
	phase, at := w.phase, 0
	for k := range w.frames {
		row, a, b := w.coef[phase*w.taps:][:w.taps], w.a[at:][:w.taps], w.b[at:][:w.taps]
		var left, right [4]float32
		for i := 0; i+3 < len(row) && i+3 < len(a) && i+3 < len(b); i += 4 {
			for j := range 4 {
				left[j] += row[i+j] * a[i+j]
				right[j] += row[i+j] * b[i+j]
			}
		}
		out := w.out[k*w.stride:]
		out[w.second] = right[0] + right[1] + right[2] + right[3]
		out[0] = left[0] + left[1] + left[2] + left[3]
		at += w.whole
		if phase += w.rest; phase >= w.rows {
			phase -= w.rows
			at++
		}
	}
}

// BenchmarkWalk is 20 ms of stereo from 44.1 to 48 kHz. With GOEXPERIMENT=simd the compiler's own vectors are among the ways.
func BenchmarkWalk(b *testing.B) {
	r := NewResampler(Normal, 2, 44100, 48000)
	f := r.filter
	const frames = 960
	history := sine(frames+f.taps, 1, 997, 44100)
	out := make([]float32, 2*frames)
	for name, do := range walks {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do(&walk{a: history, b: history, coef: f.coef, taps: f.taps, rest: int(r.in % r.out), rows: f.rows, whole: int(r.in / r.out), out: out, stride: 2, second: 1, frames: frames})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
		})
	}
}
