package native

import "sandbox-audio/audiod/pcm"

// CreateRecordStream asks for a source output; see CreatePlaybackStream for what the fields of the same name mean.
type CreateRecordStream struct {
	Spec                   pcm.Spec
	Map                    pcm.ChannelMap
	SourceIndex            uint32
	SourceName             string
	Attr                   RecordAttr
	Corked                 bool
	NoRemap, NoRemix       bool
	FixFormat, FixRate     bool
	FixChannels            bool
	NoMove, VariableRate   bool
	PeakDetect             bool // the loudest sample of each fragment is enough
	AdjustLatency          bool
	Props                  PropList
	DirectOnInput          uint32 // the sink input to listen to alone, or Invalid
	EarlyRequests          bool
	DontInhibitAutoSuspend bool
	FailOnSuspend          bool
	Formats                []FormatInfo
	Volume                 CVolume
	Muted                  bool
	VolumeSet, MutedSet    bool
	RelativeVolume         bool
	Passthrough            bool
}

func (m *CreateRecordStream) Fields(c *Coder) {
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.SourceIndex)
	c.NullString(&m.SourceName)
	c.U32(&m.Attr.MaxLength)
	c.Bool(&m.Corked)
	c.U32(&m.Attr.FragSize)
	c.Bools(&m.NoRemap, &m.NoRemix, &m.FixFormat, &m.FixRate, &m.FixChannels, &m.NoMove, &m.VariableRate)
	c.Bools(&m.PeakDetect, &m.AdjustLatency)
	c.Props(&m.Props)
	c.U32(&m.DirectOnInput)
	if c.Version >= 14 {
		c.Bool(&m.EarlyRequests)
	}
	if c.Version >= 15 {
		c.Bools(&m.DontInhibitAutoSuspend, &m.FailOnSuspend)
	}
	if c.Version >= 22 {
		c.Formats(&m.Formats)
		c.CVolume(&m.Volume)
		c.Bools(&m.Muted, &m.VolumeSet, &m.MutedSet, &m.RelativeVolume, &m.Passthrough)
	}
}

// CreateRecordStreamReply is checked by libpulse as closely as the playback one.
type CreateRecordStreamReply struct {
	Channel     uint32 // of the stream's sound, and its index in all requests of its own
	Index       uint32 // of the source output
	Attr        RecordAttr
	Spec        pcm.Spec
	Map         pcm.ChannelMap
	SourceIndex uint32
	SourceName  string
	Suspended   bool
	Latency     uint64 // of the source as configured, microseconds
	Format      FormatInfo
}

func (m *CreateRecordStreamReply) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.Index)
	m.Attr.fields(c)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.SourceIndex)
	c.String(&m.SourceName)
	c.Bool(&m.Suspended)
	c.Usec(&m.Latency)
	if c.Version >= 22 {
		c.Format(&m.Format)
	}
}

// RecordLatency answers GET_RECORD_LATENCY. Indexes count bytes of the client's format.
type RecordLatency struct {
	MonitorLatency uint64 // of the sink that is listened to, microseconds
	SourceLatency  uint64 // from the microphone to WriteIndex, microseconds
	Recording      bool
	ClientTime     Timeval // the request's
	ServerTime     Timeval
	WriteIndex     int64
	ReadIndex      int64
}

func (m *RecordLatency) Fields(c *Coder) {
	c.Usec(&m.MonitorLatency)
	c.Usec(&m.SourceLatency)
	c.Bool(&m.Recording)
	c.Timeval(&m.ClientTime)
	c.Timeval(&m.ServerTime)
	c.S64(&m.WriteIndex)
	c.S64(&m.ReadIndex)
}

// SetRecordBufferAttr is SET_RECORD_STREAM_BUFFER_ATTR.
type SetRecordBufferAttr struct {
	Channel       uint32
	Attr          RecordAttr
	AdjustLatency bool
	EarlyRequests bool
}

func (m *SetRecordBufferAttr) Fields(c *Coder) {
	c.U32(&m.Channel)
	m.Attr.fields(c)
	c.Bool(&m.AdjustLatency)
	if c.Version >= 14 {
		c.Bool(&m.EarlyRequests)
	}
}

// RecordBufferAttrReply tells what became of SetRecordBufferAttr.
type RecordBufferAttrReply struct {
	Attr    RecordAttr
	Latency uint64 // of the source as configured, microseconds
}

func (m *RecordBufferAttrReply) Fields(c *Coder) {
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}
