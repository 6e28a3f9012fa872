package mixer

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// tape is a client that records: it fetches at once unless it is lazy.
type tape struct {
	out   *Output
	lazy  bool
	calls int
	got   []byte
	most  int // longest fragment
}

func (p *tape) Captured() {
	p.calls++
	if !p.lazy {
		p.fetch()
	}
}

func (p *tape) fetch() {
	for p.out.Ready() > 0 {
		p.most = max(p.most, p.out.Ready())
		p.got = p.out.Fetch(p.got, p.out.Ready())
	}
}

// samples is what was recorded of one channel.
func (p *tape) samples(channel int) []float32 {
	spec := p.out.Spec()
	all := make([]float32, len(p.got)/spec.Format.Size())
	pcm.Decode(all, p.got, spec.Format)
	var one []float32
	for i := channel; i < len(all); i += int(spec.Channels) {
		one = append(one, all[i])
	}
	return one
}

type studio struct {
	t     *testing.T
	clock *loop.Hand
	mic   *devicetest.Mic
	src   *Source
	said  []string
}

func newStudio(t *testing.T, c device.Config) *studio {
	clock := new(loop.Hand)
	clock.Advance(time.Second + 3*time.Millisecond)
	s := &studio{t: t, clock: clock, mic: devicetest.NewMic(clock, c)}
	s.src = NewSource(clock, s.mic, func(format string, args ...any) { s.said = append(s.said, fmt.Sprintf(format, args...)) })
	return s
}

func sine(freq, amp, rate float64) func(int64) float32 {
	return func(n int64) float32 { return float32(amp * math.Sin(2*math.Pi*freq*float64(n)/rate)) }
}

func record(t *testing.T, src *Source, opts OutputOptions) *tape {
	t.Helper()
	if opts.Map == nil {
		opts.Map = pcm.DefaultMap(int(opts.Spec.Channels))
	}
	if opts.Attr == (RecordAttr{}) {
		opts.Attr = RecordAttr{Whatever, Whatever}
	}
	p := new(tape)
	out, err := src.NewOutput(opts, p)
	if err != nil {
		t.Fatal(err)
	}
	p.out = out
	out.Start()
	return p
}

func (s *studio) record(opts OutputOptions) *tape { return record(s.t, s.src, opts) }

func TestEveryFrameIsRecordedOnce(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(n int64) float32 { return float32(value(int(n))) / 32768 }
	if s.mic.Opens() != 0 {
		t.Fatal("the microphone was opened before anybody records")
	}
	p := s.record(OutputOptions{Spec: stereo16(48000), Corked: true})
	q := s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 48000}, Attr: RecordAttr{Whatever, 1920}, Latency: AdjustLatency, Corked: true})
	s.clock.Advance(time.Second)
	if s.mic.Opens() != 0 || s.clock.Timers() != 0 {
		t.Fatal("corked streams opened the microphone")
	}
	p.out.Cork(false)
	s.clock.Advance(1300 * time.Millisecond)
	q.out.Cork(false)
	s.clock.Advance(1700 * time.Millisecond)
	for channel := range 2 {
		h := p.samples(channel)
		wantFrames(t, h, int(s.mic.Opened()), len(h))
		if len(h) < 48000*29/10 {
			t.Errorf("%d frames in 3 s", len(h))
		}
	}
	h := q.samples(0)
	wantFrames(t, h, int(s.mic.Opened())+48000*13/10, len(h)) // from when it was uncorked
	if s.mic.Stats().Xruns != 0 {
		t.Error("overruns:", s.mic.Stats().Xruns)
	}
	if q.most > 1920 {
		t.Errorf("a fragment of %d bytes, 1920 were agreed on", q.most)
	}
	p.out.Close()
	if !s.mic.IsOpen() {
		t.Error("the microphone was closed while somebody records")
	}
	q.out.Cork(true)
	if s.mic.IsOpen() || s.clock.Timers() != 0 {
		t.Error("nobody records, and the microphone is open or a timer set")
	}
}

