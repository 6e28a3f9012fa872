package mixer

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// player is a client that answers every request at once with a ramp of s16 samples, so that each frame heard tells its own number.
type player struct {
	t        *testing.T
	in       *Input
	wanted   int // bytes asked for and not yet sent
	requests int
	next     int // number of the next frame sent
	lazy     bool
	opposite bool // of sign
	frames   int  // to send in all; 0: no end
	started  int
	drained  int
	resized  int
	underrun []int64
}

func (p *player) Wants(n int)       { p.wanted += n; p.requests++ }
func (p *player) Started()          { p.started++ }
func (p *player) Underrun(at int64) { p.underrun = append(p.underrun, at) }
func (p *player) Drained()          { p.drained++ }
func (p *player) Resized()          { p.resized++ }

// value is the sample of frame n: never 0, so that silence is told from sound, and repeating only after a good half second.
func value(n int) int16 { return int16(n%30000 + 1) }

// feed sends what was asked for.
func (p *player) feed() {
	frame := p.in.Spec().FrameSize()
	for p.wanted >= frame && (p.frames == 0 || p.next < p.frames) {
		n := p.wanted / frame
		if p.frames > 0 {
			n = min(n, p.frames-p.next)
		}
		b := make([]byte, 0, n*frame)
		for range n {
			v := value(p.next)
			if p.opposite {
				v = -v
			}
			for range p.in.Spec().Channels {
				b = binary.LittleEndian.AppendUint16(b, uint16(v))
			}
			p.next++
		}
		p.wanted -= len(b)
		if !p.in.Write(b) {
			p.t.Error("a client that sends only what it was asked for overflowed")
		}
	}
}

type bench struct {
	t     *testing.T
	clock *loop.Hand
	card  *devicetest.Card
	sink  *Sink
	all   []*player
	heard []float32 // left channel
}

func newBench(t *testing.T, c device.Config) *bench {
	clock := new(loop.Hand)
	clock.Advance(time.Second)
	card := devicetest.New(clock, c)
	return &bench{t: t, clock: clock, card: card, sink: NewSink(clock, card, t.Logf)}
}

func stereo16(rate uint32) pcm.Spec { return pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: rate} }

var whatever = BufferAttr{Whatever, Whatever, Whatever, Whatever}

func (b *bench) player(opts InputOptions) *player {
	b.t.Helper()
	if opts.Map == nil {
		opts.Map = pcm.DefaultMap(int(opts.Spec.Channels))
	}
	p := &player{t: b.t}
	in, err := b.sink.NewInput(opts, p)
	if err != nil {
		b.t.Fatal(err)
	}
	p.in, p.wanted = in, in.Missing()
	in.Start()
	b.all = append(b.all, p)
	return p
}

// run lets d pass in steps of a millisecond, in each of which every client that is not lazy answers.
func (b *bench) run(d time.Duration) {
	for range d / time.Millisecond {
		for _, p := range b.all {
			if !p.lazy {
				p.feed()
			}
		}
		b.clock.Advance(time.Millisecond)
		h := b.card.Heard()
		for i := 0; i < len(h); i += 2 {
			b.heard = append(b.heard, h[i])
		}
	}
}

// sound is what was heard without the silence before and after.
func sound(h []float32) []float32 {
	i, j := 0, len(h)
	for i < j && h[i] == 0 {
		i++
	}
	for j > i && h[j-1] == 0 {
		j--
	}
	return h[i:j]
}

// heardFrames is what was heard without any silence.
func heardFrames(b *bench) (h []float32) {
	for _, s := range b.heard {
		if s != 0 {
			h = append(h, s)
		}
	}
	return h
}

// wantFrames checks that h is exactly the frames from first on, none lost, none repeated, none changed.
func wantFrames(t *testing.T, h []float32, first, n int) {
	t.Helper()
	if len(h) != n {
		t.Errorf("%d frames were heard, %d were to be", len(h), n)
	}
	for i, s := range h {
		if want := float32(value(first+i)) / 32768; s != want {
			t.Fatalf("frame %d of %d: %v was heard, %v sent (frame %v)", i, len(h), s*32768, want*32768, first+i)
		}
	}
}

