package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

const (
	// What the server is asked to keep, device included: it wakes its card some 20 ms ahead for that, about as late as the mixer wakes itself.
	serverLatency = 60 * time.Millisecond
	serverRequest = 10 * time.Millisecond

	// The server takes sound in pieces of its device's latency; besides one of these this must be there, since both ends are woken late.
	lateness = 20 * time.Millisecond

	measureFast = 10 * time.Millisecond  // between two looks at the position while a stream starts…
	measureSlow = 250 * time.Millisecond // …and later
	startTime   = 500 * time.Millisecond

	patience = 2 * time.Second // what plays waits so long for its stream to be made; then it goes on into silence

	// A device may be further from the ear than the server promises, at the end of a network or of a radio: what it tells of the latency later shows
	// it. So little is not worth it; the most in so long counts.
	near       = 20 * time.Millisecond
	remembered = 5 * time.Second

	frozen = time.Second // that much beyond what was heard is written to a server that stands still, and no more
)

const sinkIcon = "audio-card" // freedesktop.org's Icon Naming Specification has it

var (
	errClosed = errors.New("the device is closed")
	errKilled = errors.New("somebody ended the stream in the mixer of the sound server; what begins next gets another")
)

// Sink is a stream to the server as a device. Only the loop's goroutine may call it.
type Sink struct {
	link   *Link
	name   string
	props  native.PropList
	change func()              // see OnChange
	resize func(device.Config) // see OnResize
	level

	channel uint32      // Invalid while there is no stream
	pending bool        // one is being made…
	awaited *loop.Timer // …and what plays waits for it
	trouble error       // what became of the last, until Open has told
	refused bool        // by the server, for now
	conf    device.Config
	frame   int

	promised time.Duration // the latency of the server's device, as it said when it made the stream…
	far      time.Duration // …and as it tells where that is not all; 0 where it is
	farthest time.Duration // the most that was told…
	farSince time.Duration // …since then

	open     bool
	since    time.Duration // when it was opened, or went on otherwise
	written  int64         // frames, since then
	running  bool          // written to, since then
	smoother device.Smoother
	asked    time.Duration // when the position was asked for; 0 when no answer is due
	askedAt  int64         // written, then
	looked   time.Duration // when it was asked for last
	heard    int64         // at the last answer
	origin   int64         // the server's index where written was 0, in bytes
	stale    int           // answers that belong to an earlier opening
	stats    device.Stats
	question native.GetLatency // made once, as the rest below, since it is asked while sound flows
	answer   native.PlaybackLatency
	onAnswer func(fields []byte, err error)
}

// NewSink makes a stream that the server's mixer shows as title, until Show tells more. It is there whenever the link is up.
func (l *Link) NewSink(name, title string) *Sink {
	s := &Sink{link: l, name: name, change: func() {}, resize: func(device.Config) {}, level: newLevel(l, false), channel: native.Invalid}
	s.props = l.props(name, title, sinkIcon)
	s.onAnswer = s.measured
	s.awaited = l.clock.NewTimer(func() { s.change() })
	l.streams = append(l.streams, s)
	if l.up {
		s.create()
	}
	return s
}

// OnChange sets the one function that is called when the stream is there, or is gone; OnResize that for a stream that goes on otherwise than Open
// said, at the same rate and channels.
func (s *Sink) OnChange(change func())              { s.change = change }
func (s *Sink) OnResize(resize func(device.Config)) { s.resize = resize }

// Show has the server's mixer show the stream under another title, what plays on it, and the icon of that name, if there is one.
func (s *Sink) Show(title, what, icon string) {
	s.link.show(&s.props, title, what, cmp.Or(icon, sinkIcon), native.OpUpdatePlaybackStreamProplist, s.channel)
}

// Name and Description are as in device.Sink.
func (s *Sink) Name() string        { return "pulse:" + s.name }
func (s *Sink) Description() string { return s.link.description("the sound server") }

func (s *Sink) number() uint32  { return s.channel }
func (s *Sink) recording() bool { return false }
func (s *Sink) knob() *level    { return &s.level }
func (s *Sink) sound([]byte)    {}

func (s *Sink) create() {
	spec, cmap := s.link.spec()
	bytes := func(d time.Duration) uint32 { return uint32(spec.Bytes(d)) }
	s.link.made++ // streams with the same SyncID would be corked and moved together
	m := native.CreatePlaybackStream{Spec: spec, Map: cmap, SinkIndex: native.Invalid, SyncID: s.link.made, Corked: true, AdjustLatency: true, Volume: native.NormVolume(int(spec.Channels)), Props: s.props,
		Attr: native.BufferAttr{MaxLength: native.Invalid, TLength: bytes(serverLatency), Prebuf: bytes(2 * serverRequest), MinReq: bytes(serverRequest)}}
	s.pending, s.refused = true, false
	s.awaited.Set(s.link.clock.Now() + patience)
	s.link.call(native.OpCreatePlaybackStream, &m, s.created)
}

