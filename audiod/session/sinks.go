package session

import (
	"slices"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Commands on sinks: their volume and mute, which sink is the default, and letting a device go for a while. The owner's reach the device; of
// a helper's there is only the volume of its own virtual sink, which multiplies with that of its streams.

func (c *Session) setSinkVolume(r *request, m *native.SetDeviceVolume) error {
	k, err := c.findSink(m.Index, m.Name)
	if err != nil {
		return err
	}
	_, cmap := c.server.real(k).mixer.Spec()
	if err := m.Volume.Check(len(cmap)); err != nil {
		return err
	}
	if k == c.user.view {
		c.server.turn(c.user, m.Volume, c.user.muted)
	} else if err := k.mixer.SetVolume(m.Volume); err != nil {
		return err
	} else {
		c.server.turned(k)
	}
	return c.reply(r.tag, nil)
}

func (c *Session) setSinkMute(r *request, m *native.SetDeviceMute) error {
	k, err := c.findSink(m.Index, m.Name)
	if err != nil {
		return err
	}
	if k == c.user.view {
		c.server.turn(c.user, c.user.volume, m.Muted)
	} else {
		k.mixer.SetMuted(m.Muted)
		c.server.turned(k)
	}
	return c.reply(r.tag, nil)
}

// turned remembers the volume of a sink that has changed, and tells of it.
func (s *Server) turned(k *sink) {
	volume, muted := k.mixer.Volume()
	_, cmap := k.mixer.Spec()
	s.memory.Devices().Set(k.name, memory.Level{Volume: slices.Clone(volume), Map: cmap, Muted: muted})
	s.announceToOwner(native.EventSink|native.EventChange, k.index)
	if k.card != nil { // its ports, perhaps
		s.announceToOwner(native.EventCard|native.EventChange, k.card.index)
	}
}

// turn sets the volume of a helper's virtual sink.
func (s *Server) turn(u *user, volume []pcm.Volume, muted bool) {
	_, cmap := s.real(u.view).mixer.Spec()
	u.volume, u.muted = volume, muted
	under := u.channels(len(cmap))
	for i, v := range under {
		under[i] = min(v, pcm.VolumeNorm)
	}
	u.levels.Set(virtualKey, memory.Level{Volume: slices.Clone(under), Map: cmap, Muted: muted})
	for _, p := range s.streams {
		if p.session.user == u {
			p.input.SetGain(u.gain())
		}
	}
	s.announceTo(native.EventSink|native.EventChange, u.view.index, func(c *Session) bool { return c.user == u && c.grant != policy.Owner })
}

func (c *Session) setDefaultSink(r *request, m *native.ByName) error {
	k, err := c.findSink(native.Invalid, m.Name)
	if err != nil {
		return err
	}
	c.reply(r.tag, nil)
	c.server.setDefault(k)
	c.server.missed = ""
	c.server.memory.SetDefaultSink(k.name)
	return nil
}

// Prefer makes m the default sink, until the owner chooses another or m leaves.
func (s *Server) Prefer(m *mixer.Sink) {
	s.setDefault(s.sinks[slices.IndexFunc(s.sinks, func(k *sink) bool { return k.mixer == m })])
}

// setDefault makes k the default sink, and takes along the streams that play wherever that is.
func (s *Server) setDefault(k *sink) {
	old := s.defaultSink
	if k == old {
		return
	}
	s.defaultSink = k
	s.announceToOwner(native.EventServer|native.EventChange, native.Invalid)
	s.sourcesChanged()
	for _, p := range s.streams {
		if p.follows && p.sink == old && !p.staying {
			p.move(k)
		}
	}
	if was, is := old.spec(), k.spec(); was != is { // to a helper, all that changes
		helper := func(c *Session) bool { return c.grant != policy.Owner }
		s.announceTo(native.EventSink|native.EventChange, 0, helper)
		s.announceTo(native.EventServer|native.EventChange, native.Invalid, helper)
	}
}

func (c *Session) suspendSink(r *request, m *native.SuspendDevice) error {
	list := c.server.sinks
	if m.Index != native.Invalid || m.Name != "" {
		k, err := c.findSink(m.Index, m.Name)
		if err != nil {
			return err
		}
		list = []*sink{k}
	}
	c.reply(r.tag, nil)
	for _, k := range list {
		c.server.suspend(k, m.Suspend)
	}
	return nil
}

// suspend lets k's device go, or takes it again, and tells all who play there.
func (s *Server) suspend(k *sink, suspended bool) {
	if k.mixer.State().Suspended == suspended {
		return
	}
	k.mixer.Suspend(suspended)
	s.announceToOwner(native.EventSink|native.EventChange, k.index)
	for _, p := range slices.Clone(s.streams) {
		switch {
		case p.sink != k:
		case suspended && p.fragile:
			p.kill()
		default:
			p.session.send(native.OpPlaybackStreamSuspended, &native.Suspended{Channel: p.channel, Suspended: suspended})
		}
	}
}
