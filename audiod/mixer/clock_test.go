package mixer

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
)

// Clients make a clock from our Timing. Here each of them computes it as its source does, while the card tells where it really is:
//
//	stream: sample n is n/rampScale ─► mixer ─► card: the last sample heard is the true position
//	Timing ─► libpulse's, Firefox's, mpv's and VLC's formulas ─► compared with it

const (
	rampScale  = 1 << 21               // frames; exact in float32 as far as the tests go
	smoothTime = 2 * time.Second       // in which libpulse's interpolation comes back to what it was told
	period     = 20 * time.Millisecond // of a card, usually
	exact      = 2 * time.Millisecond  // of which the resampler holds one
)

// listener plays a ramp by the stream's own indexes and watches the clock.
type listener struct {
	t       *testing.T
	b       *bench
	name    string
	in      *Input
	spec    pcm.Spec
	wanted  int
	write   int64 // the client's own idea of its write index
	lazy    bool
	prebuf  bool
	hurried bool // the card is fast while it starts, which nobody can foretell

	// What the client knows of the stream, as libpulse keeps it in pa_stream.
	corked   bool
	info     Timing
	sent     time.Duration // when the request for info went out…
	served   time.Duration // …was answered
	previous time.Duration // previous_time
	smooth   smoother
	askAt    time.Duration // AUTO_TIMING_UPDATE
	interval time.Duration

	// The truth.
	truth    float64 // frames of the stream heard
	last     float64 // sample
	steady   int     // samples that lie on a ramp
	armed    bool    // zeros heard now are the stream's own silence
	hole     bool
	settled  time.Duration // from when on the clock must be right again…
	smoothed time.Duration // …and the interpolated one
	promises []promise
	compared [4]int
}

// promise is a client's belief that frame frames of the stream will have been heard at a time.
type promise struct {
	at    time.Duration
	frame float64
	who   string
}

func (l *listener) Wants(n int) { l.wanted += n }
func (l *listener) Drained()    {}
func (l *listener) Resized()    { l.ask() }
func (l *listener) Started() { // pa_command_stream_started
	l.smooth.resume(l.now() - l.transport())
	l.smoothed = l.now() + smoothTime
	l.ask()
}
func (l *listener) Underrun(int64) { // pa_command_overflow_or_underflow
	if l.prebuf { // at once, though the card still plays: libpulse's interpolation is early until the stream goes on
		l.smooth.pause(l.now() - l.transport())
		l.smoothed = math.MaxInt64
	}
	l.ask()
	l.promises = nil
}

func (l *listener) now() time.Duration       { return l.b.clock.Now() }
func (l *listener) transport() time.Duration { return l.served - l.sent }
func (l *listener) ask()                     { l.askAt, l.interval = 0, 10*time.Millisecond }

func (l *listener) usec(bytes int64) time.Duration {
	return time.Duration(max(bytes, 0)/int64(l.spec.FrameSize())*1e6/int64(l.spec.Rate)) * time.Microsecond
}

func (l *listener) frames(d time.Duration) float64 { return d.Seconds() * float64(l.spec.Rate) }

func (l *listener) feed() {
	frame := l.spec.FrameSize()
	b := make([]byte, 0, max(0, l.wanted))
	for ; l.wanted >= frame; l.wanted -= frame {
		l.write += int64(frame)
		for range l.spec.Channels {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(l.write/int64(frame))/rampScale))
		}
	}
	if len(b) > 0 {
		l.in.Write(b)
	}
}

// calcTime is pulse/stream.c, calc_time, of a playback stream.
func (l *listener) calcTime(ignoreTransport bool) time.Duration {
	usec := l.usec(l.info.ReadIndex)
	if l.corked {
		return usec
	}
	if !ignoreTransport {
		usec += l.transport()
	}
	return max(0, usec-l.info.Latency)
}

// received is stream_get_timing_info_callback: what libpulse does with an answer.
func (l *listener) received() {
	if l.corked {
		return
	}
	u := l.now() - l.transport()
	x := u
	since := time.Duration(math.MaxInt64) // of UnderrunFor, all ones
	switch {
	case l.info.Playing:
		since = l.usec(int64(l.info.PlayingFor))
	case l.info.UnderrunFor != ^uint64(0):
		since = l.usec(int64(l.info.UnderrunFor))
	}
	if since < l.info.Latency {
		x += l.info.Latency - since
	}
	if !l.info.Playing {
		l.smooth.pause(x)
	}
	l.smooth.put(u, l.calcTime(true))
	if l.info.Playing {
		l.smooth.resume(x)
	}
}