func TestRecordsAtAnyRateAndMap(t *testing.T) {
	for _, c := range []struct {
		from device.Config
		to   pcm.Spec
	}{
		{device.Config{}, pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 16000}},
		{device.Config{}, pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 44100}},
		{device.Config{Rate: 44100, Channels: pcm.MonoMap}, pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}},
		{device.Config{Rate: 16000, Channels: pcm.MonoMap}, pcm.Spec{Format: pcm.Float32LE, Channels: 6, Rate: 192000}},
	} {
		s := newStudio(t, c.from)
		rate := float64(max(c.from.Rate, 16000))
		if c.from.Rate == 0 {
			rate = 48000
		}
		s.mic.Sound = sine(997, 0.5, rate)
		p := s.record(OutputOptions{Spec: c.to})
		s.clock.Advance(2 * time.Second)
		h := p.samples(0)
		if want := 2 * int(c.to.Rate); len(h) < want-int(c.to.Rate)/5 || len(h) > want {
			t.Errorf("%v from %v: %d frames in 2 s", c.to, c.from, len(h))
		}
		h = h[len(h)-int(c.to.Rate):]
		if amp, residual := level(h, 997, float64(c.to.Rate)); math.Abs(amp+6.02) > 0.05 || residual > -90 {
			t.Errorf("%v from %v: %.2f dB, residual %.1f dB", c.to, c.from, amp, residual)
		}
	}
}

func TestPeaksForMeters(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(n int64) float32 {
		if n/48000 == 2 {
			return -0.75
		}
		return 0.25
	}
	p := s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 25}, Attr: RecordAttr{Whatever, 4}, Latency: AdjustLatency, Peaks: true})
	s.clock.Advance(3 * time.Second)
	h := p.samples(0)
	if len(h) < 73 || len(h) > 75 || p.most != 4 {
		t.Fatalf("%d frames in 3 s, the longest fragment %d bytes", len(h), p.most)
	}
	quiet, loud := 0, 0
	for _, x := range h {
		switch x {
		case 0.25:
			quiet++
		case 0.75:
			loud++
		default:
			t.Errorf("a peak of %v", x)
		}
	}
	if quiet < 45 || loud < 24 || loud > 26 {
		t.Errorf("%d quiet, %d loud", quiet, loud)
	}
	if _, err := s.src.NewOutput(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 0}, Map: pcm.MonoMap, Peaks: true}, p); err == nil {
		t.Error("a rate of 0 is served")
	}
	if _, err := s.src.NewOutput(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 25}, Map: pcm.MonoMap}, p); err == nil {
		t.Error("a rate of 25 Hz is served to one that is no meter")
	}
}

func TestMetersShareTheirWakeUps(t *testing.T) {
	clock := new(loop.Hand)
	var tapes []*tape
	for i := range 10 {
		clock.Advance(time.Duration(i) * 1700 * time.Microsecond)
		src := NewSource(clock, devicetest.NewMic(clock, device.Config{}), t.Logf)
		tapes = append(tapes, record(t, src, OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 25}, Attr: RecordAttr{Whatever, 4}, Latency: AdjustLatency, Peaks: true}))
	}
	clock.Advance(time.Second)
	times := 0
	for range 1000 {
		before := 0
		for _, p := range tapes {
			before += p.calls
		}
		clock.Advance(time.Millisecond)
		for _, p := range tapes {
			before -= p.calls
		}
		if before != 0 {
			times++
		}
	}
	if times > 60 {
		t.Errorf("ten meters woke at %d different times in a second", times)
	}
}

// A client that does not read loses its oldest, and nobody else anything.
func TestLazyClientLosesItsOldest(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(n int64) float32 { return float32(value(int(n))) / 32768 }
	budget := NewBudget(200_000)
	lazy := s.record(OutputOptions{Spec: stereo16(48000), Attr: RecordAttr{40_002, 8000}, Budget: budget})
	poor := s.record(OutputOptions{Spec: stereo16(48000), Budget: budget})
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	lazy.lazy, poor.lazy = true, true
	for range 100 {
		s.clock.Advance(100 * time.Millisecond)
		if n := lazy.out.backlog.length(); n > 40_000 {
			t.Fatal("queued:", n)
		}
		if budget.Taken() > 200_000 {
			t.Fatal("the budget is overdrawn:", budget.Taken())
		}
	}
	end := int(s.mic.Opened()) + len(p.got)/4
	lazy.fetch()
	wantFrames(t, lazy.samples(0), end-10_000, 10_000)
	if lazy.most != 8000 {
		t.Error("fragments of up to", lazy.most)
	}
	if tm := lazy.out.Timing(); tm.WriteIndex != int64(len(p.got)) || tm.ReadIndex != tm.WriteIndex {
		t.Errorf("%+v after %d bytes", tm, len(p.got))
	}
	poor.fetch()
	if n := len(poor.got) / 4; n < 10_000 || n > 50_000 {
		t.Errorf("%d frames were kept of a budget of 200000 bytes", n)
	}
	wantFrames(t, poor.samples(0), end-len(poor.got)/4, len(poor.got)/4)
	wantFrames(t, p.samples(1), int(s.mic.Opened()), len(p.got)/4)
	lazy.out.Close()
	poor.out.Close()
	if budget.Taken() != 0 {
		t.Error("taken of the budget at the end:", budget.Taken())
	}
	budget.Take(200_000 - 100)
	if _, err := s.src.NewOutput(OutputOptions{Spec: stereo16(48000), Map: pcm.StereoMap, Attr: RecordAttr{Whatever, Whatever}, Budget: budget}, p); !errors.Is(err, ErrBudget) {
		t.Error("a stream beyond the budget:", err)
	}
}

