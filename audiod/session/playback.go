package session

import (
	"errors"
	"slices"
	"time"

	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// playback is a playback stream: a client's end of a sink input.
type playback struct {
	session *Session
	channel uint32 // number in the session
	index   uint32 // of the sink input
	sink    *sink  // it plays on
	follows bool   // to wherever the default sink is
	home    string // the sink that left under it, to which it returns; "" for none
	staying bool   // may not be moved: the owner's own wish, as a helper's sink is always the same
	fragile bool   // dies with the sink's being suspended
	syncID  uint32
	input   *mixer.Input
	format  native.FormatInfo
	props   native.PropList
	label   label  // made of them
	key     string // in stream-restore
	drains  drains
	full    bool // the last sound did not find room

	// Messages sent from the audio cycle are made once.
	request native.Request
	under   native.Underflow
	event   native.StreamEvent
}

// playback is the session's stream of a channel, or nil.
func (c *Session) playback(channel uint32) *playback {
	if int64(channel) >= int64(len(c.streams)) {
		return nil
	}
	return c.streams[channel]
}

func (c *Session) createPlayback(r *request, m *native.CreatePlaybackStream) error {
	shown, err := c.findSink(m.SinkIndex, m.SinkName)
	if err != nil {
		return err
	}
	if c.user.streams >= c.user.maxStreams {
		return native.ErrTooLarge
	}
	p := &playback{session: c, sink: c.server.real(shown), syncID: m.SyncID, props: slices.Clone(c.props), staying: m.NoMove && c.grant == policy.Owner, fragile: m.FailOnSuspend}
	p.follows = shown == c.user.view || m.SinkIndex == native.Invalid && m.SinkName == ""
	peer := c.synced(m.SyncID)
	switch { // what plays together plays on one sink
	case peer == nil || peer.sink == p.sink:
	case !p.follows:
		return native.ErrInvalid
	default:
		p.sink, shown = peer.sink, c.shown(peer.sink)
	}
	suspended := p.sink.mixer.State().Suspended
	if suspended && p.fragile {
		return native.ErrBadState
	}
	opts, err := p.sink.inputOptions(m)
	if err != nil {
		return err
	}
	if err := p.props.Update(native.UpdateReplace, m.Props); err != nil {
		return err
	}
	p.recall(&opts, m.MutedSet)
	if peer != nil {
		opts.Sync = peer.input
	}
	opts.Gain = c.user.gain()
	opts.Budget = c.user.buffers
	switch p.input, err = p.sink.mixer.NewInput(opts, p); {
	case errors.Is(err, mixer.ErrBudget):
		return native.ErrTooLarge
	case err != nil:
		return native.ErrInvalid
	}
	p.format = native.PCM(opts.Spec, opts.Map)
	c.adopt(p)

	attr, latency := p.input.Attr()
	c.reply(r.tag, &native.CreatePlaybackStreamReply{Channel: p.channel, Index: p.index, Missing: uint32(p.input.Missing()), Attr: native.BufferAttr(attr),
		Spec: opts.Spec, Map: opts.Map, SinkIndex: shown.index, SinkName: shown.name, Suspended: suspended, Latency: usec(latency), Format: p.format})
	c.server.announce(native.EventSinkInput|native.EventNew, p.index, c)
	p.input.Start()
	return nil
}

// inputOptions turns the request into what the mixer understands: the format it means, its attributes and volume.
func (k *sink) inputOptions(m *native.CreatePlaybackStream) (mixer.InputOptions, error) {
	spec, cmap := m.Spec, m.Map
	own, ownMap := k.mixer.Spec()
	if m.Passthrough {
		return mixer.InputOptions{}, native.ErrNotSupported
	}
	if len(m.Formats) > 0 {
		var err error
		for _, f := range m.Formats { // the first we can play, in the client's order
			if spec, cmap, err = f.Resolve(own, ownMap); err == nil {
				break
			}
		}
		if err != nil {
			return mixer.InputOptions{}, err
		}
	}
	if m.FixFormat {
		spec.Format = own.Format
	}
	if m.FixRate {
		spec.Rate = own.Rate
	}
	if m.FixChannels {
		spec.Channels, cmap = own.Channels, ownMap
	}
	opts := mixer.InputOptions{Spec: spec, Map: cmap, Attr: mixer.BufferAttr(m.Attr), Corked: m.Corked, Muted: m.Muted && m.MutedSet,
		Tunable: m.VariableRate, NoRemap: m.NoRemap, NoRemix: m.NoRemix, Latency: latencyMode(m.AdjustLatency, m.EarlyRequests)}
	if err := spec.Check(); err != nil {
		return opts, native.ErrInvalid
	}
	if m.VolumeSet && len(m.Volume) > 0 {
		if err := m.Volume.Check(int(spec.Channels)); err != nil {
			return opts, err
		}
		opts.Volume = m.Volume
	}
	return opts, nil
}

func latencyMode(adjust, early bool) mixer.LatencyMode {
	switch {
	case early:
		return mixer.EarlyRequests
	case adjust:
		return mixer.AdjustLatency
	}
	return mixer.Traditional
}

// synced is a stream of this session with the same sync id, or nil.
func (c *Session) synced(id uint32) *playback {
	for _, p := range c.streams {
		if p != nil && p.syncID == id {
			return p
		}
	}
	return nil
}

// adopt numbers p and enters it in the lists.
func (c *Session) adopt(p *playback) {
	p.channel, p.index = c.free(), c.server.number(c.user)
	p.label = labelOf(p.props)
	for len(c.streams) <= int(p.channel) {
		c.streams = append(c.streams, nil)
	}
	c.streams[p.channel] = p
	p.request.Channel, p.under.Channel, p.event.Channel = p.channel, p.channel, p.channel
	c.server.streams = append(c.server.streams, p)
	c.user.streams++
}

// close takes the stream out of the mixer and the lists. Drains that wait learn that it is gone.
func (p *playback) close() {
	c := p.session
	c.server.unheard(p)
	p.input.Close()
	p.undrain()
	c.streams[p.channel] = nil
	c.unwant(p)
	c.user.streams--
	if c.sound == receiver(p) {
		c.sound = nil
	}
	c.server.streams = slices.DeleteFunc(c.server.streams, func(other *playback) bool { return other == p })
	c.server.announce(native.EventSinkInput|native.EventRemove, p.index, c)
	p.stirs()
}

func (p *playback) seek(offset int64, mode native.Seek) { p.input.SeekWrite(offset, int(mode)) }

// write takes sound that came in. What finds no room is told of once, until there is room again.
func (p *playback) write(b []byte) {
	fits := p.input.Write(b)
	if !fits && !p.full {
		p.session.send(native.OpOverflow, &p.event)
	}
	p.full = !fits
}

// Wants, Started, Underrun and Resized are called by the mixer.
func (p *playback) Wants(bytes int) {
	p.session.want(p, bytes)
}

func (p *playback) Started() {
	p.session.send(native.OpStarted, &p.event)
	p.stirs()
}

func (p *playback) Underrun(readIndex int64) {
	p.under.Offset = readIndex
	p.session.send(native.OpUnderflow, &p.under)
	p.stirs()
}

// stirs tells the owner that the sink may have begun or ceased to run. A helper, who sees only its own streams, knows.
func (p *playback) stirs() {
	p.session.server.announceToOwner(native.EventSink|native.EventChange, p.sink.index)
}

func (p *playback) Resized() {
	if c := p.session; c.version >= 15 {
		attr, latency := p.input.Attr()
		c.send(native.OpPlaybackBufferAttrChanged, &native.PlaybackBufferAttrChanged{Channel: p.channel, Attr: native.BufferAttr(attr), Latency: usec(latency)})
	}
}

func (c *Session) existing(channel uint32) (*playback, error) {
	p := c.playback(channel)
	if p == nil {
		return nil, native.ErrNoEntity
	}
	return p, nil
}

func (c *Session) deletePlayback(r *request, m *native.ByIndex) error {
	p, err := c.existing(m.Index)
	if err != nil {
		return err
	}
	p.close()
	return c.reply(r.tag, nil)
}

// toStream has act done to the stream that a request names. The acknowledgement goes out before what act makes the mixer say.
func toStream(act func(*mixer.Input)) func(*Session, *request, *native.ByIndex) error {
	return func(c *Session, r *request, m *native.ByIndex) error {
		p, err := c.existing(m.Index)
		if err != nil {
			return err
		}
		c.reply(r.tag, nil)
		act(p.input)
		return nil
	}
}

func (c *Session) cork(r *request, m *native.Cork) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	c.reply(r.tag, nil)
	if p.input.Corked() != m.Corked {
		p.input.Cork(m.Corked)
		c.server.announce(native.EventSinkInput|native.EventChange, p.index, c)
		p.stirs()
	}
	return nil
}