func TestEveryFrameOnce(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	p.frames = 48000 * 3
	b.run(2900 * time.Millisecond)
	if done := p.in.Drain(); done {
		t.Error("drained with sound in the queue")
	}
	b.run(time.Second)
	wantFrames(t, sound(b.heard), 0, p.frames)
	if p.started != 1 || p.drained != 1 || len(p.underrun) != 0 {
		t.Errorf("started %d, drained %d times, underruns %v; want 1, 1, none", p.started, p.drained, p.underrun)
	}
	if x := b.card.Stats().Xruns; x != 0 {
		t.Errorf("%d xruns", x)
	}
	if b.card.IsOpen() || b.clock.Timers() != 0 {
		t.Errorf("with nothing to play the card is open: %v, and %d timers are set", b.card.IsOpen(), b.clock.Timers())
	}
}

func TestTenMinutesWithoutXrun(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}, Latency: AdjustLatency})
	next, minutes := 0, 10
	if testing.Short() {
		minutes = 1
	}
	for minute := range minutes {
		b.heard = b.heard[:0]
		b.run(time.Minute)
		h := b.heard
		if minute == 0 {
			h = h[len(h)-len(sound(h)):]
		}
		wantFrames(t, h, next, len(h))
		next += len(h)
	}
	if x := b.card.Stats().Xruns; x != 0 || len(p.underrun) != 0 {
		t.Errorf("%d xruns, underruns %v", x, p.underrun)
	}
	if next < 48000*(60*minutes-1) {
		t.Errorf("only %d frames in %d minutes", next, minutes)
	}
}

func TestCorkKeepsItsPlace(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true})
	p.frames = 48000
	b.run(300 * time.Millisecond)
	if b.card.IsOpen() || len(b.heard) != 0 {
		t.Fatal("a corked stream opened the card")
	}
	if p.next == 0 {
		t.Fatal("a corked stream was not asked for data")
	}
	for range 4 {
		p.in.Cork(false)
		b.run(150 * time.Millisecond)
		p.in.Cork(true)
		if tm := p.in.Timing(); tm.Playing {
			t.Error("a corked stream says it plays")
		}
		at := p.in.Timing().ReadIndex
		b.run(100 * time.Millisecond)
		if now := p.in.Timing().ReadIndex; now != at {
			t.Errorf("the read index of a corked stream moved from %d to %d", at, now)
		}
	}
	p.in.Cork(false)
	p.in.Drain()
	b.run(2 * time.Second)
	wantFrames(t, heardFrames(b), 0, p.frames)
	if len(p.underrun) != 0 {
		t.Errorf("cork was taken for an underrun: %v", p.underrun)
	}
}

func TestFlushInEitherOrderAsksAnew(t *testing.T) {
	for _, corkFirst := range []bool{true, false} {
		b := newBench(t, device.Config{})
		p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
		b.run(500 * time.Millisecond)
		p.lazy = true
		attr, _ := p.in.Attr()
		if corkFirst {
			p.in.Cork(true)
			p.in.Flush()
		} else {
			p.in.Flush()
			p.in.Cork(true)
		}
		if p.wanted != int(attr.TLength) {
			t.Errorf("cork first %v: %d bytes were asked for after a flush, tlength is %d", corkFirst, p.wanted, attr.TLength)
		}
		tm := p.in.Timing()
		if tm.ReadIndex != tm.WriteIndex {
			t.Errorf("after a flush %d bytes are queued", tm.WriteIndex-tm.ReadIndex)
		}
		p.lazy = false
		p.in.Cork(false)
		b.heard = b.heard[:0]
		b.run(500 * time.Millisecond)
		if len(sound(b.heard)) < 48000/4 {
			t.Error("no sound after flush and uncork")
		}
	}
}

