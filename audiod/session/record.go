package session

import (
	"errors"
	"slices"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// record is a record stream: a client's end of a source output.
//
//	mixer ─► Captured ─► the connection wakes ─► Outbox ─► deliver: fragments, as long as the outbox is short
//
// What does not go out waits in the output's own queue, where a client that does not read loses its oldest.
type record struct {
	session *Session
	channel uint32  // number in the session
	index   uint32  // of the source output
	source  *source // it records from, as its client knows it
	chosen  *source // that the owner moved a helper's stream to, or nil
	follows bool    // to wherever the default source is
	home    string  // the source that left under it, to which it returns; "" for none
	staying bool    // may not be moved
	fragile bool    // dies with the source's being suspended
	direct  *playback
	output  *mixer.Output
	format  native.FormatInfo
	props   native.PropList
	label   label     // made of them
	key     string    // in stream-restore
	since   time.Time // when it began to hear a microphone; zero while it does not
}

const (
	recordRoom = 32 << 10 // bytes in an outbox that takes up more of what was recorded
	maxPiece   = 16 << 10 // of them at a time, so that all streams of a connection get their turn
)

// Captured is called by the mixer.
func (r *record) Captured() { r.session.wake() }

// deliver puts what was recorded into the outbox, by turns, as long as there is room.
func (c *Session) deliver() {
	for more := true; more && len(c.outbox) < recordRoom; {
		more = false
		for _, r := range c.records {
			if r == nil || r.output.Ready() == 0 {
				continue
			}
			n := min(r.output.Ready(), maxPiece)
			n -= n % r.output.Spec().FrameSize()
			c.outbox = native.AppendHeader(c.outbox, native.Header{Length: uint32(n), Channel: r.channel})
			c.outbox = r.output.Fetch(c.outbox, n)
			more = true
		}
	}
}

func (c *Session) createRecord(r *request, m *native.CreateRecordStream) error {
	if c.user.streams >= c.user.maxStreams {
		return native.ErrTooLarge
	}
	rec := &record{session: c, props: slices.Clone(c.props), staying: m.NoMove && c.grant == policy.Owner, fragile: m.FailOnSuspend && c.grant == policy.Owner}
	from, err := c.recordFrom(rec, m)
	if err != nil {
		return err
	}
	if err := rec.props.Update(native.UpdateReplace, m.Props); err != nil {
		return err
	}
	opts, err := recordOptions(rec.nominal(from), m)
	if err != nil {
		return err
	}
	rec.recall(&opts, m.MutedSet)
	opts.Budget = c.user.buffers
	suspended := from.State().Suspended // never of quiet
	if suspended && rec.fragile {
		return native.ErrBadState
	}
	switch rec.output, err = from.NewOutput(opts, rec); {
	case errors.Is(err, mixer.ErrBudget):
		return native.ErrTooLarge
	case err != nil:
		return native.ErrInvalid
	}
	rec.amplify()
	rec.format = native.PCM(opts.Spec, opts.Map)
	c.adoptRecord(rec)

	attr, latency := rec.output.Attr()
	c.reply(r.tag, &native.CreateRecordStreamReply{Channel: rec.channel, Index: rec.index, Attr: native.RecordAttr(attr), Spec: opts.Spec, Map: opts.Map,
		SourceIndex: rec.source.index, SourceName: rec.source.name, Suspended: suspended, Latency: usec(latency), Format: rec.format})
	c.server.announce(native.EventSourceOutput|native.EventNew, rec.index, c)
	rec.output.Start()
	rec.began()
	return nil
}

// recordFrom settles what a new stream records from, as its client knows it, and returns what that is in the mixer now.
func (c *Session) recordFrom(rec *record, m *native.CreateRecordStream) (*mixer.Source, error) {
	if m.DirectOnInput != native.Invalid {
		return c.overhear(rec, m)
	}
	o, err := c.findSource(m.SourceIndex, m.SourceName)
	if err != nil {
		return nil, err
	}
	rec.source = o
	rec.follows = o.mixer != nil && m.SourceIndex == native.Invalid && m.SourceName == ""
	return c.server.route(rec), nil
}

// overhear has the stream record what one sink input plays. That takes the monitor of its sink, which helpers do not have.
func (c *Session) overhear(rec *record, m *native.CreateRecordStream) (*mixer.Source, error) {
	p := c.visible(m.DirectOnInput)
	if p == nil || c.grant != policy.Owner {
		return nil, native.ErrNoEntity
	}
	rec.source, rec.direct, rec.staying = p.sink.monitor, p, true
	if m.SourceIndex != native.Invalid || m.SourceName != "" {
		if o, err := c.findSource(m.SourceIndex, m.SourceName); err != nil || o != rec.source {
			return nil, native.ErrInvalid
		}
	}
	return mixer.NewMonitor(p.sink.mixer, p.input), nil
}

// unheard ends the streams that record p alone, which plays no longer, or elsewhere.
func (s *Server) unheard(p *playback) {
	for _, r := range slices.Clone(s.records) {
		if r.direct == p {
			r.kill()
		}
	}
}

// nominal is what r's client takes for the source's format: m's, but of a helper's microphone always the same.
func (r *record) nominal(m *mixer.Source) *mixer.Source {
	if r.source.mixer == nil {
		return r.session.server.quiet
	}
	return m
}

// recordOptions turns the request into what the mixer understands: the format it means, its attributes and volume.
func recordOptions(from *mixer.Source, m *native.CreateRecordStream) (mixer.OutputOptions, error) {
	own, ownMap := from.Spec()
	spec, cmap, err := chooseFormat(m.Spec, m.Map, m.Formats, own, ownMap)
	if err != nil {
		return mixer.OutputOptions{}, err
	}
	if m.Passthrough {
		return mixer.OutputOptions{}, native.ErrNotSupported
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
	opts := mixer.OutputOptions{Spec: spec, Map: cmap, Attr: mixer.RecordAttr(m.Attr), Corked: m.Corked, Muted: m.Muted && m.MutedSet,
		NoRemap: m.NoRemap, NoRemix: m.NoRemix, Peaks: m.PeakDetect, Tunable: m.VariableRate, Latency: latencyMode(m.AdjustLatency, m.EarlyRequests)}
	if m.VolumeSet && len(m.Volume) > 0 {
		if err := m.Volume.Check(int(spec.Channels)); err != nil {
			return opts, err
		}
		opts.Volume = m.Volume
	}
	return opts, nil
}

// chooseFormat is the format that a client means: its spec or, from version 21 on, the first of its list that can be served, in its order.
func chooseFormat(spec pcm.Spec, cmap pcm.ChannelMap, formats []native.FormatInfo, own pcm.Spec, ownMap pcm.ChannelMap) (pcm.Spec, pcm.ChannelMap, error) {
	var err error
	for _, f := range formats {
		if spec, cmap, err = f.Resolve(own, ownMap); err == nil {
			break
		}
	}
	return spec, cmap, err
}

// recall gives a stream that is being made its key, and what the client left open: its volume and mute.
func (r *record) recall(opts *mixer.OutputOptions, mutedSet bool) {
	r.key = memory.StreamKey("source-output", r.props.Get)
	r.props.Set(streamID, r.key) // a list that is full goes without
	level, known := r.session.user.levels.Get(r.key)
	if opts.Volume == nil {
		opts.Volume = level.On(opts.Map)
	}
	if known && !mutedSet {
		opts.Muted = level.Muted
	}
}

// adoptRecord numbers r and enters it in the lists.
func (c *Session) adoptRecord(r *record) {
	slot := slices.Index(c.records, nil)
	if slot < 0 {
		slot = len(c.records)
		c.records = append(c.records, nil)
	}
	c.records[slot] = r
	r.label = labelOf(r.props)
	r.channel, r.index = uint32(slot), c.server.number(c.user)
	c.server.records = append(c.server.records, r)
	c.user.streams++
}

// close takes the stream out of the mixer and the lists.
func (r *record) close() {
	c := r.session
	r.output.Close()
	r.ended()
	c.records[r.channel] = nil
	c.user.streams--
	c.server.records = slices.DeleteFunc(c.server.records, func(other *record) bool { return other == r })
	if !c.server.recordedBy(c.user) {
		c.user.mic.once = false
	}
	c.server.announce(native.EventSourceOutput|native.EventRemove, r.index, c)
}

// kill ends the stream without its client's doing.
func (r *record) kill() {
	r.close()
	r.session.send(native.OpRecordStreamKilled, &native.StreamEvent{Channel: r.channel})
}

// move has a stream of the owner's record from o, and tells its client.
func (r *record) move(o *source) {
	if r.source == o {
		return
	}
	c := r.session
	r.output.Move(o.mixer)
	r.source = o
	attr, latency := r.output.Attr()
	c.send(native.OpRecordStreamMoved, &native.RecordMoved{Channel: r.channel, SourceIndex: o.index, SourceName: o.name, Suspended: o.mixer.State().Suspended,
		Attr: native.RecordAttr(attr), Latency: usec(latency)})
	c.server.announce(native.EventSourceOutput|native.EventChange, r.index, c)
}

// recording is the session's record stream of a channel, or an error.
func (c *Session) recording(channel uint32) (*record, error) {
	if int64(channel) >= int64(len(c.records)) || c.records[channel] == nil {
		return nil, native.ErrNoEntity
	}
	return c.records[channel], nil
}

func (c *Session) deleteRecord(r *request, m *native.ByIndex) error {
	rec, err := c.recording(m.Index)
	if err != nil {
		return err
	}
	rec.close()
	return c.reply(r.tag, nil)
}

func (c *Session) flushRecord(r *request, m *native.ByIndex) error {
	rec, err := c.recording(m.Index)
	if err != nil {
		return err
	}
	rec.output.Flush()
	return c.reply(r.tag, nil)
}

func (c *Session) corkRecord(r *request, m *native.Cork) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	c.reply(r.tag, nil)
	if rec.output.Corked() != m.Corked {
		rec.output.Cork(m.Corked)
		rec.began()
		c.server.announce(native.EventSourceOutput|native.EventChange, rec.index, c)
	}
	return nil
}

func (c *Session) setRecordAttr(r *request, m *native.SetRecordBufferAttr) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	rec.output.SetAttr(mixer.RecordAttr(m.Attr), latencyMode(m.AdjustLatency, m.EarlyRequests))
	attr, latency := rec.output.Attr()
	return c.reply(r.tag, &native.RecordBufferAttrReply{Attr: native.RecordAttr(attr), Latency: usec(latency)})
}

