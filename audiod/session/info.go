package session

import (
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// What objects are like, as each client may know them: to a helper they say nothing of the owner, the machine, or what others do.

// noSource stands where a client expects the name of the default source. SDL 2 and Chromium take a string that is there for granted.
const noSource = "@NONE@"

func (c *Session) serverInfo(r *request) error {
	_, usual := c.sinks()
	source := noSource
	if _, o := c.allSources(); o != nil {
		source = o.name
	}
	spec, cmap := c.server.real(usual).mixer.Spec()
	info := native.ServerInfo{Name: "sandbox-audio", Version: "16.0", User: "sandbox", Host: "localhost", Spec: spec, Map: cmap,
		DefaultSink: usual.name, DefaultSource: source, Cookie: 0x5a0d10}
	if c.grant == policy.Owner {
		info.User, info.Host = c.server.runs, c.server.host
	}
	return c.reply(r.tag, &info)
}

func (c *Session) stat(r *request) error {
	var st native.StatReply
	for _, u := range c.server.users {
		if c.grant == policy.Owner || u == c.user {
			st.Blocks += uint32(u.streams)
			st.BlocksSize += uint32(u.buffers.Taken())
			st.SampleCacheSize += uint32(u.cache.Taken())
		}
	}
	st.Allocated, st.AllocatedSize = st.Blocks, st.BlocksSize
	return c.reply(r.tag, &st)
}

func (c *Session) lookupSink(r *request, m *native.ByName) error {
	k, err := c.findSink(native.Invalid, m.Name)
	if err != nil {
		return err
	}
	return c.reply(r.tag, &native.IndexReply{Index: k.index})
}

func (c *Session) sinkInfo(r *request, m *native.ByIndexOrName) error {
	k, err := c.findSink(m.Index, m.Name)
	if err != nil {
		return err
	}
	info := c.describeSink(k)
	return c.reply(r.tag, &info)
}

func (c *Session) sinkInfoList(r *request) error {
	var list native.SinkInfoList
	shown, _ := c.sinks()
	for _, k := range shown {
		list = append(list, c.describeSink(k))
	}
	return c.reply(r.tag, &list)
}

// describeSink is k as this client may know it: whether it runs depends, to a helper, on the helper's own streams.
func (c *Session) describeSink(k *sink) native.SinkInfo {
	m := c.server.real(k).mixer
	spec, cmap := m.Spec()
	state := m.State()
	info := native.SinkInfo{Index: k.index, Name: k.name, Description: virtualDescription, Spec: spec, Map: cmap, Module: native.Invalid,
		Monitor: native.Invalid, Driver: "sandbox-audio", Flags: native.HasLatency | native.DecibelVolume | native.SinkDynamicLatency,
		BaseVolume: pcm.VolumeNorm, State: native.Idle, VolumeSteps: 0x10000 + 1, Card: native.Invalid, Formats: []native.FormatInfo{{Encoding: native.EncodingPCM}}}
	for _, p := range c.server.streams {
		if c.sees(p.session) && c.shown(p.sink) == k && p.input.Timing().Playing {
			info.State, info.Latency = native.Running, max(info.Latency, c.sinkLatency(p, state.Latency))
		}
	}
	if k == c.user.view {
		info.Volume, info.Muted = c.user.channels(len(cmap)), c.user.muted
		info.Props = native.Text("device.description", info.Description)
		return info
	}
	info.Description = native.Clean(state.Description)
	info.Monitor, info.MonitorName = k.monitor.index, k.monitor.name
	info.Volume, info.Muted = m.Volume()
	info.Props = native.Text("device.description", info.Description, "device.string", m.Name(), "device.class", "sound")
	if state.Suspended {
		info.State = native.DeviceSuspended
	}
	if k.card != nil {
		info.Card = k.card.index
		info.Flags |= native.Hardware
		info.Props = append(info.Props, native.Text("device.api", "alsa")...)
	}
	info.Ports, info.ActivePort = ports(m)
	if m.Hardware() {
		info.Flags |= native.HardwareVolume | native.HardwareMute
	}
	return info
}

func (c *Session) clientInfo(r *request, m *native.ByIndex) error {
	other := c.server.client(m.Index)
	if other == nil || !other.named || !c.sees(other) {
		return native.ErrNoEntity
	}
	info := c.describeClient(other)
	return c.reply(r.tag, &info)
}

func (c *Session) clientInfoList(r *request) error {
	var list native.ClientInfoList
	for _, other := range c.server.sessions {
		if other.named && c.sees(other) {
			list = append(list, c.describeClient(other))
		}
	}
	return c.reply(r.tag, &list)
}

// describeClient is another client as this one may know it.
func (c *Session) describeClient(other *Session) native.ClientInfo {
	name, _ := other.props.Get("application.name")
	return native.ClientInfo{Index: other.index, Name: c.attestedName(other, name), Module: native.Invalid, Driver: "sandbox-audio", Props: c.attested(other, other.props)}
}

func (c *Session) sinkInputInfo(r *request, m *native.ByIndex) error {
	p := c.visible(m.Index)
	if p == nil {
		return native.ErrNoEntity
	}
	info := c.describeInput(p)
	return c.reply(r.tag, &info)
}

func (c *Session) sinkInputInfoList(r *request) error {
	var list native.SinkInputInfoList
	for _, p := range c.server.streams {
		if c.sees(p.session) {
			list = append(list, c.describeInput(p))
		}
	}
	return c.reply(r.tag, &list)
}

// sinkLatency is the latency that lists tell of a stream's sink: to the owner what it is now, to a helper what the stream was granted, since others
// make it less.
func (c *Session) sinkLatency(p *playback, now time.Duration) uint64 {
	if c.grant != policy.Owner {
		_, now = p.input.Attr()
	}
	return p.sink.told(now)
}

// describeInput is p as this client may know it.
func (c *Session) describeInput(p *playback) native.SinkInputInfo {
	state := p.input.State()
	volume, muted := p.input.Volume()
	name, _ := p.props.Get("media.name")
	info := native.SinkInputInfo{Index: p.index, Name: c.attestedName(p.session, name), Module: native.Invalid, Client: p.session.index, Sink: c.shown(p.sink).index, Spec: p.input.Spec(), Map: p.input.Map(),
		Volume: volume, BufferLatency: usec(state.Queued), SinkLatency: c.sinkLatency(p, state.Timing.Latency), Driver: "sandbox-audio", Muted: muted, Props: c.attested(p.session, p.props),
		Corked: p.input.Corked(), HasVolume: true, VolumeWritable: true, Format: p.format}
	if spec, _ := p.sink.mixer.Spec(); spec.Rate != info.Spec.Rate {
		info.ResampleMethod = "windowed-sinc"
	}
	return info
}

// emptyList answers for the kinds of object that there are none of.
func (c *Session) emptyList(r *request) error {
	return c.reply(r.tag, nil)
}

func (c *Session) subscribe(r *request, m *native.Subscribe) error {
	if m.Mask&^native.MaskAll != 0 {
		return native.ErrInvalid
	}
	c.subscribed = m.Mask
	return c.reply(r.tag, nil)
}
