package pcm

import (
	"fmt"
	"testing"
)

// BenchmarkResample makes 20 ms of stereo at a time. 48000 frames are one second: 20 ns a frame are 1 ms of processor a second of sound.
func BenchmarkResample(b *testing.B) {
	for _, rates := range [][2]int{{44100, 48000}, {48000, 44100}, {8000, 48000}, {47999, 48000}, {192000, 48000}} {
		for _, channels := range []int{1, 2, 6} {
			benchmarkResample(b, Normal, rates, channels)
		}
		benchmarkResample(b, Best, rates, 2)
	}
}

func benchmarkResample(b *testing.B, q Quality, rates [2]int, channels int) {
	b.Run(fmt.Sprintf("%d-%d/%dch/%v", rates[0], rates[1], channels, q), func(b *testing.B) {
		r := NewResampler(q, channels, rates[0], rates[1])
		in := sine(rates[0]/50+r.filter.taps, channels, 997, float64(rates[0]))
		frames := rates[1] / 50
		out := make([]float32, frames*channels)
		for b.Loop() {
			r.Process(out, in[:r.Need(frames)*channels])
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
	})
}

func perSample(b *testing.B, samples int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samples), "ns/sample")
}

func BenchmarkConvert(b *testing.B) {
	floats, raw := sine(960, 2, 997, 48000), make([]byte, 4*1920)
	for f := range numFormats {
		b.Run("encode-"+f.String(), func(b *testing.B) {
			for b.Loop() {
				Encode(raw, floats, f)
			}
			perSample(b, len(floats))
		})
		b.Run("decode-"+f.String(), func(b *testing.B) {
			for b.Loop() {
				Decode(floats, raw, f)
			}
			perSample(b, len(floats))
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for _, channels := range [][2]int{{1, 2}, {2, 1}, {2, 2}, {6, 2}, {2, 8}} {
		m := NewMatrix(DefaultMap(channels[0]), DefaultMap(channels[1]))
		src, dst := sine(960, channels[0], 997, 48000), make([]float32, 960*channels[1])
		b.Run(fmt.Sprintf("%d-%d", channels[0], channels[1]), func(b *testing.B) {
			for b.Loop() {
				m.Apply(dst, src)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*960), "ns/frame")
		})
	}
}

func BenchmarkMix(b *testing.B) {
	src, dst := sine(960, 2, 997, 48000), make([]float32, 1920)
	for _, c := range []struct {
		name     string
		from, to []float32
	}{{"unity", []float32{1, 1}, []float32{1, 1}}, {"even", []float32{.5, .5}, []float32{.5, .5}}, {"uneven", []float32{.4, .5}, []float32{.4, .5}},
		{"ramp", []float32{.4, .5}, []float32{.5, .4}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				MixInto(dst, src, 2, c.from, c.to)
			}
			perSample(b, len(src))
		})
	}
}

func BenchmarkLevel(b *testing.B) {
	buf := sine(960, 2, 997, 48000)
	b.Run("peak", func(b *testing.B) {
		for b.Loop() {
			Peak(buf)
		}
		perSample(b, len(buf))
	})
	b.Run("clip", func(b *testing.B) {
		for b.Loop() {
			Clip(buf)
		}
		perSample(b, len(buf))
	})
	for _, over := range []float32{1, 4} {
		b.Run(fmt.Sprintf("limit/%v", over), func(b *testing.B) {
			l, loud := NewLimiter(2, 48000), make([]float32, len(buf))
			for b.Loop() {
				for i, x := range buf {
					loud[i] = over * x
				}
				l.Limit(loud)
			}
			perSample(b, len(buf))
		})
	}
}

func BenchmarkNewResampler(b *testing.B) {
	for _, rates := range [][2]int{{44100, 48000}, {47999, 48000}, {383999, 48000}, {383999, 4000}} {
		b.Run(fmt.Sprintf("%d-%d", rates[0], rates[1]), func(b *testing.B) {
			for b.Loop() {
				NewResampler(Normal, 2, rates[0], rates[1])
			}
		})
	}
}

// BenchmarkRetune is a change that needs a filter nobody has.
func BenchmarkRetune(b *testing.B) {
	r, n := NewResampler(Normal, 2, 44100, 48000), 0
	for b.Loop() {
		n++
		r.Retune(50000+n%2*100000, 48000)
	}
}

// BenchmarkDither is 20 ms of stereo for 16 bits: sound that needs it, and sound that has them.
func BenchmarkDither(b *testing.B) {
	for name, f := range map[string]Format{"fine": Float32LE, "exact": S16LE} {
		b.Run(name, func(b *testing.B) {
			d, buf, raw := NewDither(16), make([]float32, 1920), make([]byte, 4*1920)
			Encode(raw, sine(960, 2, 997, 48000), f)
			for b.Loop() {
				Decode(buf, raw, f)
				d.Add(buf)
			}
			perSample(b, len(buf))
		})
	}
}