// The clock that libpulse makes of write index and latency is the time since the first frame, at every moment.
func TestRecordClock(t *testing.T) {
	for _, rate := range []uint32{48000, 44100} {
		s := newStudio(t, device.Config{})
		p := s.record(OutputOptions{Spec: stereo16(rate), Attr: RecordAttr{Whatever, 3528}, Latency: AdjustLatency})
		begin := s.clock.Now()
		for i := range 1000 {
			s.clock.Advance(time.Duration(100+i*7%5000) * time.Microsecond)
			tm := p.out.Timing()
			if !tm.Recording || tm.Latency < 0 {
				t.Fatalf("%+v", tm)
			}
			off := stereo16(rate).Duration(tm.WriteIndex) + tm.Latency - (s.clock.Now() - begin)
			if max(off, -off) > 60*time.Microsecond {
				t.Fatalf("after %v the clock is off by %v: %+v", s.clock.Now()-begin, off, tm)
			}
		}
		p.out.Cork(true)
		if tm := p.out.Timing(); tm.Recording || tm.Latency != 0 {
			t.Errorf("corked: %+v", tm)
		}
	}
}

// wantSmooth checks that h has no step steeper than a tone of that amplitude, and a ramp, have.
func wantSmooth(t *testing.T, h []float32, freq, amp, rate float64) {
	t.Helper()
	steepest := amp*2*math.Pi*freq/rate + amp/(rampTime.Seconds()*rate)*1.1
	for i := 1; i < len(h); i++ {
		if step := math.Abs(float64(h[i] - h[i-1])); step > steepest {
			t.Fatalf("a click at frame %d of %d: a step of %.4f, a ramped tone's is at most %.4f", i, len(h), step, steepest)
		}
	}
}

func TestMoveBetweenSilenceAndSound(t *testing.T) {
	s := newStudio(t, device.Config{Rate: 44100, Channels: pcm.MonoMap})
	s.mic.Sound = sine(300, 0.5, 44100)
	null, err := device.NewSource("null", s.clock)
	if err != nil {
		t.Fatal(err)
	}
	closed := NewSource(s.clock, null, t.Logf)
	p := record(t, closed, OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 48000}, Attr: RecordAttr{Whatever, 1920}, Latency: AdjustLatency})
	step := func(d time.Duration) []float32 {
		p.got = p.got[:0]
		s.clock.Advance(d)
		return p.samples(0)
	}
	if h := step(1100 * time.Millisecond); len(sound(h)) != 0 || s.mic.IsOpen() || len(h) < 52000 {
		t.Fatalf("closed: %d frames of sound in %d, the microphone is open: %v", len(sound(h)), len(h), s.mic.IsOpen())
	}
	var all []float32
	for range 5 {
		p.out.Move(s.src)
		if !s.mic.IsOpen() {
			t.Fatal("the microphone is closed")
		}
		h := step(503 * time.Millisecond)
		if amp, _ := level(h[len(h)-12000:], 300, 48000); math.Abs(amp+6.02) > 0.1 {
			t.Errorf("open: %.2f dB", amp)
		}
		all = append(all, h...)
		p.out.Move(closed)
		if s.mic.IsOpen() {
			t.Fatal("the microphone is open")
		}
		h = step(497 * time.Millisecond)
		if n := len(sound(h)); n > 48000/20 {
			t.Errorf("%d frames of sound after it was closed", n)
		}
		all = append(all, h...)
	}
	wantSmooth(t, all, 300, 0.5, 48000)
	if n := len(all); n < 5*48000-1000 || n > 5*48000+1000 {
		t.Errorf("%d frames in 5 s", n)
	}
}