// hear takes in what the card played since it was last asked.
func (l *listener) hear() {
	h := l.b.card.Heard()
	channels := len(l.b.sink.conf.Channels)
	per := float64(l.spec.Rate) / float64(l.b.sink.conf.Rate)
	for i := 0; i < len(h); i += channels {
		x, last := float64(h[i])*rampScale, l.last
		l.last = x
		if l.steady++; math.Abs(x-last-per) > 2 || x < max(0.6, l.truth-100) {
			l.steady = 0
		}
		switch {
		case l.steady > 8: // not the resampler's ringing where the ramp breaks off
			l.truth, l.armed = x, true
		case l.armed && !l.corked && (!l.prebuf || l.hole):
			l.truth += per
		}
	}
	for len(l.promises) > 0 && l.promises[0].at <= l.now() {
		p := l.promises[0]
		l.promises = l.promises[1:]
		// The card was looked at half a millisecond ago, and heard more since.
		late := l.frames(l.now() - p.at)
		if d := l.truth - late - p.frame; !l.hurried && l.now() > l.settled && math.Abs(d) > l.frames(exact) {
			l.t.Fatalf("%s: %v: %s was told that frame %.0f would be heard now; it is %.0f (%.1f ms off)", l.name, l.now(), p.who, p.frame, l.truth, d/float64(l.spec.Rate)*1000)
		}
		l.compared[3]++
	}
}

// step is a millisecond of the client's life.
func (l *listener) step() {
	if !l.lazy {
		l.feed()
	}
	for _, other := range l.b.all {
		other.wantZeros()
	}
	sent := l.now()
	l.b.clock.Advance(200 * time.Microsecond)
	served := l.now()
	info := l.in.Timing()
	info.Latency = info.Latency.Truncate(time.Microsecond)
	l.b.clock.Advance(300 * time.Microsecond)
	l.hear()

	saved, savedSent, savedServed := l.info, l.sent, l.served
	l.info, l.sent, l.served = info, sent, served
	if l.corked && info.Playing {
		l.t.Fatalf("%s: %v: a corked stream says it plays", l.name, l.now())
	}

	// libpulse without interpolation, asked anew each time (pa_stream_get_time); Firefox's position is the same in frames (stream.rs, position).
	usec := l.calcTime(false)
	if usec < l.previous-time.Millisecond && l.now() > l.settled && info.Playing && int64(info.PlayingFor) > int64(l.spec.Bytes(info.Latency)) {
		l.t.Fatalf("%s: %v: the clock ran back from %v to %v", l.name, l.now(), l.previous, usec)
	}
	l.previous = max(l.previous, usec)
	off := l.frames(l.previous) - l.truth
	if l.now() > l.settled {
		l.compared[0]++
		if math.Abs(off) > l.frames(exact) {
			l.t.Fatalf("%s: %v: pa_stream_get_time says %v, %.3f ms off (%+v)", l.name, l.now(), l.previous, off/float64(l.spec.Rate)*1000, info)
		}
	}
	// pa_stream_get_latency, which Firefox (stream.rs, latency) panics over when negative; libpulse makes that 0.
	latency := max(0, l.usec(info.WriteIndex)-l.previous)
	if info.Playing && !l.lazy && !l.hole && l.now() > l.settled {
		// mpv, ao_pulse.c, get_delay_hackfixed, never interrupted here
		delay := l.usec(info.WriteIndex-info.ReadIndex) - l.transport() + max(0, info.Latency)
		last := float64(info.WriteIndex / int64(l.spec.FrameSize()))
		l.promises = append(l.promises, promise{l.now() + delay - 100*time.Microsecond, last, "mpv"})
		// VLC, pulse.c, stream_clock_is_synced and TimeGet
		if info.ReadIndex > 0 && l.usec(info.ReadIndex) > info.Latency+l.transport() {
			l.compared[2]++
			if d := delay - latency; d < -exact || d > exact {
				if l.truth > 0 && int64(info.PlayingFor) > int64(l.spec.Bytes(info.Latency)) {
					l.t.Fatalf("%s: %v: VLC's latency is %v, mpv's %v", l.name, l.now(), latency, delay)
				}
			}
		}
	}

	// libpulse with interpolation, which asks now and then only.
	if l.now() >= l.askAt {
		l.askAt, l.interval = l.now()+l.interval, min(2*l.interval, 1500*time.Millisecond)
		l.received()
	} else {
		l.info, l.sent, l.served = saved, savedSent, savedServed
	}
	smooth := l.smooth.get(l.now())
	if off := l.frames(smooth) - l.truth; !l.hurried && l.now() > l.smoothed {
		l.compared[1]++
		if math.Abs(off) > l.frames(period) {
			l.t.Fatalf("%s: %v: the interpolated clock says %v, %.2f ms off (%+v)", l.name, l.now(), smooth, off/float64(l.spec.Rate)*1000, l.info)
		}
	}
	l.b.clock.Advance(500 * time.Microsecond)
}