func (s *Sink) created(fields []byte, err error) {
	var reply native.CreatePlaybackStreamReply
	if err == nil {
		err = native.Decode(fields, s.link.version, &reply)
	}
	if err != nil {
		s.refused = true
		s.end(fmt.Errorf("the sound server refuses a stream: %w", err))
		return
	}
	s.channel, s.frame, s.stale = reply.Channel, reply.Spec.FrameSize(), 0
	s.conf = device.Config{Rate: int(reply.Spec.Rate), Channels: reply.Map}
	s.on(reply.SinkName)
	s.plan(reply.Latency)
	s.level.begin(reply.Index, func() {
		s.pending = false
		s.awaited.Stop()
		s.change()
	})
}

// end says that there is no stream, and why; nil while there is no connection.
func (s *Sink) end(why error) {
	s.channel, s.pending, s.trouble = native.Invalid, false, why
	s.awaited.Stop()
	s.level.end()
	s.change()
}

// on takes note of the server's sink that the stream plays on.
func (s *Sink) on(name string) {
	s.far, s.farthest = 0, 0
	spec := pcm.Spec{Format: pcm.Float32LE, Channels: uint8(len(s.conf.Channels)), Rate: uint32(s.conf.Rate)}
	s.conf.Hardware = fmt.Sprintf("%v on %s", spec, native.Clean(name))
}

// plan works out what must be written ahead for a server that promises the given latency of its device, in microseconds.
func (s *Sink) plan(latency uint64) {
	s.promised = time.Duration(min(latency, 2e6)) * time.Microsecond
	s.fit()
}

func (s *Sink) fit() {
	s.conf.Margin = s.frames(s.promised + s.far + lateness)
	s.conf.Buffer = 3*s.conf.Margin + s.conf.Rate/10
}

func (s *Sink) frames(d time.Duration) int { return int(d * time.Duration(s.conf.Rate) / time.Second) }

// tell takes note of the latency that the server tells of its device, and plans anew where that is more than was reckoned with, or has long been less.
func (s *Sink) tell(now, latency time.Duration) {
	if latency < s.promised+near {
		latency = 0
	}
	s.farthest = max(s.farthest, min(latency, 2*time.Second))
	over := now-s.farSince >= remembered
	change := s.farthest > s.far+near/2 || over && s.farthest < s.far-near
	if change {
		s.far = s.farthest
		s.fit()
		s.resize(s.conf)
	}
	if over || change {
		s.farthest, s.farSince = 0, now
	}
}

func (s *Sink) again() {
	if s.refused {
		s.create()
	}
}

func (s *Sink) lost() {
	s.refused = false
	s.level.forget()
	s.end(nil)
}

func (s *Sink) event(op native.Op, fields []byte) error {
	switch op {
	case native.OpUnderflow:
		var m native.Underflow
		if err := native.Decode(fields, s.link.version, &m); err != nil {
			return err
		}
		if s.open && s.heard > 0 { // not the one that begins every stream
			s.stats.Xruns++
			s.ranDry(m.Offset)
		}
	case native.OpPlaybackStreamKilled:
		s.end(errKilled)
	case native.OpPlaybackStreamSuspended:
		var m native.Suspended
		if err := native.Decode(fields, s.link.version, &m); err != nil {
			return err
		}
		s.suspend(m.Suspended)
	case native.OpPlaybackStreamMoved:
		var m native.PlaybackMoved
		if err := native.Decode(fields, s.link.version, &m); err != nil {
			return err
		}
		s.on(m.SinkName)
		s.plan(m.Latency)
		s.since = s.link.clock.Now() // what is between the stream and the ear is another now
		s.resize(s.conf)
	case native.OpPlaybackBufferAttrChanged:
		var m native.PlaybackBufferAttrChanged
		if err := native.Decode(fields, s.link.version, &m); err != nil {
			return err
		}
		s.plan(m.Latency)
		s.resize(s.conf)
	}
	return nil
}

// suspend holds the position while the server's device sleeps, and has it go on after that, at the latest by what the next answers tell.
func (s *Sink) suspend(suspended bool) {
	if !s.open {
		return
	}
	s.since = s.link.clock.Now()
	s.smoother = device.NewSmoother(s.conf.Rate, int64(s.smoother.Position(s.since)))
	if !suspended && s.running {
		s.smoother.Flow(s.since)
	}
}

// Open makes the stream ready, which stays corked until it is written to. Where somebody ended the last, Open says so once, and next time has
// another made.
func (s *Sink) Open() (device.Config, error) {
	switch {
	case !s.link.up:
		return device.Config{}, s.link.problem
	case s.trouble != nil:
		err := s.trouble
		s.trouble = nil
		return device.Config{}, err
	case s.channel == native.Invalid || s.pending:
		if !s.pending {
			s.create()
		}
		if s.awaited.Pending() {
			return device.Config{}, device.ErrSoon
		}
		return device.Config{}, device.ErrNotYet
	}
	if s.open {
		return device.Config{}, errors.New("the device is open already")
	}
	s.open, s.since, s.written, s.heard = true, s.link.clock.Now(), 0, 0
	s.run(0)
	return s.conf, nil
}