func TestUnderrunIsToldOnce(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
	p.frames = 9600
	b.run(time.Second)
	if len(p.underrun) != 1 || p.underrun[0] != 9600*4 {
		t.Fatalf("underruns at %v, want one at %d", p.underrun, 9600*4)
	}
	if b.card.IsOpen() {
		t.Error("a stream that waits for data holds the card")
	}
	p.frames = 0
	b.run(time.Second)
	if p.started != 2 || len(p.underrun) != 1 {
		t.Errorf("started %d times, underruns %v; want 2 and one", p.started, p.underrun)
	}
	wantFrames(t, heardFrames(b), 0, len(heardFrames(b)))
}

// Who keeps two seconds queued is asked a few times a second, who wants early requests as often as minreq says, and nobody's queue runs low.
func TestLongBuffersAreAskedForSeldom(t *testing.T) {
	for _, test := range []struct {
		tlength  uint32
		mode     LatencyMode
		from, to int // requests in ten seconds
	}{
		{2 * 192000, Traditional, 25, 35},
		{2 * 192000, AdjustLatency, 25, 35},
		{2 * 192000, EarlyRequests, 450, 550},
		{19200, AdjustLatency, 300, 550},
	} {
		b := newBench(t, device.Config{})
		p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, test.tlength, Whatever, Whatever}, Latency: test.mode})
		b.run(time.Second)
		p.requests = 0
		attr, _ := p.in.Attr()
		for range 10_000 {
			b.run(time.Millisecond)
			if queued := p.in.queue.length(); queued < int64(attr.TLength)/4 || test.tlength > 100_000 && queued < int64(attr.TLength)*3/4 {
				t.Fatalf("%+v: %d bytes are left of %d", test, queued, attr.TLength)
			}
		}
		if p.requests < test.from || p.requests > test.to || len(p.underrun) != 0 {
			t.Errorf("%+v: %d requests in ten seconds, underruns %v", test, p.requests, p.underrun)
		}
	}
}

func TestTimePassesWithoutPrebuf(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, 0, Whatever}})
	p.frames = 4800
	for range 1000 { // GStreamer waits for the end of what it sent by this clock
		b.run(time.Millisecond)
		tm := p.in.Timing()
		position, truth := tm.ReadIndex/4-int64(tm.Latency)*48000/int64(time.Second), b.card.Position()
		if d := position - truth; tm.PlayingFor > 0 && !tm.Playing || d < -1 || d > 1 {
			t.Fatalf("position %d, truth %d: %+v", position, truth, tm)
		}
	}
	tm := p.in.Timing()
	if tm.ReadIndex < 4*40000 {
		t.Errorf("the read index stands at %d after a second with prebuf 0", tm.ReadIndex)
	}
	if len(p.underrun) != 1 || p.underrun[0] != 4800*4 {
		t.Errorf("underruns at %v, want one at %d", p.underrun, 4800*4)
	}
	p.wanted = 0
	p.in.SeekWrite(0, SeekRelativeOnRead)
	p.wanted, p.frames, p.next = 4800*4, 9600, 4800
	b.heard = b.heard[:0]
	b.run(300 * time.Millisecond)
	wantFrames(t, sound(b.heard), 4800, 4800)
}

func TestSeekRewritesAndLeavesHoles(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 48000 * 4, Whatever, Whatever}, Corked: true})
	p.lazy, p.wanted = true, 4800*4
	p.feed()                              // frames 0 to 4799
	p.in.SeekWrite(-2400*4, SeekRelative) // the later half again,
	p.next, p.wanted = 20000, 2400*4      // with other sound
	p.feed()
	p.in.SeekWrite(1000*4, SeekRelative) // a hole
	p.next, p.wanted = 10000, 2400*4
	p.feed()
	p.in.Cork(false)
	p.in.Drain()
	b.run(time.Second)
	h := sound(b.heard)
	if len(h) != 2400+2400+1000+2400 {
		t.Fatalf("%d frames", len(h))
	}
	wantFrames(t, h[:2400], 0, 2400)
	wantFrames(t, h[2400:4800], 20000, 2400)
	if hole := sound(h[4800:5800]); len(hole) != 0 {
		t.Errorf("sound in the hole: %d frames", len(hole))
	}
	wantFrames(t, h[5800:], 10000, 2400)
}