// wantZeros answers with silence.
func (p *player) wantZeros() {
	if !p.lazy && p.wanted > 0 {
		p.in.Write(make([]byte, p.wanted))
		p.wanted = 0
	}
}

func (l *listener) run(d time.Duration) {
	for range d / time.Millisecond {
		l.step()
	}
}

// event is something that happens to the stream, after which the clock may be wrong for as long as is said.
func (l *listener) event(unsettled time.Duration) {
	l.settled = l.now() + unsettled
	l.smoothed = max(l.settled, l.now()+smoothTime)
	l.promises = nil
	l.ask()
}

func (l *listener) cork(corked bool) {
	l.in.Cork(corked)
	l.corked = corked
	if corked {
		l.event(120 * time.Millisecond) // what the card has is still heard
		l.smooth.pause(l.now() + l.transport())
	} else {
		l.armed = false
		l.event(0)
		if !l.prebuf {
			l.smooth.resume(l.now() + l.transport())
		}
	}
}

// smoother is libpulse's pa_smoother (pulsecore/time-smoother.c) with the constants of stream.c: it runs on at the gradient of the last five
// seconds, and comes back to what it was told within one along a cubic curve.
type smoother struct {
	offset, pausedAt time.Duration
	paused           bool
	ex, ey, px, py   float64 // from where it comes and where it will be on track, in seconds
	de, dp, ry       float64
	x, y             []float64
	lastX, lastY     float64
}

func newSmoother(now time.Duration) smoother {
	return smoother{offset: now, pausedAt: now, paused: true, dp: 1}
}

func (s *smoother) local(x time.Duration) float64 {
	if s.paused {
		x = s.pausedAt
	}
	return max(0, (x - s.offset).Seconds())
}

func (s *smoother) estimate(x float64) (y, gradient float64) {
	switch {
	case x >= s.px:
		return max(0, s.py+s.dp*(x-s.px)), s.dp
	case x <= s.ex:
		return max(0, s.ey-s.de*(s.ex-x)), s.de
	}
	kx, ky, tx := s.px-s.ex, s.py-s.ey, x-s.ex
	b := (3*ky/kx - s.dp - 2*s.de) / kx
	a := (s.dp/kx - 2*b - s.de/kx) / (3 * kx)
	return max(0, s.ey+tx*(s.de+tx*(b+tx*a))), max(0, s.de+tx*(2*b+tx*3*a))
}

func (s *smoother) put(at, value time.Duration) {
	x, y := s.local(at), value.Seconds()
	if x >= s.ex {
		s.ey, s.de = s.estimate(x)
		s.ex, s.ry = x, y
	}
	for len(s.x) > 0 && (s.x[0] < x-5 || len(s.x) == 64) {
		s.x, s.y = s.x[1:], s.y[1:]
	}
	s.x, s.y = append(s.x, x), append(s.y, y)
	s.dp = 1
	if len(s.x) >= 4 {
		var ax, ay, k, t float64
		for i := range s.x {
			ax, ay = ax+s.x[i]/float64(len(s.x)), ay+s.y[i]/float64(len(s.x))
		}
		for i := range s.x {
			k, t = k+(s.x[i]-ax)*(s.y[i]-ay), t+(s.x[i]-ax)*(s.x[i]-ax)
		}
		if s.dp = 0; t > 0 {
			s.dp = max(0, k/t)
		}
	}
	s.px, s.py = s.ex+1, s.ry+s.dp
}

func (s *smoother) get(at time.Duration) time.Duration {
	x := max(s.local(at), s.lastX)
	y, _ := s.estimate(x)
	s.lastX, s.lastY = x, max(y, s.lastY)
	return time.Duration(s.lastY * float64(time.Second))
}

func (s *smoother) pause(x time.Duration) {
	if !s.paused {
		s.paused, s.pausedAt = true, x
	}
}

func (s *smoother) resume(x time.Duration) {
	if s.paused {
		x = max(x, s.pausedAt)
		s.paused, s.offset = false, s.offset+x-s.pausedAt
		s.px, s.py = s.ex, s.ry
	}
}

