// Package bridge plays into a PulseAudio server that has the card already, as one ordinary client of it, and records from it: on a desktop
// the owner's own mixer then shows and rules each helper.
//
//	Sink.Write ─► outbox ─► socket ─► the owner's server ─► card
//	Sink.Queued ◄── position, made smooth ◄── latency replies
//	Source.Read ◄── what came in ◄── socket
//
// A Link is the connection, a state machine of bytes in and bytes out like a session at its other end; Wire gives it a socket. Its Sinks and
// Sources are devices: while there is no connection they cannot be opened, and when it is lost they are gone.
// Everything belongs to the loop's goroutine, and while sound flows nothing is allocated.
package bridge

import (
	"errors"
	"fmt"
	"slices"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

// maxOutbox is the bytes the server may leave unread, beyond what its streams asked for: it is taken for dead then.
const maxOutbox = 4 << 20

// Link is a connection to a sound server, which may come and go. Make it with New.
type Link struct {
	clock loop.Clock
	log   func(format string, args ...any)
	name  string

	up      bool
	came    func() // see OnUp
	wake    func()
	version uint32
	server  native.ServerInfo
	tag     uint32
	waiting []call
	streams []stream // sinks and sources, to be made whenever the link comes up
	made    uint32   // playback streams, so far
	outbox  []byte
	head    [native.HeaderSize]byte
	headLen int
	packet  native.Header
	left    uint32 // of the packet's payload
	control []byte // payload of a control packet that comes in parts
	fault   error
	problem error // why the link is not up
}

// call is a request that waits for its answer.
type call struct {
	tag  uint32
	op   native.Op
	done func(fields []byte, err error)
}

// stream is a Sink or a Source: what the link tells it.
type stream interface {
	create()         // the link is up
	lost()           // it is not
	again()          // what the server refused it may grant now
	number() uint32  // channel; native.Invalid while the server does not have the stream
	recording() bool // channels of either direction are numbered by themselves
	knob() *level
	event(op native.Op, fields []byte) error
	sound(p []byte)
}

// New makes a link that is down, for a client that introduces itself as name.
func New(clock loop.Clock, name string, log func(format string, args ...any)) *Link {
	return &Link{clock: clock, log: log, name: name, problem: device.ErrNotYet, came: func() {}}
}

// OnUp sets the one function that is called whenever the link comes up: the server answers, and lets us in.
func (l *Link) OnUp(came func()) { l.came = came }

// description is what, with what the server calls itself.
func (l *Link) description(what string) string {
	if !l.up {
		return what + ", once there is one"
	}
	return what + " " + native.Clean(l.server.Name)
}

// Begin greets a server over a fresh connection; cookie is its key, or nil. wake is called whenever Outbox is no longer empty or Fault no longer nil.
func (l *Link) Begin(cookie []byte, wake func()) {
	l.wake, l.version, l.fault = wake, native.Version, nil
	l.waiting, l.outbox, l.headLen, l.left, l.control = l.waiting[:0], l.outbox[:0], 0, 0, l.control[:0]
	key := make([]byte, native.CookieSize)
	copy(key, cookie)
	l.call(native.OpAuth, &native.Auth{Version: native.Version, Cookie: key}, l.greeted)
}

func (l *Link) greeted(fields []byte, err error) {
	var server native.AuthReply
	if err == nil {
		err = native.Decode(fields, l.version, &server)
	}
	if err == nil {
		if l.version = min(server.Version&0xFFFF, native.Version); l.version < native.MinVersion {
			err = fmt.Errorf("it speaks version %d of the protocol, %d is the oldest known here", l.version, native.MinVersion)
		}
	}
	if err != nil {
		l.fail(fmt.Errorf("the sound server does not let us in: %w", err))
		return
	}
	l.call(native.OpSetClientName, &native.SetClientName{Props: native.Text("application.name", l.name, "application.id", "sandbox-audio", "application.icon_name", "audio-card")},
		func(_ []byte, err error) { l.check(err) })
	l.call(native.OpGetServerInfo, nil, l.informed)
}

func (l *Link) informed(fields []byte, err error) {
	var info native.ServerInfo
	if err == nil {
		err = native.Decode(fields, l.version, &info)
	}
	if err == nil && info.Spec.Check() != nil {
		err = errors.New("it plays no format known here")
	}
	if err != nil {
		l.fail(err)
		return
	}
	l.server = info
	l.call(native.OpGetSinkInfo, &native.ByIndexOrName{Index: native.Invalid, Name: info.DefaultSink}, l.ready)
}

// ready knows how the device runs on which sound is going to be played, and has the streams made.
func (l *Link) ready(fields []byte, err error) {
	var sink native.SinkInfo
	if err == nil && native.Decode(fields, l.version, &sink) == nil && sink.Spec.Check() == nil {
		l.server.Spec, l.server.Map = sink.Spec, sink.Map
	}
	l.up, l.problem = true, nil
	l.call(native.OpSubscribe, &native.Subscribe{Mask: native.MaskSinkInput | native.MaskSourceOutput | native.MaskSink | native.MaskSource | native.MaskServer}, nil)
	for _, s := range l.streams {
		s.create()
	}
	l.came()
}

// props is how the server's mixer shows a new stream. By its own id the server remembers its volume apart from the others'.
func (l *Link) props(name, title, icon string) native.PropList {
	return native.Text("media.name", title, "application.name", title, "application.id", l.name+"."+name, "application.icon_name", icon)
}

// show changes that, here and at the server, if that has the stream under the channel.
func (l *Link) show(props *native.PropList, title, what, icon string, op native.Op, channel uint32) {
	news := native.Text("media.name", what, "application.name", title, "application.icon_name", icon)
	if props.Update(native.UpdateReplace, news) == nil && channel != native.Invalid {
		l.call(op, &native.UpdateStreamProps{Channel: channel, Mode: native.UpdateReplace, Props: news}, nil)
	}
}

func (l *Link) check(err error) {
	if err != nil {
		l.fail(err)
	}
}

// End says that the connection is gone, and why. Begin may follow, with another.
func (l *Link) End(err error) {
	if l.problem == nil || l.problem.Error() != err.Error() {
		l.log("%v; it is tried again each second", err)
	}
	up := l.up
	l.up, l.problem = false, err
	if !up {
		return
	}
	for _, s := range l.streams {
		s.lost()
	}
}

// spec is the format that streams have: the server's rate and channels, as far as we have them, so that only one of both resamples.
func (l *Link) spec() (pcm.Spec, pcm.ChannelMap) {
	spec, cmap := l.server.Spec, l.server.Map
	spec.Format = pcm.Float32LE
	if spec.Channels > pcm.MaxChannels || cmap.Check(spec.Channels) != nil {
		spec.Channels, cmap = 2, pcm.StereoMap
	}
	return spec, cmap
}

// call sends a request. done gets the fields of the answer, or its error, on the loop, unless the link ends before.
func (l *Link) call(op native.Op, m native.Message, done func(fields []byte, err error)) {
	l.tag = (l.tag + 1) % 0xFFFFFFFF
	l.waiting = append(l.waiting, call{l.tag, op, done})
	l.put(native.AppendPacket(l.outbox, l.version, op, l.tag, m))
}

func (l *Link) put(grown []byte) {
	if l.outbox = grown; len(grown) > maxOutbox {
		l.fail(fmt.Errorf("the sound server left %d bytes unread", len(grown)))
		return
	}
	l.wake()
}

// Outbox is the bytes to be written to the server; Sent tells how many of them were.
func (l *Link) Outbox() []byte { return l.outbox }

// Sent drops the first n bytes of the outbox.
func (l *Link) Sent(n int) { l.outbox = l.outbox[:copy(l.outbox, l.outbox[n:])] }

// Fault is why the connection must be ended, or nil.
func (l *Link) Fault() error { return l.fault }

func (l *Link) fail(err error) {
	if l.fault == nil {
		l.fault = err
		l.wake()
	}
}

// Feed takes bytes as they were read from the server. An error, which Fault repeats, means that the connection is of no more use.
func (l *Link) Feed(p []byte) error {
	for len(p) > 0 && l.fault == nil {
		if l.left == 0 {
			n := copy(l.head[l.headLen:], p)
			l.headLen += n
			p = p[n:]
			if l.headLen == len(l.head) {
				l.headLen = 0
				h, err := native.ParseHeader(l.head[:])
				l.packet, l.left = h, h.Length
				l.check(err)
			}
			continue
		}
		part := p[:min(len(p), int(l.left))]
		p = p[len(part):]
		l.left -= uint32(len(part))
		if !l.packet.Control() {
			if s := l.stream(l.packet.Channel, true); s != nil {
				s.sound(part)
			}
			continue
		}
		if len(l.control) > 0 || l.left > 0 {
			l.control = append(l.control, part...)
			part = l.control
		}
		if l.left == 0 {
			l.check(l.execute(part))
			l.control = l.control[:0]
		}
	}
	return l.fault
}

// execute takes an answer to the call that waits for it, and an event to its stream.
func (l *Link) execute(payload []byte) error {
	op, tag, fields, err := native.ParseControl(payload)
	if err != nil {
		return err
	}
	if op == native.OpReply || op == native.OpError {
		i := slices.IndexFunc(l.waiting, func(c call) bool { return c.tag == tag })
		if i < 0 {
			return nil
		}
		c := l.waiting[i]
		l.waiting = slices.Delete(l.waiting, i, i+1)
		if op == native.OpError {
			var code native.IndexReply
			if err = native.Decode(fields, l.version, &code); err == nil {
				err = native.Code(code.Index)
			}
			fields, err = nil, fmt.Errorf("%v: %w", c.op, err)
		}
		if c.done != nil {
			c.done(fields, err)
		}
		return nil
	}
	if op == native.OpSubscribeEvent {
		return l.noticed(fields)
	}
	if channel, recording, ok := about(op, fields); ok {
		if s := l.stream(channel, recording); s != nil {
			return s.event(op, fields)
		}
	}
	return nil
}

// noticed has a stream that has changed at the server look at itself. A server that has just started may have nothing to play on yet: with each device
// that comes there those are tried again which it refused.
func (l *Link) noticed(fields []byte) error {
	var e native.SubscribeEvent
	if err := native.Decode(fields, l.version, &e); err != nil {
		return err
	}
	facility := e.Event.Facility()
	if facility == native.EventSink || facility == native.EventSource || facility == native.EventServer {
		for _, s := range l.streams {
			if e.Event.Type() != native.EventRemove && (facility == native.EventServer || s.recording() == (facility == native.EventSource)) {
				s.again()
			}
		}
		return nil
	}
	if e.Event.Type() != native.EventChange {
		return nil
	}
	for _, s := range l.streams {
		if s.recording() == (facility == native.EventSourceOutput) && s.knob().index == e.Index {
			s.knob().look()
		}
	}
	return nil
}

// about is the stream that an event is about: all of those wanted here have its channel as their first field.
func about(op native.Op, fields []byte) (channel uint32, recording, ok bool) {
	switch op {
	case native.OpRecordStreamKilled, native.OpRecordStreamMoved, native.OpRecordBufferAttrChanged:
		recording = true
	case native.OpUnderflow, native.OpPlaybackStreamKilled, native.OpPlaybackStreamMoved, native.OpPlaybackStreamSuspended, native.OpPlaybackBufferAttrChanged:
	default:
		return 0, false, false
	}
	var first native.ByIndex
	const word = 5 // tag and value
	if len(fields) < word || native.Decode(fields[:word], native.Version, &first) != nil {
		return 0, false, false
	}
	return first.Index, recording, true
}

func (l *Link) stream(channel uint32, recording bool) stream {
	for _, s := range l.streams {
		if s.recording() == recording && s.number() == channel {
			return s
		}
	}
	return nil
}