// Of what is written where the stream has passed already nothing is heard, and of what reaches beyond that the rest in its place.
func TestSeekBeforeWhatPlays(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 48000 * 4, Whatever, Whatever}, Corked: true})
	p.lazy, p.wanted = true, 24000*4
	p.feed()
	p.in.Cork(false)
	p.in.Trigger()
	b.run(200 * time.Millisecond)
	read := int(p.in.Timing().ReadIndex / 4)
	if read < 4800 || read > 20000 {
		t.Fatalf("it plays frame %d", read)
	}
	p.in.SeekWrite(0, SeekAbsolute)
	p.next, p.wanted = 50000, 24000*4 // as many frames again, with other values
	p.feed()
	if tm := p.in.Timing(); tm.WriteIndex != 24000*4 || len(p.underrun) != 0 {
		t.Errorf("%+v, underruns at %v", tm, p.underrun)
	}
	p.in.Drain()
	b.run(time.Second)
	h := sound(b.heard)
	if len(h) != 24000 {
		t.Fatalf("%d frames", len(h))
	}
	wantFrames(t, h[:read], 0, read)
	wantFrames(t, h[read:], 50000+read, 24000-read)
}

func TestHostileSeeks(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{1 << 20, 19200, Whatever, Whatever}})
	for _, mode := range []int{SeekRelative, SeekAbsolute, SeekRelativeOnRead, SeekRelativeEnd, 77} {
		for _, offset := range []int64{math.MaxInt64, math.MinInt64, 1 << 40, -1 << 40, 3, -1, 1 << 20, 1<<20 + 1} {
			for range 3 {
				p.in.SeekWrite(offset, mode)
				p.in.Write(make([]byte, 1000))
				b.clock.Advance(5 * time.Millisecond)
			}
			if q := p.in.queue; len(q.ring) > 1<<20+4 {
				t.Fatalf("seek %d mode %d made the ring %d bytes long", offset, mode, len(q.ring))
			}
		}
	}
	p.in.Flush()
	p.wanted, p.next = 0, 0
	p.in.changed()
	p.wanted = 19200
	b.heard = nil
	b.run(300 * time.Millisecond)
	if len(sound(b.heard)) < 4800 {
		t.Error("no sound after the seeks")
	}
}

func TestOverflowDropsAndKeepsTime(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{8000, 8000, Whatever, Whatever}, Corked: true})
	if !p.in.Write(make([]byte, 8000)) {
		t.Error("maxlength bytes did not fit")
	}
	if p.in.Write(make([]byte, 4)) {
		t.Error("more than maxlength fitted")
	}
	if w := p.in.Timing().WriteIndex; w != 8004 {
		t.Errorf("write index %d, want 8004", w)
	}
}

// tone plays a sine for as long as it is asked to.
type tone struct {
	player
	freq, amp float64
	rate      uint32 // at which it is freq; 0: the stream's
}

func (p *tone) feed() {
	spec := p.in.Spec()
	rate := spec.Rate
	if p.rate > 0 {
		rate = p.rate
	}
	n := p.wanted / spec.FrameSize()
	f := make([]float32, 0, n*int(spec.Channels))
	for range n {
		s := float32(p.amp * math.Sin(2*math.Pi*p.freq*float64(p.next)/float64(rate)))
		for range spec.Channels {
			f = append(f, s)
		}
		p.next++
	}
	b := make([]byte, n*spec.FrameSize())
	pcm.Encode(b, f, spec.Format)
	p.wanted -= len(b)
	p.in.Write(b)
}

