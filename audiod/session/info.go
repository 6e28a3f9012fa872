package session

import (
	"strconv"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Everybody sees the same server and one sink. To a helper they say nothing of the owner, the machine, or what others do.

func (c *Session) serverInfo(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	spec, cmap := c.server.sink.Spec()
	return c.reply(r.tag, &native.ServerInfo{Name: "sandbox-audio", Version: "16.0", User: "sandbox", Host: "localhost", Spec: spec, Map: cmap,
		DefaultSink: sinkName, Cookie: 0x5a0d10})
}

func (c *Session) stat(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	return c.reply(r.tag, &native.StatReply{})
}

// meansSink reports, by nil, that index and name mean the sink: both are empty where the client leaves the choice.
func (c *Session) meansSink(index uint32, name string) error {
	switch {
	case index != native.Invalid && name != "":
		return native.ErrInvalid
	case index != native.Invalid && index != sinkIndex:
		return native.ErrNoEntity
	case name == "" || name == sinkName || name == "@DEFAULT_SINK@" || name == strconv.Itoa(sinkIndex):
		return nil
	}
	return native.ErrNoEntity
}

func (c *Session) lookupSink(r *request) error {
	var m native.ByName
	if err := c.decode(r, &m); err != nil {
		return err
	}
	if err := c.meansSink(native.Invalid, m.Name); err != nil {
		return err
	}
	return c.reply(r.tag, &native.IndexReply{Index: sinkIndex})
}

func (c *Session) sinkInfo(r *request) error {
	var m native.ByIndexOrName
	if err := c.decode(r, &m); err != nil {
		return err
	}
	if err := c.meansSink(m.Index, m.Name); err != nil {
		return err
	}
	info := c.sink()
	return c.reply(r.tag, &info)
}

func (c *Session) sinkInfoList(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	return c.reply(r.tag, &native.SinkInfoList{c.sink()})
}

// sink is the sink as this client may know it: whether it runs depends, to a helper, on the helper's own streams.
func (c *Session) sink() native.SinkInfo {
	spec, cmap := c.server.sink.Spec()
	state := c.server.sink.State()
	info := native.SinkInfo{Index: sinkIndex, Name: sinkName, Description: "Sandbox audio", Spec: spec, Map: cmap, Module: native.Invalid,
		Volume: native.NormVolume(int(spec.Channels)), Monitor: native.Invalid, Driver: "sandbox-audio", Flags: native.HasLatency | native.DecibelVolume | native.SinkDynamicLatency,
		BaseVolume: pcm.VolumeNorm, State: native.Idle, VolumeSteps: 0x10001, Card: native.Invalid, Formats: []native.FormatInfo{{Encoding: native.EncodingPCM}}}
	if c.grant == policy.Owner {
		info.Description = "Sandbox audio on " + native.Clean(state.Description)
		info.Props = native.Text("device.description", info.Description, "device.string", state.Device)
	} else {
		info.Props = native.Text("device.description", info.Description)
	}
	for _, p := range c.server.streams {
		if t := p.input.Timing(); c.sees(p.session) && t.Playing {
			info.State, info.Latency = native.Running, usec(state.Latency)
		}
	}
	return info
}

func (c *Session) clientInfo(r *request) error {
	var m native.ByIndex
	if err := c.decode(r, &m); err != nil {
		return err
	}
	other := c.server.client(m.Index)
	if other == nil || !other.named || !c.sees(other) {
		return native.ErrNoEntity
	}
	info := other.info()
	return c.reply(r.tag, &info)
}

func (c *Session) clientInfoList(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	var list native.ClientInfoList
	for _, other := range c.server.sessions {
		if other.named && c.sees(other) {
			list = append(list, other.info())
		}
	}
	return c.reply(r.tag, &list)
}

func (c *Session) info() native.ClientInfo {
	name, _ := c.props.Get("application.name")
	return native.ClientInfo{Index: c.index, Name: name, Module: native.Invalid, Driver: "sandbox-audio", Props: c.props}
}

func (c *Session) sinkInputInfo(r *request) error {
	var m native.ByIndex
	if err := c.decode(r, &m); err != nil {
		return err
	}
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	info := p.info()
	return c.reply(r.tag, &info)
}

func (c *Session) sinkInputInfoList(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	var list native.SinkInputInfoList
	for _, p := range c.server.streams {
		if c.sees(p.session) {
			list = append(list, p.info())
		}
	}
	return c.reply(r.tag, &list)
}

func (p *playback) info() native.SinkInputInfo {
	state := p.input.State()
	volume, muted := p.input.Volume()
	name, _ := p.props.Get("media.name")
	info := native.SinkInputInfo{Index: p.index, Name: name, Module: native.Invalid, Client: p.session.index, Sink: sinkIndex, Spec: p.input.Spec(), Map: p.input.Map(),
		Volume: volume, BufferLatency: usec(state.Queued), SinkLatency: usec(state.Timing.Latency), Driver: "sandbox-audio", Muted: muted, Props: p.props,
		Corked: p.input.Corked(), HasVolume: true, VolumeWritable: true, Format: p.format}
	if spec, _ := p.session.server.sink.Spec(); spec.Rate != info.Spec.Rate {
		info.ResampleMethod = "windowed-sinc"
	}
	return info
}

// emptyList answers for the kinds of object that there are none of.
func (c *Session) emptyList(r *request) error {
	if err := c.decode(r, nil); err != nil {
		return err
	}
	return c.reply(r.tag, nil)
}

func (c *Session) subscribe(r *request) error {
	var m native.Subscribe
	if err := c.decode(r, &m); err != nil {
		return err
	}
	if m.Mask&^native.MaskAll != 0 {
		return native.ErrInvalid
	}
	c.subscribed = m.Mask
	return c.reply(r.tag, nil)
}