func (c *Session) setBufferAttr(r *request, m *native.SetPlaybackBufferAttr) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	p.input.SetAttr(mixer.BufferAttr(m.Attr), latencyMode(m.AdjustLatency, m.EarlyRequests))
	attr, latency := p.input.Attr()
	return c.reply(r.tag, &native.PlaybackBufferAttrReply{Attr: native.BufferAttr(attr), Latency: usec(latency)})
}

// setRate changes the rate of a stream that was made for it.
func (c *Session) setRate(r *request, m *native.UpdateRate) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	switch err := p.input.SetRate(m.Rate); {
	case errors.Is(err, mixer.ErrFixedRate):
		return native.ErrBadState
	case err != nil:
		return native.ErrInvalid
	}
	c.reply(r.tag, nil)
	c.server.announce(native.EventSinkInput|native.EventChange, p.index, c)
	return nil
}

// latency answers the question from which the client makes its clock. Both ends' times are CLOCK_REALTIME: they share the machine.
func (c *Session) latency(r *request) error {
	m, answer := &c.latencyRequest, &c.latencyReply // which a client may send a hundred times a second
	*m = native.GetLatency{}
	if err := native.Decode(r.fields, c.version, m); err != nil {
		return err
	}
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	t := p.input.Timing()
	*answer = native.PlaybackLatency{SinkLatency: p.sink.told(t.Latency), Playing: t.Playing, ClientTime: m.Time,
		ServerTime: native.TimevalOf(time.Now()), WriteIndex: t.WriteIndex, ReadIndex: t.ReadIndex, UnderrunFor: t.UnderrunFor, PlayingFor: t.PlayingFor}
	return c.reply(r.tag, answer)
}

