package pcm

import (
	"fmt"
	"testing"
)

// BenchmarkResample makes 20 ms of stereo at a time. 48000 frames are one second: 20 ns a frame are 1 ms of processor a second of sound.
func BenchmarkResample(b *testing.B) {
	for _, rates := range [][2]int{{44100, 48000}, {48000, 44100}, {8000, 48000}, {47999, 48000}, {192000, 48000}} {
		for _, channels := range []int{1, 2, 6} {
			b.Run(fmt.Sprintf("%d-%d/%dch", rates[0], rates[1], channels), func(b *testing.B) {
				r := NewResampler(channels, rates[0], rates[1])
				in := sine(rates[0]/50+r.filter.taps, channels, 997, float64(rates[0]))
				frames := rates[1] / 50
				out := make([]float32, frames*channels)
				for b.Loop() {
					r.Process(out, in[:r.Need(frames)*channels])
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
			})
		}
	}
}