func TestMicrophoneInTrouble(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(int64) float32 { return 0.5 }
	changes := 0
	s.src.OnChange(func() { changes++ })
	s.mic.Refuse(errors.New("held by arecord"))
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(time.Second)
	if len(sound(p.samples(0))) != 0 || len(p.got) < 43200*4 || s.src.State().Trouble != "held by arecord" {
		t.Errorf("%d bytes while it could not be opened, trouble %q", len(p.got), s.src.State().Trouble)
	}
	p.out.Cork(true)
	s.mic.Refuse(nil)
	p.out.Cork(false)
	p.got = nil
	s.clock.Advance(2 * time.Second)
	if n := len(sound(p.samples(0))); n < 90000 || s.src.State().Trouble != "" {
		t.Errorf("%d frames once it could be opened, trouble %q", n, s.src.State().Trouble)
	}
	s.mic.Unplug()
	p.got = nil
	s.clock.Advance(time.Second)
	if h := p.samples(0); len(sound(h)) != 0 || len(h) < 42000 || !strings.Contains(s.src.State().Trouble, "gone") {
		t.Errorf("unplugged: %d frames, %d of them sound, trouble %q", len(h), len(sound(h)), s.src.State().Trouble)
	}
	if len(s.said) != 3 || changes != 3 {
		t.Errorf("%d changes, and the log says %q", changes, s.said)
	}
}

// TestMicrophoneIsTriedForEach has recording start on a microphone that could not be had before, while a meter goes on listening to it.
func TestMicrophoneIsTriedForEach(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(int64) float32 { return 0.5 }
	s.mic.Refuse(errors.New("broken"))
	meter := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(2 * time.Second)
	s.mic.Refuse(nil)
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(time.Second)
	for _, p := range []*tape{meter, p} {
		if n := len(sound(p.samples(0))); n < 43000 || s.src.State().Trouble != "" {
			t.Errorf("%d frames once it could be opened, trouble %q", n, s.src.State().Trouble)
		}
	}
}

func TestOverrunGoesOn(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(int64) float32 { return 0.5 }
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(time.Second)
	s.src.timer.Stop() // the processor is away
	s.clock.Advance(time.Second)
	s.src.wake()
	p.got = nil
	s.clock.Advance(time.Second)
	if len(p.samples(0)) < 43000 || s.src.State().Xruns != 1 {
		t.Errorf("%d frames after an overrun, %d counted", len(p.samples(0)), s.src.State().Xruns)
	}
}

func TestSuspendedSource(t *testing.T) {
	s := newStudio(t, device.Config{})
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(time.Second)
	s.src.Suspend(true)
	n := len(p.got)
	s.clock.Advance(time.Second)
	if s.mic.IsOpen() || len(p.got) != n || s.clock.Timers() != 0 || p.out.Timing().Recording {
		t.Error("a suspended source records")
	}
	s.src.Suspend(false)
	s.clock.Advance(time.Second)
	if !s.mic.IsOpen() || len(p.got) < n+40000*4 {
		t.Error("it does not go on")
	}
}

func TestRecordVolumes(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(int64) float32 { return 0.5 }
	p := s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Volume: []pcm.Volume{0x8000, 0x10000}})
	want := func(left, right float32) {
		t.Helper()
		s.clock.Advance(time.Second)
		l, r := p.samples(0), p.samples(1)
		wantSmooth(t, l, 0, 1, 48000)
		if l, r := l[len(l)-1], r[len(r)-1]; l != left || r != right {
			t.Errorf("%v and %v, want %v and %v", l, r, left, right)
		}
	}
	want(0.5/8, 0.5)
	p.out.SetVolume([]pcm.Volume{0x10000})
	want(0.5, 0.5)
	p.out.SetGain(0.25)
	want(0.125, 0.125)
	p.out.SetMuted(true)
	want(0, 0)
	p.out.SetMuted(false)
	p.out.SetGain(1)
	s.src.SetVolume([]pcm.Volume{0x8000})
	want(0.5/8, 0.5/8)
	s.src.SetMuted(true)
	want(0, 0)
	if err := p.out.SetVolume(make([]pcm.Volume, 3)); err == nil {
		t.Error("three volumes for two channels")
	}
}

