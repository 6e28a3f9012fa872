package native

import "sandbox-audio/audiod/pcm"

// ServerInfo answers GET_SERVER_INFO, which programs ask before anything else.
type ServerInfo struct {
	Name, Version              string // of the server program
	User, Host                 string // whose the server is
	Spec                       pcm.Spec
	DefaultSink, DefaultSource string
	Cookie                     uint32 // a number by which to tell servers apart
	Map                        pcm.ChannelMap
}

func (m *ServerInfo) Fields(c *Coder) {
	c.String(&m.Name)
	c.String(&m.Version)
	c.String(&m.User)
	c.String(&m.Host)
	c.Spec(&m.Spec)
	c.NullString(&m.DefaultSink)
	c.NullString(&m.DefaultSource)
	c.U32(&m.Cookie)
	if c.Version >= 15 {
		c.Map(&m.Map)
	}
}

// StatReply answers STAT: memory blocks in use and ever allocated, and the bytes they and the sample cache take.
type StatReply struct {
	Blocks, BlocksSize       uint32
	Allocated, AllocatedSize uint32
	SampleCacheSize          uint32
}

func (m *StatReply) Fields(c *Coder) {
	c.U32(&m.Blocks)
	c.U32(&m.BlocksSize)
	c.U32(&m.Allocated)
	c.U32(&m.AllocatedSize)
	c.U32(&m.SampleCacheSize)
}

// Extension is a request to a module, by index or name, from version 14 on. What Data means is the module's business.
type Extension struct {
	Module uint32
	Name   string
	Data   []byte
}

func (m *Extension) Fields(c *Coder) {
	c.U32(&m.Module)
	c.NullString(&m.Name)
	c.Rest(&m.Data)
}

// SendObjectMessage is, from version 35 on, text for the object at Path, by custom JSON.
type SendObjectMessage struct{ Path, Message, Parameters string }

func (m *SendObjectMessage) Fields(c *Coder) {
	c.String(&m.Path)
	c.String(&m.Message)
	c.text(&m.Parameters, MaxText, true)
}

// SendObjectMessageReply is the object's answer.
type SendObjectMessageReply struct{ Response string }

func (m *SendObjectMessageReply) Fields(c *Coder) { c.text(&m.Response, MaxText, false) }