// level is the amplitude and phase error-free residual of the best-fitting sine of freq in h, both in dB.
func level(h []float32, freq, rate float64) (amp, residual float64) {
	var ss, cc, sc, xs, xc, xx float64
	for i, x := range h {
		s, c := math.Sincos(2 * math.Pi * freq * float64(i) / rate)
		ss, cc, sc = ss+s*s, cc+c*c, sc+s*c
		xs, xc, xx = xs+float64(x)*s, xc+float64(x)*c, xx+float64(x)*float64(x)
	}
	det := ss*cc - sc*sc
	a, b := (xs*cc-xc*sc)/det, (xc*ss-xs*sc)/det
	rest := xx - a*xs - b*xc
	power := (a*a + b*b) / 2 * float64(len(h))
	return 20 * math.Log10(math.Hypot(a, b)), 10 * math.Log10(math.Max(rest, 1e-30)/power)
}

func TestTwoStreamsOfDifferentRatesAddUp(t *testing.T) {
	b := newBench(t, device.Config{})
	tones := []*tone{{freq: 440, amp: 0.3}, {freq: 1000, amp: 0.2}}
	for i, rate := range []uint32{44100, 96000} {
		p := tones[i]
		p.t = t
		in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: rate}, Map: pcm.StereoMap, Attr: whatever}, p)
		if err != nil {
			t.Fatal(err)
		}
		p.in, p.wanted = in, in.Missing()
		in.Start()
	}
	for range 1500 {
		for _, p := range tones {
			p.feed()
		}
		b.run(time.Millisecond)
	}
	h := b.heard[len(b.heard)-24000:]
	for _, p := range tones {
		amp, _ := level(h, p.freq, 48000)
		if want := 20 * math.Log10(p.amp); math.Abs(amp-want) > 0.05 {
			t.Errorf("%v Hz at %.2f dB, want %.2f", p.freq, amp, want)
		}
	}
	// What is left after both tones are taken away is the resampler's and nothing else.
	rest := append([]float32(nil), h...)
	for _, p := range tones {
		subtract(rest, p.freq, 48000)
	}
	if e := energy(rest) - energy(h); e > -100 {
		t.Errorf("residual %.1f dB", e)
	}
}

func subtract(h []float32, freq, rate float64) {
	var xs, xc float64
	for i, x := range h {
		s, c := math.Sincos(2 * math.Pi * freq * float64(i) / rate)
		xs, xc = xs+float64(x)*s, xc+float64(x)*c
	}
	n := float64(len(h)) / 2
	for i := range h {
		s, c := math.Sincos(2 * math.Pi * freq * float64(i) / rate)
		h[i] -= float32((xs*s + xc*c) / n)
	}
}

func energy(h []float32) (db float64) {
	sum := 0.0
	for _, x := range h {
		sum += float64(x) * float64(x)
	}
	return 10 * math.Log10(sum/float64(len(h))+1e-30)
}

func TestVolumeMuteAndNoClick(t *testing.T) {
	b := newBench(t, device.Config{})
	p := &tone{freq: 100, amp: 0.09}
	p.t = t
	in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Attr: whatever}, p)
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.wanted = in, in.Missing()
	in.Start()
	run := func(d time.Duration) {
		for range d / time.Millisecond {
			p.feed()
			b.run(time.Millisecond)
		}
	}
	run(300 * time.Millisecond)
	steps := []struct {
		volume pcm.Volume
		mute   bool
		want   float64 // amplitude
	}{{0x8000, false, 0.09 / 8}, {0x10000, false, 0.09}, {0x7FFFFFFE, false, 0.9}, {0x10000, true, 0}, {0x4000, false, 0.09 / 64}}
	for _, s := range steps {
		if err := in.SetVolume([]pcm.Volume{s.volume}); err != nil {
			t.Fatal(err)
		}
		in.SetMuted(s.mute)
		before := len(b.heard)
		run(300 * time.Millisecond)
		h := b.heard[len(b.heard)-4800:]
		if s.want == 0 {
			if len(sound(h)) != 0 {
				t.Error("a muted stream is heard")
			}
		} else if amp, _ := level(h, 100, 48000); math.Abs(amp-20*math.Log10(s.want)) > 0.01 {
			t.Errorf("volume %#x: %.2f dB, want %.2f", uint32(s.volume), amp, 20*math.Log10(s.want))
		}
		steepest := 0.9*2*math.Pi*100/48000 + 0.9/480*1.05 // the tone's own slope and a ramp of 10 ms
		for i := max(before, 1); i < len(b.heard); i++ {
			if d := math.Abs(float64(b.heard[i] - b.heard[i-1])); d > steepest {
				t.Fatalf("volume %#x mute %v: a step of %.4f where %.4f is the steepest", uint32(s.volume), s.mute, d, steepest)
			}
		}
	}
}