func usec(d time.Duration) uint64 { return uint64(d / time.Microsecond) }

func (c *Session) setStreamName(r *request, m *native.SetStreamName) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	return c.describe(p, r.tag, native.UpdateReplace, native.Text("media.name", m.Name))
}

func (c *Session) updateStreamProps(r *request, m *native.UpdateStreamProps) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	return c.describe(p, r.tag, m.Mode, m.Props)
}

// describe changes a stream's properties.
func (c *Session) describe(p *playback, tag uint32, mode native.UpdateMode, props native.PropList) error {
	if err := p.props.Update(mode, props); err != nil {
		return err
	}
	p.label = labelOf(p.props)
	return c.changed(p, tag)
}

// changed acknowledges a change of a stream, and tells whoever may know of the stream.
func (c *Session) changed(p *playback, tag uint32) error {
	c.reply(tag, nil)
	c.server.announce(native.EventSinkInput|native.EventChange, p.index, p.session)
	return nil
}

func (c *Session) removeStreamProps(r *request, m *native.RemoveStreamProps) error {
	p, err := c.existing(m.Channel)
	if err != nil {
		return err
	}
	for _, key := range m.Keys {
		p.props.Remove(key)
	}
	return c.describe(p, r.tag, native.UpdateReplace, nil)
}

// setInputVolume and setInputMute name a sink input, which must be one of the client's own user's, or the client the owner.
func (c *Session) setInputVolume(r *request, m *native.SetVolume) error {
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	if err := m.Volume.Check(int(p.input.Spec().Channels)); err != nil {
		return err
	}
	if err := p.input.SetVolume(c.capped(m.Volume)); err != nil {
		return native.ErrInvalid
	}
	p.remember()
	return c.changed(p, r.tag)
}

func (c *Session) setInputMute(r *request, m *native.SetMute) error {
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	p.input.SetMuted(m.Muted)
	p.remember()
	return c.changed(p, r.tag)
}

// visible is the sink input of that index if the client may know of it, else nil.
func (c *Session) visible(index uint32) *playback {
	if p := c.server.stream(index); p != nil && (c.grant == policy.Owner || c.sees(p.session)) {
		return p
	}
	return nil
}
