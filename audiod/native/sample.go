package native

import "sandbox-audio/audiod/pcm"

// CreateUploadStream begins to fill the sample cache: the reply names a channel for Length bytes of sound, then comes FINISH_UPLOAD_STREAM.
type CreateUploadStream struct {
	Name   string
	Spec   pcm.Spec
	Map    pcm.ChannelMap
	Length uint32
	Props  PropList
}

func (m *CreateUploadStream) Fields(c *Coder) {
	c.NullString(&m.Name)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.Length)
	c.Props(&m.Props)
}

// CreateUploadStreamReply grants an upload.
type CreateUploadStreamReply struct{ Channel, Length uint32 }

func (m *CreateUploadStreamReply) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.Length)
}

// PlaySample plays Name from the sample cache; Volume is pcm.VolumeInvalid where the server chooses. The answer is an IndexReply with the
// sink input's index.
type PlaySample struct {
	SinkIndex uint32
	SinkName  string
	Volume    pcm.Volume
	Name      string
	Props     PropList
}

func (m *PlaySample) Fields(c *Coder) {
	c.U32(&m.SinkIndex)
	c.NullString(&m.SinkName)
	c.U32((*uint32)(&m.Volume))
	c.NullString(&m.Name)
	c.Props(&m.Props)
}
