package native

import "sandbox-audio/audiod/pcm"

// CreatePlaybackStream asks for a sink input. SinkIndex is Invalid and SinkName empty where the server chooses. With Formats the spec,
// map and volumes may be dummies, the truth is in the format infos.
type CreatePlaybackStream struct {
	Spec                   pcm.Spec
	Map                    pcm.ChannelMap
	SinkIndex              uint32
	SinkName               string
	Attr                   BufferAttr
	Corked                 bool
	SyncID                 uint32
	Volume                 CVolume
	NoRemap, NoRemix       bool // map channels by number; do not make up channels the stream lacks
	FixFormat, FixRate     bool // take the sink's instead
	FixChannels            bool // take the sink's instead
	NoMove, VariableRate   bool
	Muted                  bool
	AdjustLatency          bool // TLength is for the whole path, device included
	Props                  PropList
	VolumeSet              bool // Volume counts; always before version 14
	EarlyRequests          bool // MinReq is the device's period
	MutedSet               bool // Muted counts; when it is true before version 15
	DontInhibitAutoSuspend bool
	FailOnSuspend          bool
	RelativeVolume         bool
	Passthrough            bool
	Formats                []FormatInfo
}

func (m *CreatePlaybackStream) Fields(c *Coder) {
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.SinkIndex)
	c.NullString(&m.SinkName)
	c.U32(&m.Attr.MaxLength)
	c.Bool(&m.Corked)
	c.U32(&m.Attr.TLength)
	c.U32(&m.Attr.Prebuf)
	c.U32(&m.Attr.MinReq)
	c.U32(&m.SyncID)
	c.CVolume(&m.Volume)
	c.Bools(&m.NoRemap, &m.NoRemix, &m.FixFormat, &m.FixRate, &m.FixChannels, &m.NoMove, &m.VariableRate)
	c.Bools(&m.Muted, &m.AdjustLatency)
	c.Props(&m.Props)
	if c.Version >= 14 {
		c.Bools(&m.VolumeSet, &m.EarlyRequests)
	} else if !c.writing {
		m.VolumeSet = true
	}
	if c.Version >= 15 {
		c.Bools(&m.MutedSet, &m.DontInhibitAutoSuspend, &m.FailOnSuspend)
	} else if !c.writing {
		m.MutedSet = m.Muted
	}
	if c.Version >= 17 {
		c.Bool(&m.RelativeVolume)
	}
	if c.Version >= 18 {
		c.Bool(&m.Passthrough)
	}
	if c.Version >= 21 {
		c.Formats(&m.Formats)
	}
}

// CreatePlaybackStreamReply is what libpulse checks closely: no index is Invalid, and without a Fix flag or Formats the spec and map
// are those that were asked for.
type CreatePlaybackStreamReply struct {
	Channel   uint32 // of the stream's sound, and its index in all requests of its own
	Index     uint32 // of the sink input
	Missing   uint32 // bytes asked for at once: the first REQUEST
	Attr      BufferAttr
	Spec      pcm.Spec
	Map       pcm.ChannelMap
	SinkIndex uint32
	SinkName  string
	Suspended bool
	Latency   uint64 // of the sink as configured, microseconds
	Format    FormatInfo
}

func (m *CreatePlaybackStreamReply) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.Index)
	c.U32(&m.Missing)
	m.Attr.fields(c)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.SinkIndex)
	c.String(&m.SinkName)
	c.Bool(&m.Suspended)
	c.Usec(&m.Latency)
	if c.Version >= 21 {
		c.Format(&m.Format)
	}
}

// Cork is CORK_PLAYBACK_STREAM and CORK_RECORD_STREAM.
type Cork struct {
	Channel uint32
	Corked  bool
}

func (m *Cork) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.Bool(&m.Corked)
}

// GetLatency is GET_PLAYBACK_LATENCY and GET_RECORD_LATENCY.
type GetLatency struct {
	Channel uint32
	Time    Timeval // the client's clock, to be echoed
}

func (m *GetLatency) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.Timeval(&m.Time)
}

// PlaybackLatency answers GET_PLAYBACK_LATENCY. Indexes count bytes of the client's format.
type PlaybackLatency struct {
	SinkLatency   uint64 // microseconds from ReadIndex to the ear
	SourceLatency uint64 // always 0
	Playing       bool
	ClientTime    Timeval // the request's
	ServerTime    Timeval
	WriteIndex    int64
	ReadIndex     int64
	UnderrunFor   uint64 // bytes of silence since the queue ran dry
	PlayingFor    uint64 // bytes played since the last underrun
}

func (m *PlaybackLatency) Fields(c *Coder) {
	c.Usec(&m.SinkLatency)
	c.Usec(&m.SourceLatency)
	c.Bool(&m.Playing)
	c.Timeval(&m.ClientTime)
	c.Timeval(&m.ServerTime)
	c.S64(&m.WriteIndex)
	c.S64(&m.ReadIndex)
	c.U64(&m.UnderrunFor)
	c.U64(&m.PlayingFor)
}

// SetPlaybackBufferAttr is SET_PLAYBACK_STREAM_BUFFER_ATTR.
type SetPlaybackBufferAttr struct {
	Channel       uint32
	Attr          BufferAttr
	AdjustLatency bool
	EarlyRequests bool
}

func (m *SetPlaybackBufferAttr) Fields(c *Coder) {
	c.U32(&m.Channel)
	m.Attr.fields(c)
	c.Bool(&m.AdjustLatency)
	if c.Version >= 14 {
		c.Bool(&m.EarlyRequests)
	}
}

// PlaybackBufferAttrReply tells what became of SetPlaybackBufferAttr.
type PlaybackBufferAttrReply struct {
	Attr    BufferAttr
	Latency uint64 // of the sink as configured, microseconds
}

func (m *PlaybackBufferAttrReply) Fields(c *Coder) {
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}
