package mixer

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
)

// A card may take 20 ms more than it plays when it starts. That must neither make it run dry, nor keep it from coming to rest after an xrun.
func TestHurriedStart(t *testing.T) {
	for _, latency := range []time.Duration{maxLatency, 20 * time.Millisecond} {
		b := newBench(t, device.Config{})
		b.card.Hurry(960)
		tlength := uint32(latency.Seconds() * 2 * 192000)
		b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, tlength, Whatever, Whatever}, Latency: AdjustLatency})
		b.run(time.Second)
		if n := b.sink.State().Xruns; n != 0 {
			t.Errorf("%v ahead: %d xruns from the start on", latency, n)
		}
		b.card.Xrun()
		b.run(time.Second)
		if n := b.sink.State().Xruns; n != 1 {
			t.Errorf("%v ahead: %d xruns since one was made", latency, n)
		}
	}
}

// late is a clock whose timers fire later than they should, as they do when the processor is busy.
type late struct {
	*loop.Hand
	by time.Duration
}

func (l late) NewTimer(f func()) *loop.Timer {
	then := l.Hand.NewTimer(f)
	return l.Hand.NewTimer(func() { then.Set(l.Now() + l.by) })
}

func TestLateWakeups(t *testing.T) {
	b := newBench(t, device.Config{})
	b.sink = NewSink(late{b.clock, 20 * time.Millisecond}, b.card, t.Logf)
	b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(10 * time.Second)
	wantFrames(t, heardFrames(b), 0, len(heardFrames(b)))
	if n := b.sink.State().Xruns; n != 0 {
		t.Errorf("%d xruns", n)
	}
}
