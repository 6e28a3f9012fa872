package native

import "sandbox-audio/audiod/pcm"

// What lists tell of streams, clients, samples and modules.

// SinkInputInfo answers GET_SINK_INPUT_INFO. Latencies are microseconds.
type SinkInputInfo struct {
	Index          uint32
	Name           string
	Module, Client uint32 // Invalid: none
	Sink           uint32
	Spec           pcm.Spec
	Map            pcm.ChannelMap
	Volume         CVolume
	BufferLatency  uint64 // of the queue
	SinkLatency    uint64
	ResampleMethod string
	Driver         string
	Muted          bool
	Props          PropList
	Corked         bool
	HasVolume      bool
	VolumeWritable bool
	Format         FormatInfo
}

func (m *SinkInputInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.U32(&m.Module)
	c.U32(&m.Client)
	c.U32(&m.Sink)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.CVolume(&m.Volume)
	c.Usec(&m.BufferLatency)
	c.Usec(&m.SinkLatency)
	c.NullString(&m.ResampleMethod)
	c.String(&m.Driver)
	c.Bool(&m.Muted)
	c.Props(&m.Props)
	if c.Version >= 19 {
		c.Bool(&m.Corked)
	}
	if c.Version >= 20 {
		c.Bools(&m.HasVolume, &m.VolumeWritable)
	}
	if c.Version >= 21 {
		c.Format(&m.Format)
	}
}

// SourceOutputInfo answers GET_SOURCE_OUTPUT_INFO. Latencies are microseconds.
type SourceOutputInfo struct {
	Index          uint32
	Name           string
	Module, Client uint32 // Invalid: none
	Source         uint32
	Spec           pcm.Spec
	Map            pcm.ChannelMap
	BufferLatency  uint64 // of the queue
	SourceLatency  uint64
	ResampleMethod string
	Driver         string
	Props          PropList
	Corked         bool
	Volume         CVolume
	Muted          bool
	HasVolume      bool
	VolumeWritable bool
	Format         FormatInfo
}

func (m *SourceOutputInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.U32(&m.Module)
	c.U32(&m.Client)
	c.U32(&m.Source)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.Usec(&m.BufferLatency)
	c.Usec(&m.SourceLatency)
	c.NullString(&m.ResampleMethod)
	c.String(&m.Driver)
	c.Props(&m.Props)
	if c.Version >= 19 {
		c.Bool(&m.Corked)
	}
	if c.Version >= 22 {
		c.CVolume(&m.Volume)
		c.Bools(&m.Muted, &m.HasVolume, &m.VolumeWritable)
		c.Format(&m.Format)
	}
}

// ClientInfo answers GET_CLIENT_INFO.
type ClientInfo struct {
	Index  uint32
	Name   string
	Module uint32 // Invalid: none
	Driver string
	Props  PropList
}

func (m *ClientInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.U32(&m.Module)
	c.String(&m.Driver)
	c.Props(&m.Props)
}

// SampleInfo answers GET_SAMPLE_INFO.
type SampleInfo struct {
	Index    uint32
	Name     string
	Volume   CVolume // none: not set
	Duration uint64  // microseconds
	Spec     pcm.Spec
	Map      pcm.ChannelMap
	Length   uint32 // bytes
	Lazy     bool   // read from FileName when played
	FileName string
	Props    PropList
}

func (m *SampleInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.CVolume(&m.Volume)
	c.Usec(&m.Duration)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.Length)
	c.Bool(&m.Lazy)
	c.NullString(&m.FileName)
	c.Props(&m.Props)
}

// The answers to GET_SINK_INPUT_INFO_LIST, GET_SOURCE_OUTPUT_INFO_LIST and so on.
type (
	SinkInputInfoList    = List[SinkInputInfo, *SinkInputInfo]
	SourceOutputInfoList = List[SourceOutputInfo, *SourceOutputInfo]
	ClientInfoList       = List[ClientInfo, *ClientInfo]
	SampleInfoList       = List[SampleInfo, *SampleInfo]
)
