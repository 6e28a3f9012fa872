package devicetest_test

import (
	"math"
	"testing"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

func TestMicConforms(t *testing.T) {
	clock := new(loop.Hand)
	for _, c := range []device.Config{{}, {Rate: 44100, Channels: pcm.MonoMap, Buffer: 3000}} {
		devicetest.SourceConformance(t, devicetest.SourceBench{
			Make: func(*testing.T) device.Source {
				m := devicetest.NewMic(clock, c)
				m.Sound = func(n int64) float32 { return float32(math.Sin(float64(n) / 10)) }
				return m
			},
			Now:  clock.Now,
			Pass: clock.Advance,
			Said: func(s device.Source, n int64, _ int) float32 {
				m := s.(*devicetest.Mic)
				return m.Sound(m.Opened() + n)
			},
			Vanish: func(_ *testing.T, s device.Source) { s.(*devicetest.Mic).Unplug() },
		})
	}
}
