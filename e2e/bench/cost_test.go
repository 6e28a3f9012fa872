package bench_test

import (
	"fmt"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
)

// A steady load: how long it is waited until every stream plays (PulseAudio's idle null sink is 2 s ahead, so its first stream begins that late),
// how long then, and how long it is measured.
const (
	patience = 6 * time.Second
	settling = 1500 * time.Millisecond
	measured = 3 * time.Second
)

// longestStall: a round in which the machine stood still for so long says nothing of a server, whichever it is, and is done again.
const longestStall = 5 * time.Millisecond

// BenchmarkLoad is what streams cost: 16 bits stereo, over Unix sockets, tlength 100 ms where nothing is said, with latency to be adjusted.
func BenchmarkLoad(b *testing.B) {
	type kind struct {
		streams, rate int
		tlength       time.Duration
	}
	kinds := []kind{{1, 44100, 100}, {8, 44100, 100}, {32, 44100, 100}, {128, 44100, 100}, {1, 48000, 100}, {8, 48000, 100}, {32, 48000, 100}, {128, 48000, 100}, {32, 48000, 20}}
	for _, k := range kinds {
		b.Run(fmt.Sprintf("%d/%d/%dms", k.streams, k.rate, k.tlength), func(b *testing.B) {
			owner := begin(b)
			all := servers(b, owner)
			if k.streams == 32 && k.rate == 44100 {
				best := ours(b, owner, "--resampler", "best")
				best.ready(b, owner)
				all = append(all, best)
			}
			play := order{Do: "play", Streams: k.streams, Rate: k.rate, TLength: k.tlength * time.Millisecond}
			if k.streams == 32 && k.rate == 44100 {
				play.Times = 400
			}
			played := make([][]steadiness, len(all))
			for b.Loop() {
				for range rounds() {
					for i, s := range all {
						if k.streams > 32 && s.name == "PulseAudio" { // which plays no more, and lets the others wait
							continue
						}
						var r steadiness
						var err error
						need.Unstalled(b, longestStall, func() { r, err = s.steady(b, play) })
						if err != nil {
							b.Fatalf("%s: %v", s.name, err)
						}
						played[i] = append(played[i], r)
					}
				}
			}
			of := fmt.Sprintf("%d of %.1f kHz", k.streams, float64(k.rate)/1000)
			if k.tlength != 100 {
				of += fmt.Sprintf(", tlength %d ms", k.tlength)
			}
			report(b, of, k.streams, k.rate, played[:3])
			if len(played) > 3 {
				processor(b, of+", resampler best", "best-cpu-ms/stream-s", [][]steadiness{played[3], played[1], played[2]})
			}
		})
	}
}

// report tells what a load came to: always the processor, and the rest of the few and of the many.
func report(b *testing.B, of string, streams, rate int, played [][]steadiness) {
	processor(b, of, "cpu-ms/stream-s", played)
	if rate != 44100 || streams != 1 && streams != 32 {
		return
	}
	tell(b, "PSS, MB", of, "pss-MB", "%.1f", false, figures(played, func(s steadiness) float64 { return s.pss })...)
	tell(b, "context switches per second", of, "switches/s", "%.0f", false, figures(played, func(s steadiness) float64 { return s.switches })...)
	if streams == 32 {
		tell(b, "request round trip, ms", "32 streams, p50", "p50-ms", "%.3f", false, figures(played, func(s steadiness) float64 { return percentile(s.trips, 50) })...)
		tell(b, "request round trip, ms", "32 streams, p99", "p99-ms", "%.3f", false, figures(played, func(s steadiness) float64 { return percentile(s.trips, 99) })...)
	}
}

// processor tells what a load cost of the processor, and where sound was missing.
func processor(b *testing.B, of, unit string, played [][]steadiness) {
	cpu := figures(played, func(s steadiness) float64 { return s.cpu })
	for i, rounds := range played {
		if n := sum(rounds).underruns; n > 0 {
			cpu[i].note = fmt.Sprintf("%d underruns", n)
		}
	}
	tell(b, "CPU, ms per stream-second", of, unit, "%.2f", false, cpu...)
}

// figures is one of each server's, over its rounds; none of those that had none.
func figures(played [][]steadiness, f func(steadiness) float64) (fs []figure) {
	for _, rounds := range played {
		if len(rounds) == 0 {
			fs = append(fs, figure{none, ""})
		} else {
			fs = append(fs, figure{f(sum(rounds)), ""})
		}
	}
	return fs
}

// steadiness is what one round of load came to.
type steadiness struct {
	cpu       float64 // milliseconds of the server for each second of each stream
	switches  float64 // per second
	pss       float64
	trips     []float64 // milliseconds
	underruns int64
	slowest   float64 // speed of the slowest stream, 1 is real time
}

// sum is the mean of each figure, all the round trips, the underruns and the slowest stream.
func sum(rounds []steadiness) (sum steadiness) {
	of := func(f func(steadiness) float64) float64 {
		var values []float64
		for _, r := range rounds {
			values = append(values, f(r))
		}
		return mean(values)
	}
	for i, r := range rounds {
		sum.trips = append(sum.trips, r.trips...)
		sum.underruns += r.underruns
		if i == 0 || r.slowest < sum.slowest {
			sum.slowest = r.slowest
		}
	}
	sum.cpu = of(func(r steadiness) float64 { return r.cpu })
	sum.switches = of(func(r steadiness) float64 { return r.switches })
	sum.pss = of(func(r steadiness) float64 { return r.pss })
	return sum
}

// steady has the load play, measures the server for a while, and then so many round trips as the order says, of another program's whose stream takes
// the place of one of the load's. An error is the server's refusal.
func (s *server) steady(b *testing.B, play order) (steadiness, error) {
	defer s.load.do(order{Do: "stop"})
	if _, err := s.load.try(play); err != nil {
		return steadiness{}, err
	}
	s.settle()
	pin(b, 0, s.pids) // threads made since
	before, use, began := s.load.do(order{Do: "count"}), usageOf(b, s.pids), time.Now()
	time.Sleep(measured)
	after, used, seconds := s.load.do(order{Do: "count"}), usageOf(b, s.pids), time.Since(began).Seconds()
	r := steadiness{pss: used.pss, underruns: after.Underruns - before.Underruns, switches: float64(used.switches-use.switches) / seconds}
	played := 0.0
	for i := range after.Sent {
		speed := float64(after.Sent[i]-before.Sent[i]) / float64(play.Rate*frame) / seconds
		played += speed * seconds
		if i == 0 || speed < r.slowest {
			r.slowest = speed
		}
	}
	r.cpu = (used.cpu - use.cpu) / played
	if play.Times > 0 {
		s.load.do(order{Do: "end"})
		s.probe.do(order{Do: "play", Streams: 1, Rate: play.Rate, TLength: play.TLength, Corked: true})
		r.trips = s.probe.do(order{Do: "probe", Times: play.Times}).Replies
		s.probe.do(order{Do: "stop"})
	}
	return r, nil
}

// settle waits until the server has asked for more of every stream, and then a while.
func (s *server) settle() {
	first, deadline := s.load.do(order{Do: "count"}).Sent, time.Now().Add(patience)
	for waiting := true; waiting && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		waiting = false
		for i, sent := range s.load.do(order{Do: "count"}).Sent {
			waiting = waiting || sent == first[i]
		}
	}
	time.Sleep(settling)
}