func TestNothingAboveFullScaleAndNoPoison(t *testing.T) {
	b := newBench(t, device.Config{})
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1)), 3e38, 0.9, 0.9} {
		p := &player{t: t}
		in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Attr: whatever}, p)
		if err != nil {
			t.Fatal(err)
		}
		in.Missing()
		raw := make([]byte, 8*48000)
		for i := 0; i < len(raw); i += 4 {
			binary.LittleEndian.PutUint32(raw[i:], math.Float32bits(x))
		}
		in.Write(raw)
		in.Drain()
	}
	b.run(1500 * time.Millisecond)
	h := sound(b.heard)
	if len(h) < 40000 {
		t.Fatal("nothing was heard")
	}
	for i, s := range h {
		if s != s || s > 1 || s < -1 {
			t.Fatalf("frame %d: %v", i, s)
		}
	}
}

// Streams that are too loud together are turned down, not clipped.
func TestLoudSums(t *testing.T) {
	b := newBench(t, device.Config{})
	tones := []*tone{{freq: 440, amp: 0.9}, {freq: 1000, amp: 0.7}}
	for _, p := range tones {
		p.t = t
		in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Attr: whatever}, p)
		if err != nil {
			t.Fatal(err)
		}
		p.in, p.wanted = in, in.Missing()
		in.Start()
	}
	for range 1500 {
		for _, p := range tones {
			p.feed()
		}
		b.run(time.Millisecond)
	}
	h := b.heard[len(b.heard)-24000:]
	if peak := pcm.Peak(h); peak > 1 || peak < 0.95 {
		t.Errorf("a peak of %v", peak)
	}
	rest := append([]float32(nil), h...)
	for _, p := range tones {
		subtract(rest, p.freq, 48000)
	}
	if e := energy(rest) - energy(h); e > -60 {
		t.Errorf("%.1f dB beside the tones", e)
	}
}

func TestDeviceLostAndRefused(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(300 * time.Millisecond)
	b.card.Unplug()
	before := p.in.Timing().ReadIndex
	b.run(time.Second)
	if st := b.sink.State(); st.Trouble == "" || st.Device != "null" {
		t.Errorf("after the card left: %+v", st)
	}
	if took := p.in.Timing().ReadIndex - before; took < 4*45000 || took > 4*55000 {
		t.Errorf("in a second of silence %d bytes passed, want about %d", took, 4*48000)
	}
	p.in.Cork(true)
	b.run(time.Second)
	b.card.Plug()
	b.card.Refuse(errors.New("held by mpv"))
	p.in.Cork(false)
	b.run(100 * time.Millisecond)
	if st := b.sink.State(); st.Trouble != "held by mpv" {
		t.Errorf("trouble %q", st.Trouble)
	}
	p.in.Cork(true)
	b.run(time.Second)
	b.card.Refuse(nil)
	b.heard = nil
	p.in.Cork(false)
	b.run(300 * time.Millisecond)
	if st := b.sink.State(); st.Trouble != "" || len(sound(b.heard)) == 0 {
		t.Errorf("the card is back, but: %+v, %d frames heard", st, len(sound(b.heard)))
	}
}

func TestXrunIsSurvived(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(300 * time.Millisecond)
	b.card.Xrun()
	b.run(300 * time.Millisecond)
	if n := b.sink.State().Xruns; n != 1 {
		t.Errorf("%d xruns counted, want 1", n)
	}
	before := p.in.Timing().ReadIndex
	b.run(300 * time.Millisecond)
	if p.in.Timing().ReadIndex == before {
		t.Error("the stream stands still after an xrun")
	}
}

