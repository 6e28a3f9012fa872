package native

// Events go from server to client with the tag Invalid and get no answer.

// Request asks for sound: Length bytes more than what was asked for before.
type Request struct{ Channel, Length uint32 }

func (m *Request) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.Length)
}

// StreamEvent is OVERFLOW, STARTED, PLAYBACK_STREAM_KILLED and RECORD_STREAM_KILLED: the channel says it all.
type StreamEvent struct{ Channel uint32 }

func (m *StreamEvent) Fields(c *Coder) { c.U32(&m.Channel) }

// Underflow tells that the queue ran dry.
type Underflow struct {
	Channel uint32
	Offset  int64 // the read index, from version 23 on
}

func (m *Underflow) Fields(c *Coder) {
	c.U32(&m.Channel)
	if c.Version >= 23 {
		c.S64(&m.Offset)
	}
}

// Suspended is PLAYBACK_STREAM_SUSPENDED and RECORD_STREAM_SUSPENDED.
type Suspended struct {
	Channel   uint32
	Suspended bool
}

func (m *Suspended) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.Bool(&m.Suspended)
}

// PlaybackMoved is PLAYBACK_STREAM_MOVED: the sink input plays on another sink now.
type PlaybackMoved struct {
	Channel   uint32
	SinkIndex uint32
	SinkName  string
	Suspended bool
	Attr      BufferAttr
	Latency   uint64 // of the sink as configured, microseconds
}

func (m *PlaybackMoved) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.SinkIndex)
	c.String(&m.SinkName)
	c.Bool(&m.Suspended)
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}

// RecordMoved is RECORD_STREAM_MOVED.
type RecordMoved struct {
	Channel     uint32
	SourceIndex uint32
	SourceName  string
	Suspended   bool
	Attr        RecordAttr
	Latency     uint64 // of the source as configured, microseconds
}

func (m *RecordMoved) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.SourceIndex)
	c.String(&m.SourceName)
	c.Bool(&m.Suspended)
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}

// PlaybackBufferAttrChanged tells, from version 15 on, that the server had to change a stream's metrics.
type PlaybackBufferAttrChanged struct {
	Channel uint32
	Attr    BufferAttr
	Latency uint64 // of the sink as configured, microseconds
}

func (m *PlaybackBufferAttrChanged) Fields(c *Coder) {
	c.U32(&m.Channel)
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}

// RecordBufferAttrChanged is the same for a record stream.
type RecordBufferAttrChanged struct {
	Channel uint32
	Attr    RecordAttr
	Latency uint64 // of the source as configured, microseconds
}

func (m *RecordBufferAttrChanged) Fields(c *Coder) {
	c.U32(&m.Channel)
	m.Attr.fields(c)
	c.Usec(&m.Latency)
}

// SubscribeEvent tells that an object the client subscribed to came, changed or went.
type SubscribeEvent struct {
	Event Event
	Index uint32
}

func (m *SubscribeEvent) Fields(c *Coder) {
	c.U32((*uint32)(&m.Event))
	c.U32(&m.Index)
}
