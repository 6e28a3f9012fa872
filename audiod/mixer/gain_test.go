package mixer

import (
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// steady is a player of the value 0.5 on every channel.
func steady(t *testing.T, b *bench, opts InputOptions) *Input {
	t.Helper()
	opts.Attr, opts.Map = whatever, pcm.DefaultMap(int(opts.Spec.Channels))
	in, err := b.sink.NewInput(opts, &player{t: t})
	if err != nil {
		t.Fatal(err)
	}
	in.Missing()
	raw := make([]byte, 2*48000*opts.Spec.FrameSize())
	for i := 1; i < len(raw); i += 2 {
		raw[i] = 0x40
	}
	in.Write(raw)
	return in
}

// last is the newest frame that was heard.
func (b *bench) last(d time.Duration) (left, right float32) {
	var h []float32
	for range d / (10 * time.Millisecond) {
		b.clock.Advance(10 * time.Millisecond)
		h = append(h[:0], b.card.Heard()...)
	}
	return h[len(h)-2], h[len(h)-1]
}

func near(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 }

func TestSinkVolumeAndUsersGain(t *testing.T) {
	for channels := uint8(1); channels <= 2; channels++ { // straight, and through a matrix
		b := newBench(t, device.Config{})
		in := steady(t, b, InputOptions{Spec: pcm.Spec{Format: pcm.S16LE, Channels: channels, Rate: 48000}, Gain: []float32{0.5}})
		if l, r := b.last(200 * time.Millisecond); !near(l, 0.25) || !near(r, 0.25) {
			t.Errorf("at half gain: %v %v", l, r)
		}
		in.SetGain([]float32{1, 0.25})
		if l, r := b.last(200 * time.Millisecond); !near(l, 0.5) || !near(r, 0.125) {
			t.Errorf("at gains 1 and 0.25: %v %v", l, r)
		}
		in.SetVolume([]pcm.Volume{0x8000})
		if l, r := b.last(200 * time.Millisecond); !near(l, 0.0625) || !near(r, 0.015625) {
			t.Errorf("and at half volume: %v %v", l, r)
		}
		if err := b.sink.SetVolume([]pcm.Volume{0x10000, 0x10000, 0x10000}); err == nil {
			t.Error("three volumes for two channels are taken")
		}
		b.sink.SetVolume([]pcm.Volume{0x8000, 0x20000})
		if l, r := b.last(200 * time.Millisecond); !near(l, 0.0078125) || !near(r, 0.125) {
			t.Errorf("and with the sink turned: %v %v", l, r)
		}
		b.sink.SetMuted(true)
		if l, r := b.last(200 * time.Millisecond); l != 0 || r != 0 {
			t.Errorf("a muted sink plays %v %v", l, r)
		}
		in.Close()
		b.clock.Advance(time.Second)
		if b.card.IsOpen() {
			t.Fatal("the card is held")
		}
		b.sink.SetMuted(false)
		steady(t, b, InputOptions{Spec: pcm.Spec{Format: pcm.S16LE, Channels: channels, Rate: 48000}})
		if l, r := b.last(200 * time.Millisecond); !near(l, 0.0625/4) || !near(r, 1) { // four times full scale on the right
			t.Errorf("after it was closed: %v %v", l, r)
		}
	}
}

func TestSinkVolumeDoesNotClick(t *testing.T) {
	b := newBench(t, device.Config{})
	steady(t, b, InputOptions{Spec: stereo16(48000)})
	b.last(200 * time.Millisecond)
	for _, v := range []pcm.Volume{0, 0x10000, 0x8000} {
		b.sink.SetVolume([]pcm.Volume{v})
		before := len(b.heard)
		b.run(200 * time.Millisecond)
		for i := max(1, before); i < len(b.heard); i++ {
			if d := math.Abs(float64(b.heard[i] - b.heard[i-1])); d > 0.5/480*1.05 {
				t.Fatalf("to volume %#x: a step of %v", uint32(v), d)
			}
		}
	}
}

// turnable is a card with a volume of its own, in steps of a half, that does as it is told only when the test says so.
type turnable struct {
	*devicetest.Card
	gain, wanted   []float32
	muted, wantOff bool
	changed        func(bool)
}

func (c *turnable) SetVolume(gain []float32, muted bool) {
	c.wanted, c.wantOff = nil, muted
	for _, g := range gain {
		step := float32(0.25)
		for step < g && step < 1 {
			step *= 2
		}
		c.wanted = append(c.wanted, step)
	}
}
func (c *turnable) Volume() ([]float32, bool, bool) { return c.gain, c.muted, true }
func (c *turnable) OnVolume(changed func(bool))     { c.changed = changed }

func TestHardwareVolume(t *testing.T) {
	clock := new(loop.Hand)
	card := &turnable{Card: devicetest.New(clock, device.Config{}), gain: []float32{0.125, 0.125}}
	b := &bench{t: t, clock: clock, card: card.Card, sink: NewSink(clock, card, t.Logf)}
	told := 0
	b.sink.OnChange(func() { told++ })
	if v, _ := b.sink.Volume(); v[0] != 0x8000 || !b.sink.Hardware() {
		t.Errorf("a sink begins at %#x, not at what its card is at", uint32(v[0]))
	}
	steady(t, b, InputOptions{Spec: stereo16(48000)})
	if l, _ := b.last(200 * time.Millisecond); l != 0.5 {
		t.Errorf("%v is sent to a card that does all of it", l)
	}
	b.sink.SetVolume([]pcm.Volume{pcm.VolumeOf(0.3)}) // louder than the card is as yet
	if l, _ := b.last(200 * time.Millisecond); l > 0.5001 {
		t.Errorf("%v is sent to a card that has still to be turned up", l)
	}
	card.gain = card.wanted
	card.changed(false)
	if l, _ := b.last(200 * time.Millisecond); !near(l*0.5, 0.15) || told != 0 {
		t.Errorf("%v is sent to a card at one half, want 0.3", l)
	}
	card.gain, card.muted = []float32{1, 1}, true
	card.changed(true)
	if v, muted := b.sink.Volume(); v[0] != 0x10000 || !muted || told != 1 {
		t.Errorf("turned by hand: %#x, muted %v, told %d times", uint32(v[0]), muted, told)
	}
	b.sink.SetMuted(false)
	if card.wantOff || card.wanted[0] != 1 {
		t.Error("the card was not told")
	}
}
