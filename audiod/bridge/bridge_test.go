package bridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/session"
)

// desktop is a sound server with a card, and a link to it, each on a clock of its own that is moved by hand. The server is our own; real
// ones are in the end-to-end tests.
type desktop struct {
	t       *testing.T
	clock   *loop.Hand    // the link's
	theirs  *loop.Hand    // the server's, which runs…
	drift   time.Duration // …so much faster in each second
	further time.Duration // than its card is the ear, by the server's word
	refuses bool          // it makes no stream
	card    *devicetest.Card
	mic     *devicetest.Mic
	server  *session.Server
	session *session.Session // nil: no connection
	link    *Link
	in      []byte
}

func newDesktop(t *testing.T, card device.Config) *desktop {
	quiet := func(string, ...any) {}
	d := &desktop{t: t, clock: new(loop.Hand), theirs: new(loop.Hand)}
	d.clock.Advance(time.Second)
	d.theirs.Advance(time.Second)
	d.link = New(d.clock, "sandbox-audio", quiet)
	d.card = devicetest.New(d.theirs, card)
	d.server = session.NewServer(d.theirs, policy.NewRefusals(quiet), quiet)
	d.server.AddSink(mixer.NewSink(d.theirs, d.card, quiet))
	d.mic = devicetest.NewMic(d.theirs, device.Config{})
	d.server.AddSource(mixer.NewSource(d.theirs, d.mic, quiet))
	d.connect()
	return d
}

func (d *desktop) connect() {
	d.session = d.server.Open(policy.Peer{UID: 1000}, policy.Owner, func() error { return nil }, func() {})
	d.link.Begin(nil, func() {})
}

// cut ends the connection.
func (d *desktop) cut() {
	d.session.Close()
	d.session = nil
	d.link.End(errors.New("the server has gone"))
}

// pass lets time go by, in steps; what is sent within one arrives at its end.
func (d *desktop) pass(t, step time.Duration) {
	for ; t > 0; t -= step {
		d.clock.Advance(min(step, t))
		d.theirs.Advance(min(step, t) + min(step, t)*d.drift/time.Second)
		if d.session != nil {
			d.exchange()
		}
	}
}

func (d *desktop) exchange() {
	out := d.link.Outbox()
	refused := []byte(nil)
	if d.refuses {
		out, refused = d.refuse(out)
	}
	err := d.session.Feed(out)
	d.link.Sent(len(d.link.Outbox()))
	d.in = append(append(d.in[:0], d.session.Outbox()...), refused...)
	d.session.Sent(len(d.in) - len(refused))
	if d.further > 0 {
		d.in = d.put(d.in)
	}
	if err = errors.Join(err, d.link.Feed(d.in)); err != nil {
		d.t.Error(err)
	}
}

// control is what a packet says, if it is a control packet.
func (d *desktop) control(packet []byte) (op native.Op, tag uint32, fields []byte, ok bool) {
	if h, err := native.ParseHeader(packet); err != nil || !h.Control() {
		return 0, 0, nil, false
	}
	op, tag, fields, err := native.ParseControl(packet[native.HeaderSize:])
	if err != nil {
		d.t.Fatal(err)
	}
	return op, tag, fields, true
}

