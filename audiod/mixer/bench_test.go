package mixer

import (
	"fmt"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// eager answers requests in place: what a client and the socket would cost is not counted.
type eager struct{ wanted int }

func (e *eager) Wants(n int)    { e.wanted += n }
func (e *eager) Started()       {}
func (e *eager) Underrun(int64) {}
func (e *eager) Drained()       {}
func (e *eager) Resized()       {}

// BenchmarkCycle is 100 ms of streams that were granted 30 ms, with their clocks asked for.
func BenchmarkCycle(b *testing.B) {
	for _, rate := range []uint32{48000, 44100} {
		for _, streams := range []int{1, 32} {
			b.Run(fmt.Sprintf("%d streams of %d", streams, rate), func(b *testing.B) {
				clock := new(loop.Hand)
				card := devicetest.New(clock, device.Config{})
				sink := NewSink(clock, card, b.Logf)
				data := make([]byte, 64<<10)
				var inputs []*Input
				var clients []*eager
				for range streams {
					e := new(eager)
					in, err := sink.NewInput(InputOptions{Spec: stereo16(rate), Map: pcm.StereoMap, Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}, Latency: AdjustLatency}, e)
					if err != nil {
						b.Fatal(err)
					}
					e.wanted = in.Missing()
					in.Start()
					inputs, clients = append(inputs, in), append(clients, e)
				}
				for b.Loop() {
					for range 10 {
						for i, in := range inputs {
							in.Write(data[:clients[i].wanted])
							clients[i].wanted = 0
							in.Timing()
						}
						clock.Advance(10 * time.Millisecond)
					}
					card.Heard()
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*streams)/100, "ms/stream-second")
			})
		}
	}
}