func TestCycleAllocatesNothing(t *testing.T) {
	for _, q := range []Quality{{}, best} {
		cycleAllocatesNothing(t, q)
	}
}

func cycleAllocatesNothing(t *testing.T, q Quality) {
	b := newBench(t, device.Config{Bits: 16})
	b.sink.SetQuality(q)
	data := make([]byte, 64<<10)
	for _, spec := range []pcm.Spec{stereo16(48000), stereo16(44100), {Format: pcm.Float32LE, Channels: 6, Rate: 96000}, {Format: pcm.U8, Channels: 1, Rate: 8000}, {Format: pcm.S24In32BE, Channels: 8, Rate: 44100}} {
		p := b.player(InputOptions{Spec: spec, Attr: BufferAttr{Whatever, uint32(spec.Bytes(200 * time.Millisecond)), Whatever, Whatever}, Latency: AdjustLatency})
		p.lazy = true
	}
	step := func() {
		for _, p := range b.all {
			n := min(p.wanted, len(data))
			p.in.Write(data[:n])
			p.wanted -= n
		}
		b.clock.Advance(5 * time.Millisecond)
		b.card.Heard()
	}
	for range 400 {
		step()
	}
	if n := testing.AllocsPerRun(400, step); n != 0 {
		t.Errorf("%v allocations in 5 ms of mixing five streams", n)
	}
	for _, p := range b.all {
		if p.started != 1 || len(p.underrun) != 0 {
			t.Errorf("%v: started %d, underruns %v", p.in.Spec(), p.started, p.underrun)
		}
	}
}

func TestIdleCardLingersAndCloses(t *testing.T) {
	b := newBench(t, device.Config{Linger: 2 * time.Second})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	b.run(300 * time.Millisecond)
	p.in.Close()
	b.all = nil
	b.run(time.Second)
	if !b.card.IsOpen() {
		t.Error("the card was closed before its linger")
	}
	b.run(1500 * time.Millisecond)
	if b.card.IsOpen() || b.clock.Timers() != 0 {
		t.Errorf("open %v, %d timers after the linger", b.card.IsOpen(), b.clock.Timers())
	}
	if x := b.card.Stats().Xruns; x != 0 {
		t.Errorf("%d xruns while lingering", x)
	}
}

// What is left to be drained plays on after a cork though it is less than prebuf; a trigger without sound starts nothing.
func TestPrebufGivesWayToSoundOnly(t *testing.T) {
	b := newBench(t, device.Config{})
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true})
	if tm := p.in.Timing(); tm.UnderrunFor != ^uint64(0) || tm.Playing {
		t.Errorf("before the first sound: %+v", tm)
	}
	p.frames = 9600
	p.feed()
	p.in.Cork(false)
	b.run(50 * time.Millisecond)
	if p.started != 0 {
		t.Fatal("less than prebuf plays")
	}
	p.in.Drain()
	b.run(30 * time.Millisecond)
	p.in.Cork(true)
	b.run(30 * time.Millisecond)
	p.in.Cork(false)
	b.run(300 * time.Millisecond)
	wantFrames(t, heardFrames(b), 0, 9600)
	if p.drained != 1 || p.in.Timing().UnderrunFor != 0 {
		t.Errorf("drained %d times, %+v", p.drained, p.in.Timing())
	}
	p.in.Trigger()
	p.frames += 480
	b.run(100 * time.Millisecond)
	if p.started != 2 || len(heardFrames(b)) != 9600 {
		t.Errorf("a trigger of an empty stream lets what comes later play: %d frames, started %d times", len(heardFrames(b))-9600, p.started)
	}
}

// A stream that waits for nothing keeps time to the frame in the longest silence, at the device's rate or another.
func TestTimeIsKeptInSilence(t *testing.T) {
	for _, rate := range []uint32{48000, 44100} {
		b := newBench(t, device.Config{})
		p := b.player(InputOptions{Spec: stereo16(rate), Attr: BufferAttr{Whatever, 19200, 0, Whatever}})
		p.frames = 4800
		b.run(100 * time.Millisecond)
		at := func() time.Duration {
			tm := p.in.Timing()
			return stereo16(rate).Duration(tm.ReadIndex) - tm.Latency
		}
		before, start := at(), b.clock.Now()
		b.run(20 * time.Second)
		if off := at() - before - (b.clock.Now() - start); off < -50*time.Microsecond || off > 50*time.Microsecond {
			t.Errorf("%d Hz: %v off after 20 seconds", rate, off)
		}
	}
}