func TestClientsClocks(t *testing.T) {
	cards := []struct {
		name  string
		conf  device.Config
		hurry int
	}{
		{"48 kHz", device.Config{}, 0},
		{"44.1 kHz, hurried", device.Config{Rate: 44100, Margin: 480}, 882},
		{"48 kHz, small", device.Config{Buffer: 2400, Margin: 96}, 0},
		{"192 kHz", device.Config{Rate: 192000, Margin: 1920}, 0},
	}
	clients := []struct {
		name   string
		rate   uint32
		mode   LatencyMode
		t, min time.Duration // tlength and minreq; 0: whatever
		prebuf uint32
	}{
		{"pacat", 48000, Traditional, 0, 0, Whatever},
		{"firefox", 44100, AdjustLatency, 50 * time.Millisecond, 6 * time.Millisecond, Whatever},
		{"mpv", 48000, Traditional, 100 * time.Millisecond, 0, 0},
		{"vlc", 44100, Traditional, 120 * time.Millisecond, 40 * time.Millisecond, 0},
		{"alsa", 96000, EarlyRequests, 80 * time.Millisecond, 20 * time.Millisecond, Whatever},
	}
	if testing.Short() {
		cards = cards[:2]
	}
	for _, card := range cards {
		for _, c := range clients {
			name := fmt.Sprintf("%s on %s", c.name, card.name)
			t.Run(name, func(t *testing.T) {
				b := newBench(t, card.conf)
				b.card.Hurry(card.hurry)
				l := &listener{t: t, b: b, name: name, corked: true, prebuf: c.prebuf != 0, hurried: card.hurry > 0, spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: c.rate}}
				attr := BufferAttr{Whatever, Whatever, c.prebuf, Whatever}
				if c.t > 0 {
					attr.TLength = uint32(l.spec.Bytes(c.t))
				}
				if c.min > 0 {
					attr.MinReq = uint32(l.spec.Bytes(c.min))
				}
				var err error
				if l.in, err = b.sink.NewInput(InputOptions{Spec: l.spec, Map: pcm.StereoMap, Attr: attr, Latency: c.mode, Corked: true}, l); err != nil {
					t.Fatal(err)
				}
				l.wanted = l.in.Missing()
				l.smooth = newSmoother(l.now())
				l.event(0)
				l.in.Start()
				l.run(50 * time.Millisecond) // fills up, corked
				if l.truth != 0 || l.in.Timing().ReadIndex != 0 {
					t.Fatal("a corked stream moves")
				}
				l.cork(false)
				l.run(2400 * time.Millisecond)

				// Somebody less patient comes and goes.
				hasty := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 1920, Whatever, Whatever}, Latency: AdjustLatency})
				l.run(time.Second)
				hasty.in.Close()
				b.all = nil
				l.run(time.Second)

				// Pause and go on, alone and beside another.
				for range 2 {
					l.cork(true)
					l.run(333 * time.Millisecond)
					at := l.in.Timing()
					l.run(100 * time.Millisecond)
					if now := l.in.Timing(); now.ReadIndex != at.ReadIndex || now.Latency != 0 {
						t.Fatalf("a corked stream went on: %+v, then %+v", at, now)
					}
					l.cork(false)
					l.run(2400 * time.Millisecond)
					b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
				}

				// The client is late: its queue runs dry, and is filled again.
				l.lazy = true
				l.event(0)
				for i := 0; l.in.State().Underruns == 0; i++ {
					if l.step(); i == 5000 {
						t.Fatal("it does not run dry")
					}
				}
				l.run(300 * time.Millisecond)
				l.lazy = false
				if !l.prebuf { // what comes late is not played: such clients go on from where time is
					l.in.SeekWrite(0, SeekRelativeOnRead)
					l.write = l.in.Timing().WriteIndex
				}
				l.event(0)
				l.run(2400 * time.Millisecond)

				// Seek to elsewhere: flush, and on with other sound.
				l.in.Flush()
				l.write = l.in.Timing().ReadIndex
				l.event(0)
				l.run(2400 * time.Millisecond)

				// A hole.
				l.in.SeekWrite(int64(l.spec.Bytes(30*time.Millisecond)), SeekRelative)
				l.write += int64(l.spec.Bytes(30 * time.Millisecond))
				l.hole = true
				l.event(0)
				queued := l.usec(l.in.Timing().WriteIndex - l.in.Timing().ReadIndex)
				l.run((queued + 200*time.Millisecond).Truncate(time.Millisecond))
				l.hole = false
				l.run(2400 * time.Millisecond)

				// The card loses what it has.
				b.card.Xrun()
				l.event(200 * time.Millisecond)
				l.run(2400 * time.Millisecond)

				for i, n := range l.compared {
					if n < 2000 && !(l.hurried && i%2 == 1) {
						t.Errorf("only %d comparisons of kind %d", n, i)
					}
				}
			})
		}
	}
}
