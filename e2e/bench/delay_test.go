package bench_test

import (
	"fmt"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
)

// BenchmarkOpen is how long a program waits for a stream while another plays: for the answer, and until it is heard.
func BenchmarkOpen(b *testing.B) {
	all := servers(b, begin(b))
	replies, starts := make([][]float64, len(all)), make([][]float64, len(all))
	for b.Loop() {
		for i, s := range all {
			s.load.do(order{Do: "play", Streams: 1, Rate: 44100, TLength: 100 * time.Millisecond})
			s.settle()
			var did outcome
			need.Unstalled(b, longestStall, func() { did = s.load.do(order{Do: "open", Rate: 44100, TLength: 100 * time.Millisecond, Times: 100}) })
			replies[i], starts[i] = append(replies[i], did.Replies...), append(starts[i], did.Starts...)
			s.load.do(order{Do: "stop"})
		}
	}
	for _, p := range []int{50, 99} {
		tell(b, "a stream's creation answered, ms", fmt.Sprintf("p%d", p), fmt.Sprintf("create-p%d-ms", p), "%.2f", false, of(replies, p)...)
	}
	for _, p := range []int{50, 99} {
		tell(b, "a stream's creation to STARTED, ms", fmt.Sprintf("p%d", p), fmt.Sprintf("started-p%d-ms", p), "%.2f", false, of(starts, p)...)
	}
}

func of(values [][]float64, p int) (figures []figure) {
	for _, v := range values {
		figures = append(figures, figure{percentile(v, p), ""})
	}
	return figures
}

// BenchmarkSmallestBuffer asks for less and less tlength until one stream underruns, each time of three.
func BenchmarkSmallestBuffer(b *testing.B) {
	all := servers(b, begin(b))
	for b.Loop() {
		for _, transport := range []string{"unix", "tcp"} {
			var smallest []figure
			for _, s := range all {
				best := none
				for _, ms := range []time.Duration{40, 20, 10, 5, 2} {
					o := order{Do: "play", Address: s.unix, Streams: 1, Rate: 48000, TLength: ms * time.Millisecond}
					if transport == "tcp" {
						o.Address = s.tcp
					}
					if !s.clean(b, o) {
						break
					}
					best = float64(ms)
				}
				smallest = append(smallest, figure{best, ""})
			}
			tell(b, "smallest tlength without underrun, ms", "of 40, 20, 10, 5, 2; "+transport, transport+"-tlength-ms", "%.0f", false, smallest...)
		}
	}
}

// BenchmarkMost plays more and more streams at once, 44.1 kHz, until a server on one CPU cannot.
func BenchmarkMost(b *testing.B) {
	all := servers(b, begin(b))
	for b.Loop() {
		var most []figure
		for _, s := range all {
			best := none
			for n := 32; n <= 512; n *= 2 {
				if !s.clean(b, order{Do: "play", Streams: n, Rate: 44100, TLength: 100 * time.Millisecond}) {
					break
				}
				best = float64(n)
			}
			most = append(most, figure{best, ""})
		}
		tell(b, "streams at once without underrun", "of 32, 64, 128, 256, 512", "streams", "%.0f", true, most...)
	}
}

// clean reports whether a load plays at its speed and without underrun, once of three times, where it plays at all: one that the machine was late for
// says nothing of the server.
func (s *server) clean(b *testing.B, play order) bool {
	for range 3 {
		r, err := s.steady(b, play)
		if err != nil || r.slowest == 0 {
			return false
		}
		if r.underruns == 0 && r.slowest > 0.97 {
			return true
		}
	}
	return false
}
