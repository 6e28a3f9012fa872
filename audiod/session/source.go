package session

import (
	"slices"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Sources are to recording what sinks are to playback:
//
//	AddSource ─► server.sources ─┬─► the owner sees them as they are, and a monitor of each sink
//	                             └─► a helper sees one microphone, always the same, which hears what the owner lets it (see microphone.go)

// source is a source as clients know it.
type source struct {
	named
	mixer *mixer.Source // nil in a helper's microphone
	of    *sink         // that it is the monitor of, or nil
	card  *card         // nil where it is on none
}

// The one source of every helper.
const (
	microphoneName = "sandbox-audio-mic"
	microphoneKey  = "source:" + microphoneName // of its volume in the memory
)

// AddSource lets clients record from m, as loud as it was when it was last there. Streams that had to leave it return.
func (s *Server) AddSource(m *mixer.Source) {
	s.showSource(m, s.join(m.Name(), m))
}

// showSource makes m one of the sources that there are, and hideSource none of them.
func (s *Server) showSource(m *mixer.Source, d *card) {
	o := &source{named: named{name: unused(s.sources, deviceName("alsa_input", m.Name()))}, mixer: m, card: d}
	s.addSource(o)
}

func (s *Server) hideSource(m *mixer.Source) {
	if i := slices.IndexFunc(s.sources, func(o *source) bool { return o.mixer == m }); i >= 0 {
		s.removeSource(s.sources[i])
	}
}

// addMonitor lets the owner record what k plays.
func (s *Server) addMonitor(k *sink) {
	k.monitor = &source{named: named{name: unused(s.sources, k.name+".monitor")}, mixer: mixer.NewMonitor(k.mixer, nil), of: k}
	s.addSource(k.monitor)
}

func (s *Server) addSource(o *source) {
	o.index = s.nextSource
	s.nextSource++
	s.sources = append(s.sources, o)
	if level, ok := s.memory.Devices().Get(o.name); ok {
		_, cmap := o.mixer.Spec()
		o.mixer.SetVolume(level.On(cmap))
		o.mixer.SetMuted(level.Muted)
	}
	o.mixer.OnChange(func() { s.sourceTurned(o) })
	s.announceToOwner(native.EventSource|native.EventNew, o.index)
	s.sourcesChanged()
	for _, r := range s.records {
		if r.home == o.name {
			r.home = ""
			r.move(o)
		}
	}
}

// RemoveSource takes m from the clients: those who record from it go on with the default, and helpers with another microphone, or silence.
func (s *Server) RemoveSource(m *mixer.Source) {
	s.hideSource(m)
	s.leave(m)
}

func (s *Server) removeSource(o *source) {
	s.sources = slices.DeleteFunc(s.sources, func(other *source) bool { return other == o })
	s.announceToOwner(native.EventSource|native.EventRemove, o.index)
	s.sourcesChanged()
	for _, r := range slices.Clone(s.records) {
		switch usual := s.defaultSource(); {
		case r.source != o:
		case r.staying || usual == nil:
			r.kill()
		default:
			if r.home == "" && o.card != nil {
				r.home = o.name
			}
			r.move(usual)
		}
	}
	o.mixer.OnChange(func() {})
	o.mixer.Close()
}

// defaultSource is the source that the owner chose, if it is there, else the first microphone, else what is heard, as PulseAudio has it.
func (s *Server) defaultSource() *source {
	_, chosen := s.memory.Defaults()
	for _, o := range s.sources {
		if o.name == chosen {
			return o
		}
	}
	if o := s.best(); o != nil {
		return o
	}
	if s.defaultSink != nil {
		return s.defaultSink.monitor
	}
	return nil
}

// sourcesChanged follows a change of what there is to record from: whoever records from the default goes along, so do helpers.
func (s *Server) sourcesChanged() {
	usual := s.defaultSource()
	if usual != s.usualSource {
		s.usualSource = usual
		s.announceToOwner(native.EventServer|native.EventChange, native.Invalid)
		for _, r := range slices.Clone(s.records) {
			if r.follows && usual != nil {
				r.move(usual)
			}
		}
	}
	s.reroute(nil)
}

// allSources is the sources that the client may know of, and which of them is its default, if there is one.
func (c *Session) allSources() ([]*source, *source) {
	switch {
	case c.grant == policy.Owner:
		return c.server.sources, c.server.defaultSource()
	case c.user.mic.view == nil:
		return nil, nil
	}
	return []*source{c.user.mic.view}, c.user.mic.view
}

func (c *Session) findSource(index uint32, name string) (*source, error) {
	list, usual := c.allSources()
	if name == "@DEFAULT_MONITOR@" && c.grant == policy.Owner {
		usual, name = c.server.defaultSink.monitor, ""
	}
	o, err := find(list, usual, "@DEFAULT_SOURCE@", index, name)
	if o == nil && err == nil {
		err = native.ErrNoEntity
	}
	return o, err
}

// shownSource is where r records from, as the client may know it.
func (c *Session) shownSource(r *record) *source {
	if c.grant == policy.Owner {
		if o := c.server.sourceOf(r.output.Source()); o != nil {
			return o
		}
	}
	return r.source
}

// sourceOf is the source that m is, or nil.
func (s *Server) sourceOf(m *mixer.Source) *source {
	for _, o := range s.sources {
		if o.mixer == m {
			return o
		}
	}
	return nil
}

func (c *Session) lookupSource(r *request, m *native.ByName) error {
	o, err := c.findSource(native.Invalid, m.Name)
	if err != nil {
		return err
	}
	return c.reply(r.tag, &native.IndexReply{Index: o.index})
}

func (c *Session) sourceInfo(r *request, m *native.ByIndexOrName) error {
	o, err := c.findSource(m.Index, m.Name)
	if err != nil {
		return err
	}
	info := c.describeSource(o)
	return c.reply(r.tag, &info)
}

func (c *Session) sourceInfoList(r *request) error {
	var list native.SourceInfoList
	shown, _ := c.allSources()
	for _, o := range shown {
		list = append(list, c.describeSource(o))
	}
	return c.reply(r.tag, &list)
}

// describeSource is o as this client may know it: whether it runs depends, to a helper, on the helper's own streams.
func (c *Session) describeSource(o *source) native.SourceInfo {
	info := native.SourceInfo{Index: o.index, Name: o.name, Module: native.Invalid, Monitor: native.Invalid, Driver: "sandbox-audio",
		Flags: native.HasLatency | native.DecibelVolume | native.SourceDynamicLatency, BaseVolume: pcm.VolumeNorm, State: native.Idle, VolumeSteps: 0x10000 + 1,
		Card: native.Invalid, Formats: []native.FormatInfo{{Encoding: native.EncodingPCM}}}
	for _, r := range c.server.records {
		if c.sees(r.session) && c.shownSource(r) == o && r.output.Timing().Recording {
			info.State, info.Latency = native.Running, max(info.Latency, usec(c.sourceLatency(r)))
		}
	}
	if o.mixer == nil {
		u, state := c.user, "closed"
		if open, _ := c.server.open(u); open {
			state = "open"
		}
		info.Spec, info.Map = c.server.quiet.Spec()
		info.Description = "Microphone (" + state + ")"
		info.Volume, info.Muted = slices.Repeat(native.CVolume{u.mic.volume}, len(info.Map)), u.mic.muted
		info.Props = native.Text("device.description", info.Description)
		return info
	}
	state := o.mixer.State()
	info.Spec, info.Map = o.mixer.Spec()
	info.Description = native.Clean(state.Description)
	info.Volume, info.Muted = o.mixer.Volume()
	class := "sound"
	if o.of != nil {
		class, info.Monitor, info.MonitorName = "monitor", o.of.index, o.of.name
	}
	info.Props = native.Text("device.description", info.Description, "device.string", o.mixer.Name(), "device.class", class)
	if state.Suspended {
		info.State = native.DeviceSuspended
	}
	if o.card != nil {
		info.Card = o.card.index
	}
	info.Ports, info.ActivePort = ports(o.mixer)
	if o.mixer.Hardware() {
		info.Flags |= native.Hardware | native.HardwareVolume | native.HardwareMute
	}
	return info
}

// setSourceVolume and setSourceMute of a helper reach its own microphone's volume alone, so that a browser's automatic gain does no harm.
func (c *Session) setSourceVolume(r *request, m *native.SetDeviceVolume) error {
	o, err := c.findSource(m.Index, m.Name)
	if err != nil {
		return err
	}
	info := c.describeSource(o)
	if err := m.Volume.Check(len(info.Map)); err != nil {
		return err
	}
	if o.mixer == nil {
		c.server.turnMicrophone(c.user, slices.Max(m.Volume), c.user.mic.muted)
	} else if err := o.mixer.SetVolume(m.Volume); err != nil {
		return err
	} else {
		c.server.sourceTurned(o)
	}
	return c.reply(r.tag, nil)
}

func (c *Session) setSourceMute(r *request, m *native.SetDeviceMute) error {
	o, err := c.findSource(m.Index, m.Name)
	if err != nil {
		return err
	}
	if o.mixer == nil {
		c.server.turnMicrophone(c.user, c.user.mic.volume, m.Muted)
	} else {
		o.mixer.SetMuted(m.Muted)
		c.server.sourceTurned(o)
	}
	return c.reply(r.tag, nil)
}

// sourceTurned remembers the volume of a source, and tells of it.
func (s *Server) sourceTurned(o *source) {
	volume, muted := o.mixer.Volume()
	_, cmap := o.mixer.Spec()
	s.memory.Devices().Set(o.name, memory.Level{Volume: slices.Clone(volume), Map: cmap, Muted: muted})
	s.announceToOwner(native.EventSource|native.EventChange, o.index)
	if o.card != nil { // its ports, perhaps
		s.announceToOwner(native.EventCard|native.EventChange, o.card.index)
	}
}

func (c *Session) setDefaultSource(r *request, m *native.ByName) error {
	o, err := c.findSource(native.Invalid, m.Name)
	if err != nil {
		return err
	}
	c.reply(r.tag, nil)
	c.server.memory.SetDefaultSource(o.name)
	c.server.sourcesChanged()
	return nil
}

func (c *Session) suspendSource(r *request, m *native.SuspendDevice) error {
	list := c.server.sources
	if m.Index != native.Invalid || m.Name != "" {
		o, err := c.findSource(m.Index, m.Name)
		if err != nil {
			return err
		}
		list = []*source{o}
	}
	c.reply(r.tag, nil)
	for _, o := range list {
		c.server.suspendSource(o, m.Suspend)
	}
	return nil
}

// suspendSource lets o's device go, or takes it again, and tells the owner's programs that record from it; helpers hear silence.
func (s *Server) suspendSource(o *source, suspended bool) {
	if o.mixer.State().Suspended == suspended {
		return
	}
	o.mixer.Suspend(suspended)
	s.announceToOwner(native.EventSource|native.EventChange, o.index)
	for _, r := range slices.Clone(s.records) {
		switch {
		case r.source != o:
		case suspended && r.fragile:
			r.kill()
		default:
			r.session.send(native.OpRecordStreamSuspended, &native.Suspended{Channel: r.channel, Suspended: suspended})
		}
	}
	s.reroute(nil)
}