func (s *Sink) cork(corked bool) {
	s.link.call(native.OpCorkPlaybackStream, &native.Cork{Channel: s.channel, Corked: corked}, nil)
}

// run makes the position begin at heard: answers to what was asked before do not count.
func (s *Sink) run(heard int64) {
	if s.asked != 0 {
		s.asked, s.stale = 0, s.stale+1
	}
	s.heard, s.looked, s.running = heard, 0, false
	s.smoother = device.NewSmoother(s.conf.Rate, heard)
}

// ranDry goes on from the index at which the server had nothing left: what was written after that, before its word of it came, is still to be heard.
func (s *Sink) ranDry(index int64) {
	there := (index-s.origin)/int64(s.frame) - int64(s.frames(s.far))
	s.run(min(s.written, max(s.heard, there))) // a server before version 23 names no index
	s.since = s.link.clock.Now()
	if s.heard < s.written {
		s.running = true
		s.smoother.Flow(s.since)
	}
}

// Write queues frames at the server.
func (s *Sink) Write(frames []float32) (int, error) {
	if err := s.gone(); err != nil {
		return 0, err
	}
	channels := len(s.conf.Channels)
	queued, _ := s.Queued()
	limit := min(int64(s.conf.Buffer-queued), s.heard+int64(s.conf.Buffer)+int64(frozen)*int64(s.conf.Rate)/int64(time.Second)-s.written)
	n := min(int64(len(frames)/channels), limit)
	if n <= 0 {
		return 0, nil
	}
	size := int(n) * s.frame
	out := native.AppendHeader(s.link.outbox, native.Header{Length: uint32(size), Channel: s.channel})
	out = slices.Grow(out, size)[:len(out)+size]
	pcm.Encode(out[len(out)-size:], frames[:int(n)*channels], pcm.Float32LE)
	s.link.put(out)
	s.written += n
	if !s.running {
		s.running = true
		s.cork(false)
		s.smoother.Flow(s.link.clock.Now())
	}
	return int(n), nil
}

func (s *Sink) gone() error {
	switch {
	case !s.open:
		return errClosed
	case s.channel == native.Invalid:
		return fmt.Errorf("%w: the sound server ended the stream", device.ErrGone)
	}
	return nil
}

// Queued is the frames that the server has and nobody heard yet. It asks the server about that now and then.
func (s *Sink) Queued() (int, error) {
	if err := s.gone(); err != nil {
		return 0, err
	}
	now := s.link.clock.Now()
	s.measure(now)
	return int(max(0, s.written-int64(s.smoother.Position(now)))), nil
}

// measure asks for the position when that is worth it.
func (s *Sink) measure(now time.Duration) {
	every := measureSlow
	if now-s.since < startTime {
		every = measureFast
	}
	if s.asked != 0 || s.written == 0 || s.looked != 0 && now-s.looked < every {
		return
	}
	s.asked, s.looked, s.askedAt = now, now, s.written
	s.question = native.GetLatency{Channel: s.channel}
	s.link.call(native.OpGetPlaybackLatency, &s.question, s.onAnswer)
}

// measured takes the answer: of what had been written when it was asked for, so much is in the server's queue and so much between that and the ear.
func (s *Sink) measured(fields []byte, err error) {
	if s.stale > 0 {
		s.stale--
		return
	}
	now, asked := s.link.clock.Now(), s.asked
	s.asked, s.answer = 0, native.PlaybackLatency{}
	if err == nil {
		err = native.Decode(fields, s.link.version, &s.answer)
	}
	if err != nil {
		return // the stream is gone, and its own event says so
	}
	a := &s.answer
	latency := time.Duration(min(a.SinkLatency, 10e6)) * time.Microsecond
	s.origin = a.WriteIndex - s.askedAt*int64(s.frame)
	behind := min(max(a.WriteIndex-a.ReadIndex, 0), s.written*int64(s.frame))/int64(s.frame) + int64(s.frames(latency))
	if !a.Playing {
		return
	}
	s.tell(now, latency)
	heard := s.askedAt - behind
	if heard <= 0 && s.far == 0 {
		return
	}
	s.heard = max(s.heard, heard)
	s.smoother.Read(now, (asked+now)/2, max(0, heard))
}

// Close holds the stream, and drops what is queued.
func (s *Sink) Close() error {
	if !s.open {
		return nil
	}
	s.open = false
	if s.asked != 0 {
		s.asked, s.stale = 0, s.stale+1
	}
	if s.channel != native.Invalid && s.written > 0 {
		s.cork(true)
		s.link.call(native.OpFlushPlaybackStream, &native.ByIndex{Index: s.channel}, nil)
	}
	return nil
}

// Stats is as in device.Sink.
func (s *Sink) Stats() device.Stats { return s.stats }