// packets are those that follow each other in b.
func (d *desktop) packets(b []byte) (all [][]byte) {
	for len(b) > 0 {
		h, err := native.ParseHeader(b)
		if err != nil {
			d.t.Fatal(err)
		}
		n := native.HeaderSize + h.Length
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// refuse takes the wishes for a stream out of what the link sends, and answers them.
func (d *desktop) refuse(sent []byte) (rest, answers []byte) {
	for _, packet := range d.packets(sent) {
		if op, tag, _, ok := d.control(packet); ok && (op == native.OpCreatePlaybackStream || op == native.OpCreateRecordStream) {
			answers = native.AppendPacket(answers, d.link.version, native.OpError, tag, &native.IndexReply{Index: uint32(native.ErrIO)})
		} else {
			rest = append(rest, packet...)
		}
	}
	return rest, answers
}

// put puts the ear further away, in what the server tells of latencies.
func (d *desktop) put(in []byte) (out []byte) {
	for _, packet := range d.packets(in) {
		op, tag, fields, ok := d.control(packet)
		asks := ok && slices.ContainsFunc(d.link.waiting, func(c call) bool { return c.tag == tag && c.op == native.OpGetPlaybackLatency })
		var m native.PlaybackLatency
		if asks && op == native.OpReply && native.Decode(fields, d.link.version, &m) == nil {
			m.SinkLatency += uint64(d.further / time.Microsecond)
			packet = native.AppendPacket(nil, d.link.version, op, tag, &m)
		}
		out = append(out, packet...)
	}
	return out
}

// What every device must be holds for a stream at another server.
func TestSinkConforms(t *testing.T) {
	desktops := map[device.Sink]*desktop{}
	var last *desktop
	devicetest.Conformance(t, devicetest.Bench{
		Make: func(t *testing.T) device.Sink {
			last = newDesktop(t, device.Config{})
			s := last.link.NewSink("test", "a helper")
			last.pass(20*time.Millisecond, time.Millisecond)
			desktops[s] = last
			return s
		},
		Now:    func() time.Duration { return last.clock.Now() },
		Pass:   func(d time.Duration) { last.pass(d, time.Millisecond) },
		Jitter: 3 * time.Millisecond,
		Vanish: func(t *testing.T, s device.Sink) { desktops[s].cut() },
	})
}

func TestSourceConforms(t *testing.T) {
	var last *desktop
	devicetest.SourceConformance(t, devicetest.SourceBench{
		Make: func(t *testing.T) device.Source {
			last = newDesktop(t, device.Config{})
			last.mic.Sound = func(n int64) float32 { return float32(n%4800) / 4800 }
			s := last.link.NewSource("test", "a helper")
			last.pass(20*time.Millisecond, time.Millisecond)
			return s
		},
		Now:    func() time.Duration { return last.clock.Now() },
		Pass:   func(d time.Duration) { last.pass(d, time.Millisecond) },
		Jitter: 2 * fragment, // it comes in fragments
		Vanish: func(t *testing.T, s device.Source) { last.cut() },
	})
}

// What the server's microphone hears arrives whole and in order.
func TestRecordsThrough(t *testing.T) {
	d := newDesktop(t, device.Config{})
	d.mic.Sound = func(n int64) float32 { return float32(n%4000) / 8000 }
	s := d.link.NewSource("test", "a helper")
	d.pass(20*time.Millisecond, time.Millisecond)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	frames, last, n := make([]float32, 4096*len(c.Channels)), float32(-1), 0
	for range 1000 {
		d.pass(10*time.Millisecond, time.Millisecond)
		k, err := s.Read(frames)
		if err != nil {
			t.Fatal(err)
		}
		for i := range k {
			v := frames[i*len(c.Channels)] * 8000
			if v == 0 && last <= 0 {
				continue // before the microphone is open
			}
			if step := v - last; n > 0 && (step < 0.5 || step > 1.5) && (step < -3999.5 || step > -3998.5) {
				t.Fatalf("frame %d: %v after %v", n, v, last)
			}
			last = v
			n++
		}
	}
	if n < 9*48000 {
		t.Errorf("%d frames in ten seconds", n)
	}
	if st := s.Stats(); st.Xruns != 0 {
		t.Errorf("%+v", st)
	}
	s.Close()
	d.pass(50*time.Millisecond, time.Millisecond)
	if d.mic.IsOpen() {
		t.Error("the microphone is open, though nobody records")
	}
}

// listener fills a sink input.
type listener struct {
	in    *mixer.Input
	at    int
	wants int
}

func (l *listener) Wants(n int)    { l.wants += n }
func (l *listener) Started()       {}
func (l *listener) Underrun(int64) {}
func (l *listener) Drained()       {}
func (l *listener) Resized()       {}

// feed gives what was asked for of a ramp, in which a frame left out or played twice shows.
func (l *listener) feed() {
	var b []byte
	for ; l.wants >= 4; l.wants -= 4 {
		v := int16(1000 + l.at%480)
		l.at++
		b = append(b, byte(v), byte(v>>8), byte(v), byte(v>>8))
	}
	l.in.Write(b)
}

// play makes a stream on sink at the rate of its device.
func (d *desktop) play(sink *mixer.Sink) *listener {
	l := new(listener)
	spec, _ := sink.Spec()
	opts := mixer.InputOptions{Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: spec.Rate}, Map: pcm.StereoMap, Latency: mixer.AdjustLatency,
		Attr: mixer.BufferAttr{MaxLength: native.Invalid, TLength: 8 * spec.Rate, Prebuf: native.Invalid, MinReq: native.Invalid}}
	var err error
	if l.in, err = sink.NewInput(opts, l); err != nil {
		d.t.Fatal(err)
	}
	l.wants += l.in.Missing()
	l.in.Start()
	return l
}

// heard is what an ear hears of a ramp.
type heard struct {
	last   int // -1 before the first sound
	frames int
	breaks []string
}

func (h *heard) listen(samples []float32) {
	for i := 0; i < len(samples); i += 2 {
		v := int(samples[i]*32768 + 0.5)
		if h.last < 0 && v == 0 {
			continue
		}
		if h.frames++; h.last >= 0 && v-h.last != 1 && v-h.last != -479 {
			h.breaks = append(h.breaks, fmt.Sprintf("frame %d: %d after %d", h.frames, v, h.last))
		}
		h.last = v
	}
}

func TestPlaysThrough(t *testing.T) {
	for name, config := range map[string]device.Config{"card": {}, "44.1 kHz": {Rate: 44100}, "slow card": {Margin: 2400, Buffer: 19200}} {
		t.Run(name, func(t *testing.T) {
			d := newDesktop(t, config)
			s := d.link.NewSink("test", "a helper")
			d.pass(20*time.Millisecond, time.Millisecond)
			sink := mixer.NewSink(d.clock, s, t.Logf)
			defer sink.Close()
			if st := sink.State(); st.Trouble != "" || st.Device != "pulse:test" {
				t.Fatalf("%+v", st)
			}
			l, ear := d.play(sink), heard{last: -1}
			for range 2000 {
				l.feed()
				d.pass(5*time.Millisecond, time.Millisecond)
				ear.listen(d.card.Heard())
			}
			if want := 9700 * int(l.in.Spec().Rate) / 1000; ear.frames < want || len(ear.breaks) > 0 {
				t.Errorf("%d frames of sound where %d belong, breaks: %q", ear.frames, want, ear.breaks)
			}
			if n := s.Stats().Xruns; n != 0 {
				t.Errorf("%d xruns", n)
			}
			if latency := sink.State().Latency; latency <= 0 || latency > 200*time.Millisecond {
				t.Errorf("%v from the mixer to the ear", latency)
			}
			t.Logf("%+v", sink.State())
		})
	}
}

// Ten hours (in short, ten minutes) at a server whose clock goes wrong by more than any crystal does: nothing is lost, repeated or late, and nothing piles up.
func TestDrift(t *testing.T) {
	seconds := 10 * 3600
	if testing.Short() {
		seconds = 600
	}
	for _, drift := range []time.Duration{-300 * time.Microsecond, 300 * time.Microsecond} {
		d := newDesktop(t, device.Config{Rate: 4000, Buffer: 1000, Margin: 80})
		d.drift = drift
		s := d.link.NewSink("test", "a helper")
		d.pass(20*time.Millisecond, time.Millisecond)
		sink := mixer.NewSink(d.clock, s, t.Logf)
		l, ear := d.play(sink), heard{last: -1}
		var most time.Duration
		for range 2 * seconds {
			l.feed()
			d.pass(500*time.Millisecond, 10*time.Millisecond)
			ear.listen(d.card.Heard())
			most = max(most, sink.State().Latency)
		}
		sink.Close()
		if n := s.Stats().Xruns; n != 0 || len(ear.breaks) > 0 {
			t.Errorf("drift %v a second: %d xruns, breaks: %.10q", drift, n, ear.breaks)
		}
		if most > 200*time.Millisecond {
			t.Errorf("drift %v a second: up to %v from the mixer to the ear", drift, most)
		}
		t.Logf("drift %v a second: %d frames, at most %v", drift, ear.frames, most)
	}
}

// The server goes away while sound plays, and comes back: the stream plays into silence meanwhile, keeps its time, and is heard again.
func TestServerRestarts(t *testing.T) {
	d := newDesktop(t, device.Config{})
	s := d.link.NewSink("test", "a helper")
	d.pass(20*time.Millisecond, time.Millisecond)
	sink := mixer.NewSink(d.clock, s, t.Logf)
	defer sink.Close()
	s.OnChange(sink.Renew)
	l := d.play(sink)
	play := func(n int) (frames int) {
		ear := heard{last: -1}
		for range n {
			l.feed()
			d.pass(5*time.Millisecond, time.Millisecond)
			ear.listen(d.card.Heard())
		}
		return ear.frames
	}
	play(200)
	before := l.at
	d.cut()
	play(100) // a client with two seconds queued is asked three times a second
	if st := sink.State(); st.Trouble == "" || l.at == before {
		t.Errorf("without a server: %+v, %d frames were taken", st, l.at-before)
	}
	d.connect()
	if n := play(200); n < 40000 {
		t.Errorf("%d frames were heard in the second after the server came back", n)
	}
	if st := sink.State(); st.Trouble != "" {
		t.Errorf("with the server again: %+v", st)
	}
}
