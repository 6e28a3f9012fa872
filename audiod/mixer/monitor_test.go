package mixer

import (
	"errors"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/pcm"
)

func TestMonitorConforms(t *testing.T) {
	silent := newBench(t, device.Config{})
	t.Run("of a closed sink", func(t *testing.T) {
		devicetest.SourceConformance(t, devicetest.SourceBench{
			Make: func(*testing.T) device.Source { return &tap{sink: silent.sink} },
			Now:  silent.clock.Now,
			Pass: silent.clock.Advance,
			Said: func(device.Source, int64, int) float32 { return 0 },
		})
	})
	t.Run("of one that plays", func(t *testing.T) {
		b := newBench(t, device.Config{})
		devicetest.SourceConformance(t, devicetest.SourceBench{
			Make: func(t *testing.T) device.Source {
				p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 4 << 20, Whatever, Whatever}})
				p.feed() // sound for longer than a test takes
				t.Cleanup(p.in.Close)
				return &tap{sink: b.sink}
			},
			Now:  b.clock.Now,
			Pass: func(d time.Duration) { b.clock.Advance(d); b.card.Heard() },
		})
	})
}

// What a monitor of the sink gives is what is heard, frame for frame and at that time; before and after it is silence.
func TestMonitorHearsWhatIsHeard(t *testing.T) {
	b := newBench(t, device.Config{})
	src := NewMonitor(b.sink, nil)
	m := record(t, src, OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Attr: RecordAttr{Whatever, 1920 * 4}, Latency: AdjustLatency})
	b.run(300 * time.Millisecond)
	if b.card.Opens() != 1 || b.card.IsOpen() { // the one is NewSink's
		t.Fatal("listening opened the card")
	}
	for range 3 {
		p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
		p.frames = 48000
		b.run(500 * time.Millisecond)
		p.in.Drain()
		b.run(700 * time.Millisecond)
		p.in.Close()
	}
	played, heard := sound(b.heard), m.samples(0)
	if want := 48000 * 39 / 10; len(heard) < want-2400 || len(heard) > want {
		t.Errorf("%d frames in 3.9 s", len(heard))
	}
	wantFrames(t, played[:48000], 0, 48000)
	got := sound(heard)
	wantFrames(t, got[:48000], 0, 48000)
	b.heard = nil
	src.Close()
	m.out.Close()
	if len(b.sink.taps) != 0 || b.clock.Timers() != 0 {
		t.Errorf("%d monitors and %d timers are left", len(b.sink.taps), b.clock.Timers())
	}
}

func TestMonitorOfOneInput(t *testing.T) {
	b := newBench(t, device.Config{})
	var tones []*tone
	for _, freq := range []float64{440, 1000} {
		p := &tone{freq: freq, amp: 0.3}
		p.t = t
		in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 44100}, Map: pcm.StereoMap, Attr: whatever, Volume: []pcm.Volume{0x8000}}, p)
		if err != nil {
			t.Fatal(err)
		}
		p.in, p.wanted = in, in.Missing()
		in.Start()
		tones = append(tones, p)
	}
	run := func(d time.Duration) {
		for range d / time.Millisecond {
			for _, p := range tones {
				p.feed()
			}
			b.run(time.Millisecond)
		}
	}
	mono := pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 48000}
	alone := record(t, NewMonitor(b.sink, tones[1].in), OutputOptions{Spec: mono})
	all := record(t, NewMonitor(b.sink, nil), OutputOptions{Spec: mono})
	run(time.Second)
	tail := func(p *tape) []float32 { h := p.samples(0); return h[len(h)-24000:] }
	want := 20 * math.Log10(0.3/8)
	if amp, residual := level(tail(alone), 1000, 48000); math.Abs(amp-want) > 0.05 || residual > -80 {
		t.Errorf("the one input: %.2f dB, want %.2f; residual %.1f dB", amp, want, residual)
	}
	if amp, residual := level(tail(all), 1000, 48000); math.Abs(amp-want) > 0.1 || residual < -5 {
		t.Errorf("all of the sink: %.2f dB, want %.2f; residual %.1f dB", amp, want, residual)
	}
	if amp, _ := level(b.heard[len(b.heard)-24000:], 440, 48000); math.Abs(amp-want) > 0.05 {
		t.Errorf("the other input is heard at %.2f dB, want %.2f", amp, want)
	}
	tones[1].in.Cork(true)
	run(500 * time.Millisecond)
	if n := len(sound(alone.samples(0)[70000:])); n != 0 {
		t.Errorf("%d frames of a corked input", n)
	}
	if n := len(alone.got) / 4; n < 67000 || n > 72000 {
		t.Errorf("%d frames in 1.5 s", n)
	}
}

// When the card that is listened to is exchanged for one of another kind, recording goes on.
func TestMonitorAcrossFormats(t *testing.T) {
	b := newBench(t, device.Config{Rate: 44100})
	p := b.player(InputOptions{Spec: stereo16(44100), Attr: whatever})
	m := record(t, NewMonitor(b.sink, nil), OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}})
	b.run(2 * time.Second)
	b.card.Unplug()
	b.run(2 * time.Second) // on the silent device, at 48 kHz
	p.in.Cork(true)
	b.run(6 * time.Second)
	b.card.Plug()
	p.in.Cork(false)
	m.got = nil
	b.run(2 * time.Second)
	if n := len(sound(m.samples(0))); n < 80000 {
		t.Errorf("%d frames in the 2 s after the card came back", n)
	}
}

// TestMonitorAcrossFormatsAtOnce exchanges the device more often than one that fails is opened again.
func TestMonitorAcrossFormatsAtOnce(t *testing.T) {
	b := newBench(t, device.Config{Rate: 44100})
	b.player(InputOptions{Spec: stereo16(44100), Attr: whatever})
	m := record(t, NewMonitor(b.sink, nil), OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}})
	for _, refuse := range []error{errors.New("held by mpv"), nil} {
		b.run(300 * time.Millisecond)
		b.card.Refuse(refuse)
		b.sink.Renew()
	}
	b.run(300 * time.Millisecond)
	m.got = nil
	b.run(time.Second)
	if n := len(sound(m.samples(0))); n < 40000 {
		t.Errorf("%d frames in a second on the card", n)
	}
}

// A mixer's meter may listen to a sink on which nobody plays for days: from some 53 hours on its time in nanoseconds, times the rate, is more than
// 64 bits hold.
func TestMonitorOfALongSilence(t *testing.T) {
	b := newBench(t, device.Config{})
	m := &tap{sink: b.sink}
	if _, err := m.Open(); err != nil {
		t.Fatal(err)
	}
	const days = 100 * time.Hour
	m.since, m.base = m.since-days, -48000*int64(days/time.Second) // as if it had been open for so long
	frames := make([]float32, 2*48000)
	for range 10 {
		b.clock.Advance(100 * time.Millisecond)
		if n, err := m.Read(frames); n != 4800 || err != nil {
			t.Fatalf("%d frames of 100 ms, %v", n, err)
		}
	}
}