// Two streams that are each other's opposite are together from the first frame to the last, whichever of them is corked and let go: nothing is heard.
func TestSyncGroupPlaysTogether(t *testing.T) {
	b := newBench(t, device.Config{})
	b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Muted: true})
	b.run(33 * time.Millisecond)
	first := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true})
	second := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true, Sync: first.in})
	second.opposite = true
	b.run(50 * time.Millisecond)
	for _, in := range []*Input{first.in, second.in, first.in} {
		in.Cork(false)
		b.run(301 * time.Millisecond)
		in.Cork(true)
		b.run(57 * time.Millisecond)
	}
	if n := len(heardFrames(b)); n != 0 {
		t.Errorf("%d frames are heard of two streams that cancel out", n)
	}
	if a, c := first.in.Timing().ReadIndex, second.in.Timing().ReadIndex; a != c || a < 4*48000*8/10 {
		t.Errorf("read indexes %d and %d", a, c)
	}
}

func TestSyncGroupActsTogether(t *testing.T) {
	b := newBench(t, device.Config{})
	first := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true})
	second := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever, Corked: true, Sync: first.in})
	b.run(50 * time.Millisecond)
	second.in.Cork(false)
	if first.in.Corked() {
		t.Error("the other of the group is still corked")
	}
	b.run(200 * time.Millisecond)
	if a, c := first.in.Timing().ReadIndex, second.in.Timing().ReadIndex; a != c || a == 0 {
		t.Errorf("read indexes %d and %d", a, c)
	}
	first.in.Close()
	second.in.Flush()
}

// A stream's rate goes up and down while it plays: its tone with it, without a click, at the device's own rate too.
func TestPlaybackOfVariableRate(t *testing.T) {
	b := newBench(t, device.Config{})
	p := &tone{freq: 1000, amp: 0.5, rate: 48000}
	p.t = t
	in, err := b.sink.NewInput(InputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Attr: whatever, Tunable: true}, p)
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.wanted = in, in.Missing()
	in.Start()
	run := func(d time.Duration) {
		for range d / time.Millisecond {
			p.feed()
			b.run(time.Millisecond)
		}
	}
	run(400 * time.Millisecond)
	for _, rate := range []uint32{48024, 44100, 96000, 48000, 24000} {
		before := len(b.heard)
		if err := in.SetRate(rate); err != nil {
			t.Fatal(err)
		}
		run(400 * time.Millisecond)
		freq := 1000 * float64(rate) / 48000
		amp, residual := level(b.heard[len(b.heard)-9600:], freq, 48000)
		if math.Abs(amp-20*math.Log10(0.5)) > 0.01 || residual > -100 {
			t.Errorf("at %d: %.1f Hz at %.2f dB, %.1f dB beside it", rate, freq, amp, residual)
		}
		steepest := 0.5 * 2 * math.Pi * max(freq, 2000) / 48000
		for i := before; i < len(b.heard); i++ {
			if d := math.Abs(float64(b.heard[i] - b.heard[i-1])); d > steepest*1.01 {
				t.Fatalf("at %d: a step of %.4f, %.4f is the steepest", rate, d, steepest)
			}
		}
	}
	if len(p.underrun) != 0 {
		t.Errorf("underruns at %v", p.underrun)
	}
	for _, rate := range []uint32{0, 3999, 384001} {
		if in.SetRate(rate) == nil || in.Spec().Rate != 24000 {
			t.Errorf("a rate of %d is taken", rate)
		}
	}
	if err := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever}).in.SetRate(44100); err != ErrFixedRate {
		t.Errorf("a stream of fixed rate: %v", err)
	}
}