func (c *Session) setRecordRate(r *request, m *native.UpdateRate) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	switch err := rec.output.SetRate(m.Rate); {
	case errors.Is(err, mixer.ErrFixedRate):
		return native.ErrBadState
	case err != nil:
		return native.ErrInvalid
	}
	c.reply(r.tag, nil)
	c.server.announce(native.EventSourceOutput|native.EventChange, rec.index, c)
	return nil
}

// recordLatency answers the question from which the client makes its clock: the byte at the write index was heard so long ago.
func (c *Session) recordLatency(r *request, m *native.GetLatency) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	t := rec.output.Timing()
	return c.reply(r.tag, &native.RecordLatency{SourceLatency: usec(t.Latency), Recording: t.Recording, ClientTime: m.Time,
		ServerTime: native.TimevalOf(time.Now()), WriteIndex: t.WriteIndex, ReadIndex: t.ReadIndex})
}

func (c *Session) setRecordName(r *request, m *native.SetStreamName) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	return c.describeRecord(rec, r.tag, native.UpdateReplace, native.Text("media.name", m.Name))
}

func (c *Session) updateRecordProps(r *request, m *native.UpdateStreamProps) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	return c.describeRecord(rec, r.tag, m.Mode, m.Props)
}

func (c *Session) removeRecordProps(r *request, m *native.RemoveStreamProps) error {
	rec, err := c.recording(m.Channel)
	if err != nil {
		return err
	}
	for _, key := range m.Keys {
		rec.props.Remove(key)
	}
	return c.describeRecord(rec, r.tag, native.UpdateReplace, nil)
}

// describeRecord changes a stream's properties.
func (c *Session) describeRecord(rec *record, tag uint32, mode native.UpdateMode, props native.PropList) error {
	if err := rec.props.Update(mode, props); err != nil {
		return err
	}
	rec.label = labelOf(rec.props)
	return c.changedRecord(rec, tag)
}

// changedRecord acknowledges a change of a stream, and tells whoever may know of the stream.
func (c *Session) changedRecord(rec *record, tag uint32) error {
	c.reply(tag, nil)
	c.server.announce(native.EventSourceOutput|native.EventChange, rec.index, rec.session)
	return nil
}