func TestRecordAttributes(t *testing.T) {
	grant := func(wish time.Duration) time.Duration {
		return max(10*time.Millisecond, min(wish, 100*time.Millisecond))
	}
	for _, c := range []struct {
		ask     RecordAttr
		mode    LatencyMode
		want    RecordAttr
		latency time.Duration
	}{ // s16 stereo at 48 kHz: 192 bytes a millisecond
		{RecordAttr{Whatever, Whatever}, Traditional, RecordAttr{4 << 20, 384000}, 100 * time.Millisecond},
		{RecordAttr{Whatever, Whatever}, AdjustLatency, RecordAttr{4 << 20, 384000 - 19200}, 100 * time.Millisecond},
		{RecordAttr{Whatever, 1920}, AdjustLatency, RecordAttr{4 << 20, 1920}, 10 * time.Millisecond},
		{RecordAttr{Whatever, 4}, AdjustLatency, RecordAttr{4 << 20, 1920}, 10 * time.Millisecond},
		{RecordAttr{Whatever, 7680}, AdjustLatency, RecordAttr{4 << 20, 3840}, 20 * time.Millisecond},
		{RecordAttr{Whatever, 7680}, EarlyRequests, RecordAttr{4 << 20, 7680}, 40 * time.Millisecond},
		{RecordAttr{Whatever, 4}, EarlyRequests, RecordAttr{4 << 20, 1920}, 10 * time.Millisecond},
		{RecordAttr{Whatever, 5}, Traditional, RecordAttr{4 << 20, 4}, 10 * time.Millisecond},
		{RecordAttr{0, 0}, Traditional, RecordAttr{4, 4}, 10 * time.Millisecond},
		{RecordAttr{1001, 5000}, Traditional, RecordAttr{1000, 1000}, 5000 * time.Second / 192000},
	} {
		got, latency := c.ask.fix(stereo16(48000), c.mode, grant)
		if got != c.want || (latency-c.latency).Abs() > time.Microsecond {
			t.Errorf("%+v, mode %d: %+v, %v; want %+v, %v", c.ask, c.mode, got, latency, c.want, c.latency)
		}
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.src.SetQuality(best)
	s.mic.Sound = sine(440, 0.5, 48000)
	var tapes []*tape
	for _, opts := range []OutputOptions{
		{Spec: stereo16(48000)}, {Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 16000}, Volume: []pcm.Volume{0x8000}},
		{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 25}, Peaks: true}, {Spec: stereo16(44100), Tunable: true},
	} {
		tapes = append(tapes, s.record(opts))
	}
	for _, p := range tapes {
		p.got = make([]byte, 0, 1<<20)
	}
	if n := testing.AllocsPerRun(50, func() {
		s.clock.Advance(100 * time.Millisecond)
		for _, p := range tapes {
			p.got = p.got[:0]
		}
	}); n != 0 {
		t.Errorf("%v allocations in a tenth of a second", n)
	}
}

// A recording's rate changes without a step: the tone in it is as high as the rates say, and nothing else is there.
func TestRecordingOfVariableRate(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = sine(1000, 0.5, 48000)
	p := s.record(OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Tunable: true})
	s.clock.Advance(time.Second)
	for _, rate := range []uint32{47999, 24000, 48000, 96000, 44100} {
		last := len(p.got)
		if err := p.out.SetRate(rate); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Second)
		h := p.samples(0)[last/8-1:]
		if n := float64(len(h)); math.Abs(n-float64(rate)) > float64(rate)/8 {
			t.Errorf("%v frames in a second at %d Hz", n, rate)
		}
		if amp, residual := level(h[1000:], 1000, float64(rate)); math.Abs(amp+6.02) > 0.01 || residual > -100 {
			t.Errorf("%d Hz: %.2f dB, %.1f dB beside it", rate, amp, residual)
		}
		steepest := 0.5 * 2 * math.Pi * 1000 / float64(min(rate, 48000)) // what the old rate's ring holds comes out at the new one
		for i := 1; i < len(h); i++ {
			if d := math.Abs(float64(h[i] - h[i-1])); d > steepest*1.01 {
				t.Fatalf("%d Hz: a step of %.4f at %d, %.4f is the steepest", rate, d, i, steepest)
			}
		}
	}
	for _, rate := range []uint32{0, 3999, 1 << 31} {
		if p.out.SetRate(rate) == nil {
			t.Errorf("%d Hz are served", rate)
		}
	}
	if err := s.record(OutputOptions{Spec: stereo16(48000)}).out.SetRate(44100); err != ErrFixedRate {
		t.Errorf("a stream of fixed rate: %v", err)
	}
}
