package mixer

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
)

var best = Quality{Resampler: pcm.Best, Dither: true}

// pulser is a client that plays one soft pulse, in the middle of silence, around frame at.
type pulser struct {
	in     *Input
	wanted int
	next   int
	pulse  func(frame float64) float32
}

func (p *pulser) Wants(n int)    { p.wanted += n }
func (p *pulser) Started()       {}
func (p *pulser) Underrun(int64) {}
func (p *pulser) Drained()       {}
func (p *pulser) Resized()       {}

func (p *pulser) feed() {
	var b []byte
	for ; p.wanted >= 4; p.wanted -= 4 {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p.pulse(float64(p.next))))
		p.next++
	}
	p.in.Write(b)
}

// pulseAt is a bell around a frame, so wide that width frames hold nearly all of it.
func pulseAt(at, width float64) func(frame float64) float32 {
	return func(n float64) float32 { return float32(0.5 * math.Exp(-((n-at)/width*6)*((n-at)/width*6)/2)) }
}

// middle is where a pulse is, in frames; NaN when there is none.
func middle(h []float32) float64 {
	var sum, moment float64
	for i, x := range h {
		sum += float64(x)
		moment += float64(x) * float64(i)
	}
	return moment / sum
}

var delayRates = [][2]int{{44100, 48000}, {48000, 44100}, {48000, 96000}, {96000, 48000}, {8000, 48000}, {48000, 8000}, {22050, 48000},
	{48000, 22050}, {192000, 48000}, {48000, 192000}, {47999, 48000}, {48000, 47999}, {48000, 48000}}

// A pulse is heard when the stream's timing says that its frame is: the resampler's delay is in the latency, to a fraction of a frame.
func TestLatencyHoldsTheResampler(t *testing.T) {
	for _, q := range []Quality{{}, {Resampler: pcm.Best}} {
		for _, rates := range delayRates {
			from, to := float64(rates[0]), float64(rates[1])
			at := math.Floor(0.3 * from)
			b := newBench(t, device.Config{Rate: rates[1], Channels: pcm.MonoMap})
			b.sink.SetQuality(q)
			p := &pulser{pulse: pulseAt(at, 40*max(1, from/to))}
			spec := pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: uint32(rates[0])}
			var err error
			if p.in, err = b.sink.NewInput(InputOptions{Spec: spec, Map: pcm.MonoMap, Attr: whatever}, p); err != nil {
				t.Fatal(err)
			}
			p.wanted = p.in.Missing()
			p.in.Start()
			var heard []float32
			var foretold []float64
			for range 600 {
				p.feed()
				b.clock.Advance(time.Millisecond)
				heard = append(heard, b.card.Heard()...)
				if tm := p.in.Timing(); tm.Playing {
					foretold = append(foretold, float64(len(heard))+tm.Latency.Seconds()*to+(at-float64(tm.ReadIndex)/4)*to/from)
				}
			}
			m := middle(heard)
			for i, f := range foretold {
				if !(math.Abs(f-m) < 0.02) {
					t.Errorf("%v, %v: the pulse is heard at frame %.3f, foretold at %.3f by %d of %d", q.Resampler, rates, m, f, i, len(foretold))
					break
				}
			}
			if len(foretold) < 400 {
				t.Errorf("%v: played for %d ms of 600", rates, len(foretold))
			}
		}
	}
}

// What is recorded was heard when the stream's timing says.
func TestRecordLatencyHoldsTheResampler(t *testing.T) {
	for _, q := range []Quality{{}, {Resampler: pcm.Best}} {
		for _, rates := range delayRates {
			from, to := float64(rates[0]), float64(rates[1])
			s := newStudio(t, device.Config{Rate: rates[0], Channels: pcm.MonoMap})
			s.src.SetQuality(q)
			at := math.Floor(s.clock.Now().Seconds()*from + 0.3*from)
			pulse := pulseAt(at, 40*max(1, from/to))
			s.mic.Sound = func(n int64) float32 { return pulse(float64(n)) }
			p := s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: uint32(rates[1])}})
			s.clock.Advance(600 * time.Millisecond)
			tm := p.out.Timing()
			m := middle(p.samples(0))
			told := (s.clock.Now()-tm.Latency).Seconds()*from - (float64(tm.WriteIndex)/4-m)*from/to
			if off := told - at; !(off > -0.02 && off < 1.02) { // the microphone counts whole frames
				t.Errorf("%v, %v: the pulse came at frame %v, told is %.3f", q.Resampler, rates, at, told)
			}
		}
	}
}

// 16-bit sound goes to a 16-bit card bit for bit, alone and added up, with a dither too; what was scaled or resampled gets its noise.
func TestDitherLeavesSixteenBits(t *testing.T) {
	play := func(q Quality, bits int, opts ...InputOptions) []float32 {
		b := newBench(t, device.Config{Bits: bits})
		b.sink.SetQuality(q)
		if told, want := b.sink.Quality(), (Quality{q.Resampler, q.Dither && bits == 16}); told != want {
			t.Errorf("%+v for a card of %d bits is told as %+v", q, bits, told)
		}
		for i, o := range opts {
			b.player(o).opposite = i > 0
		}
		b.run(300 * time.Millisecond)
		return b.heard
	}
	straight := InputOptions{Spec: stereo16(48000), Attr: whatever}
	softer, resampled := straight, InputOptions{Spec: stereo16(44100), Attr: whatever}
	softer.Volume = []pcm.Volume{0x8000}
	h := play(best, 16, straight)
	wantFrames(t, sound(h), 0, len(sound(h)))
	for _, x := range play(best, 16, straight, straight) {
		if x != 0 {
			t.Fatalf("a sound and its opposite leave %v", x)
		}
	}
	for _, opts := range []InputOptions{softer, resampled} {
		q := Quality{Dither: true}
		without, with, fine := play(Quality{}, 16, opts), play(q, 16, opts), play(q, 24, opts)
		var power float64
		n, first := 0, len(without)-len(sound(without))
		for i := first + 4800; i < len(without); i++ {
			e := float64(with[i]-without[i]) * 32768
			if math.Abs(e) > 1 {
				t.Fatalf("%v: %v of a step at %d", opts.Spec, e, i)
			}
			power, n = power+e*e, n+1
			if fine[i] != without[i] {
				t.Fatalf("%v: noise on a card of 24 bits", opts.Spec)
			}
		}
		if power /= float64(n); n < 4800 || math.Abs(power-1./6) > 0.01 { // that of a triangle two steps wide
			t.Errorf("%v: noise of %.3f steps squared in %d frames, want 1/6", opts.Spec, power, n)
		}
	}
}

// A recording in 16 bits is dithered for itself alone: who takes floats beside it hears what was there.
func TestRecordingIsDithered(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.src.SetQuality(Quality{Dither: true})
	s.mic.Sound = sine(997, 1e-5, 48000) // a third of a step
	soft, fine := s.record(OutputOptions{Spec: stereo16(48000)}), s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}})
	s.clock.Advance(4 * time.Second)
	if amp, residual := level(soft.samples(0), 997, 48000); math.Abs(amp+100) > 0.5 || math.Abs(amp-3.01+residual+96.33) > 0.2 {
		t.Errorf("a tone of -100 dBFS is recorded at %.2f, with noise of %.2f", amp, amp-3.01+residual)
	}
	if amp, residual := level(fine.samples(0), 997, 48000); math.Abs(amp+100) > 0.001 || residual > -110 {
		t.Errorf("in floats it is %.3f dB, with %.1f dB beside it", amp, residual)
	}
}
