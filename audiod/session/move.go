package session

import (
	"errors"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Commands of the owner on what belongs to others: moving streams to other devices, ending streams and clients.

func (c *Session) moveSinkInput(r *request, m *native.MoveStream) error {
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	k, err := c.findSink(m.DeviceIndex, m.DeviceName)
	if err != nil {
		return err
	}
	if p.staying {
		return native.ErrNotSupported
	}
	c.reply(r.tag, nil)
	for _, q := range p.session.streams {
		if q != nil && q.syncID == p.syncID {
			q.move(k)
			q.follows, q.home = k == c.server.defaultSink, ""
		}
	}
	return nil
}

// move takes the stream to k, and tells its client, of what that one may know.
func (p *playback) move(k *sink) {
	c, from := p.session, p.sink
	if from == k {
		return
	}
	c.server.unheard(p)
	before, latencyBefore := p.input.Attr()
	p.input.Move(k.mixer)
	p.sink = k
	p.input.SetGain(c.user.gain())
	attr, latency := p.input.Attr()
	suspended := k.mixer.State().Suspended
	if c.grant == policy.Owner {
		c.send(native.OpPlaybackStreamMoved, &native.PlaybackMoved{Channel: p.channel, SinkIndex: k.index, SinkName: k.name, Suspended: suspended,
			Attr: native.BufferAttr(attr), Latency: usec(latency)})
	} else {
		if c.version >= 15 && (attr != before || latency != latencyBefore) {
			c.send(native.OpPlaybackBufferAttrChanged, &native.PlaybackBufferAttrChanged{Channel: p.channel, Attr: native.BufferAttr(attr), Latency: usec(latency)})
		}
		if suspended != from.mixer.State().Suspended {
			c.send(native.OpPlaybackStreamSuspended, &native.Suspended{Channel: p.channel, Suspended: suspended})
		}
	}
	c.server.announceToOwner(native.EventSinkInput|native.EventChange, p.index)
}

func (c *Session) killSinkInput(r *request, m *native.ByIndex) error {
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	c.reply(r.tag, nil)
	p.kill()
	return nil
}

// kill ends the stream without its client's doing.
func (p *playback) kill() {
	p.close()
	p.session.send(native.OpPlaybackStreamKilled, &p.event)
}

// errKilled ends a session that the owner had enough of.
var errKilled = errors.New("ended by the owner")

func (c *Session) killClient(r *request, m *native.ByIndex) error {
	other := c.server.client(m.Index)
	if other == nil || !other.named {
		return native.ErrNoEntity
	}
	c.reply(r.tag, nil)
	other.fail(errKilled)
	return nil
}
