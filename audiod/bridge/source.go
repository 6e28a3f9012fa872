package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

// fragment is how much sound the server sends at a time.
const fragment = 20 * time.Millisecond

const sourceIcon = "audio-input-microphone"

// Source is the server's default source as a device. There is a stream only while it is open, so that the owner's desktop shows the microphone
// in use just when it is. Only the loop's goroutine may call it.
type Source struct {
	link   *Link
	name   string
	props  native.PropList
	change func() // see OnChange
	level

	open    bool
	channel uint32 // Invalid while there is no stream
	pending bool   // one is being made
	trouble error  // what became of the last, until Open has told
	refused bool   // by the server, for now
	conf    device.Config

	ring     []float32
	part     [8]byte // a sample that comes in two packets
	partial  int
	samples  int64 // that came
	read     int64 // frames
	smoother device.Smoother
	stats    device.Stats
}

// NewSource makes a source that the server's mixer shows as title while it is open, until Show tells more.
func (l *Link) NewSource(name, title string) *Source {
	s := &Source{link: l, name: name, change: func() {}, level: newLevel(l, true), channel: native.Invalid}
	s.props = l.props(name+".microphone", title, sourceIcon)
	l.streams = append(l.streams, s)
	return s
}

// OnChange sets the one function that is called when the link is there, or the stream is gone.
func (s *Source) OnChange(change func()) { s.change = change }

// Show has the server's mixer show the stream under another title, what is recorded with it, and the icon of that name, if there is one.
func (s *Source) Show(title, what, icon string) {
	s.link.show(&s.props, title, what, cmp.Or(icon, sourceIcon), native.OpUpdateRecordStreamProplist, s.channel)
}

// Name and Description are as in device.Source.
func (s *Source) Name() string { return "pulse:" + s.name }

func (s *Source) Description() string {
	return s.link.description("the microphone of the sound server")
}

func (s *Source) number() uint32  { return s.channel }
func (s *Source) recording() bool { return true }
func (s *Source) knob() *level    { return &s.level }
func (s *Source) create()         { s.change() }

// end says that there is no stream, and why; nil while there is no connection.
func (s *Source) end(why error) {
	s.channel, s.pending, s.trouble = native.Invalid, false, why
	s.level.end()
	s.change()
}

func (s *Source) again() {
	if s.refused && !s.open {
		s.refused, s.trouble = false, nil
		s.change()
	}
}

func (s *Source) lost() {
	s.refused = false
	s.level.forget()
	s.end(nil)
}

// Open asks for a stream. What is wrong with that is told by Available, and once by the next Open.
func (s *Source) Open() (device.Config, error) {
	switch {
	case s.open:
		return device.Config{}, errors.New("the device is open already")
	case !s.link.up:
		return device.Config{}, s.link.problem
	case s.trouble != nil:
		err := s.trouble
		s.trouble = nil
		return device.Config{}, err
	}
	spec, cmap := s.link.spec()
	s.conf = device.Config{Rate: int(spec.Rate), Channels: cmap, Buffer: int(spec.Rate), Hardware: fmt.Sprintf("%v of the sound server", spec)}
	s.ring = make([]float32, s.conf.Buffer*len(cmap))
	s.open, s.samples, s.read, s.partial = true, 0, 0, 0
	s.smoother = device.NewSmoother(s.conf.Rate, 0)
	if !s.pending {
		s.ask(spec, cmap)
	}
	return s.conf, nil
}

func (s *Source) ask(spec pcm.Spec, cmap pcm.ChannelMap) {
	s.pending, s.refused = true, false
	s.link.call(native.OpCreateRecordStream, &native.CreateRecordStream{Spec: spec, Map: cmap, SourceIndex: native.Invalid, AdjustLatency: true, Props: s.props,
		Attr: native.RecordAttr{MaxLength: native.Invalid, FragSize: uint32(spec.Bytes(fragment))}, DirectOnInput: native.Invalid, Volume: native.NormVolume(len(cmap))}, s.created)
}

func (s *Source) created(fields []byte, err error) {
	var reply native.CreateRecordStreamReply
	if err == nil {
		err = native.Decode(fields, s.link.version, &reply)
	}
	if err != nil {
		s.refused = true
		s.end(fmt.Errorf("the sound server gives no microphone: %w", err))
		return
	}
	s.channel, s.pending = reply.Channel, false
	if s.level.begin(reply.Index, func() {}); !s.open { // closed meanwhile
		s.drop()
	}
}

// drop ends the stream.
func (s *Source) drop() {
	s.link.call(native.OpDeleteRecordStream, &native.ByIndex{Index: s.channel}, nil)
	s.channel = native.Invalid
	s.level.end()
}

func (s *Source) event(op native.Op, _ []byte) error {
	if op == native.OpRecordStreamKilled {
		s.end(errKilled)
	}
	return nil
}

// sound takes what came in.
func (s *Source) sound(p []byte) {
	if !s.open {
		return
	}
	const size = 4
	at := s.samples
	one := s.part[:size]
	for len(p) > 0 {
		if s.partial > 0 || len(p) < size {
			n := copy(one[s.partial:], p)
			if s.partial, p = s.partial+n, p[n:]; s.partial < size {
				break
			}
			s.partial = 0
			pcm.Decode(s.ring[at%int64(len(s.ring)):][:1], one, pcm.Float32LE)
			at++
			continue
		}
		room := s.ring[at%int64(len(s.ring)):]
		n := min(len(room), len(p)/size)
		pcm.Decode(room[:n], p[:n*size], pcm.Float32LE)
		at, p = at+int64(n), p[n*size:]
	}
	s.samples = at
	now := s.link.clock.Now()
	s.smoother.Read(now, now, s.came())
}

// came is the whole frames that came.
func (s *Source) came() int64 { return s.samples / int64(len(s.conf.Channels)) }

// overrun reports whether nobody read for as long as the ring lasts. All in it is lost then.
func (s *Source) overrun() bool {
	if s.came()-s.read < int64(s.conf.Buffer) { // the frame that is on its way lies over the oldest
		return false
	}
	s.stats.Xruns++
	s.read = s.came()
	return true
}

func (s *Source) gone() error {
	switch {
	case !s.open:
		return errClosed
	case s.channel == native.Invalid && !s.pending:
		return fmt.Errorf("%w: the sound server ended the stream", device.ErrGone)
	}
	return nil
}

// Read and Available are as in device.Source.
func (s *Source) Read(frames []float32) (int, error) {
	if err := s.gone(); err != nil {
		return 0, err
	}
	if s.overrun() {
		return 0, nil
	}
	channels := int64(len(s.conf.Channels))
	n := min(int64(len(frames))/channels, s.came()-s.read)
	from := s.ring[s.read*channels%int64(len(s.ring)):]
	k := copy(frames[:n*channels], from)
	copy(frames[k:n*channels], s.ring)
	s.read += n
	return int(n), nil
}

func (s *Source) Available() (int, error) {
	if err := s.gone(); err != nil {
		return 0, err
	}
	if s.overrun() {
		return 0, nil
	}
	return max(0, int(s.smoother.Position(s.link.clock.Now()))-int(s.read)), nil
}

// Close ends the stream.
func (s *Source) Close() error {
	if s.open = false; s.channel != native.Invalid {
		s.drop()
	}
	s.ring = nil
	return nil
}

// Stats is as in device.Source.
func (s *Source) Stats() device.Stats { return s.stats }
