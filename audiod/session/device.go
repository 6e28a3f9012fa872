package session

import (
	"slices"
	"strconv"
	"strings"

	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Devices go by a number and a name:
//
//	AddSink ─► server.sinks ─┬─► the owner sees them as they are
//	                         └─► a helper sees one virtual sink, always the same, which plays where the owner's default is
//
// find reads the ways in which clients name a device.

// named is the number and the name of a device in its registry.
type named struct {
	index uint32
	name  string
}

func (n *named) id() *named { return n }

// sink is a sink as clients know it.
type sink struct {
	named
	mixer *mixer.Sink // nil in a helper's virtual sink
	own   *sink       // what plays the sound of a virtual sink; nil: the owner's default
	card  *card       // nil where it is on none

	monitor *source // of what it plays, for the owner
}

// The virtual sink of every helper.
const (
	virtualName        = "sandbox-audio"
	virtualDescription = "Sandbox audio"
	virtualKey         = "sink:" + virtualName // of its volume in the memory
)

// AddSink lets clients play on m, as loud as it was when it was last there. The first sink is the default, until the one comes that the owner
// chose, or that was the default when it left. Streams that had to leave it return.
func (s *Server) AddSink(m *mixer.Sink) {
	s.show(m, s.join(m.Name(), m))
}

// RemoveSink takes m from the clients for good. Its streams go to the default, which is the first sink that is left or, when there is none, silence; and
// who recorded what it plays records what that plays.
func (s *Server) RemoveSink(m *mixer.Sink) {
	s.hide(m)
	s.leave(m)
}

// show makes m one of the sinks that there are.
func (s *Server) show(m *mixer.Sink, d *card) {
	k := &sink{named: named{s.nextSink, unused(s.sinks, deviceName("alsa_output", m.Name()))}, mixer: m, card: d}
	s.nextSink++
	s.sinks = append(s.sinks, k)
	if level, ok := s.memory.Devices().Get(k.name); ok {
		_, cmap := m.Spec()
		m.SetVolume(level.On(cmap))
		m.SetMuted(level.Muted)
	}
	m.OnChange(func() { s.turned(k) })
	s.announceToOwner(native.EventSink|native.EventNew, k.index)
	s.addMonitor(k)
	if chosen, _ := s.memory.Defaults(); s.defaultSink == nil {
		s.defaultSink = k
		s.sourcesChanged()
	} else if k.name == chosen || k.name == s.missed {
		s.setDefault(k)
		s.missed = ""
	}
	for _, p := range s.streams {
		if p.home == k.name {
			p.home = ""
			p.move(k)
		}
	}
	if stand := s.silence; stand != nil && stand != m {
		s.silence = nil
		s.RemoveSink(stand)
	}
}

// hide makes m none of them.
func (s *Server) hide(m *mixer.Sink) {
	i := slices.IndexFunc(s.sinks, func(k *sink) bool { return k.mixer == m })
	if i < 0 {
		return
	}
	k := s.sinks[i]
	s.sinks = slices.Delete(s.sinks, i, i+1)
	if len(s.sinks) == 0 {
		s.silence = mixer.NewSilence(s.clock, s.log)
		s.AddSink(s.silence)
	}
	if s.defaultSink == k {
		if s.missed == "" && k.card != nil {
			s.missed = k.name
		}
		s.setDefault(s.sinks[0])
	}
	for _, p := range slices.Clone(s.streams) {
		switch {
		case p.sink != k:
		case p.staying:
			p.kill()
		default:
			if p.home == "" && k.card != nil {
				p.home = k.name
			}
			p.move(s.defaultSink)
		}
	}
	m.OnChange(func() {})
	s.announceToOwner(native.EventSink|native.EventRemove, k.index)
	for _, r := range s.records {
		if r.source == k.monitor && !r.staying {
			if r.home == "" && k.card != nil {
				r.home = k.monitor.name
			}
			r.move(s.defaultSink.monitor)
		}
	}
	s.removeSource(k.monitor)
}

// spec is what helpers may know of a sink's format.
func (k *sink) spec() string {
	spec, cmap := k.mixer.Spec()
	return spec.String() + cmap.String()
}

// deviceName makes a name that PulseAudio's tools accept of a --device form: "alsa:Intel,0" is PREFIX.Intel.0, "pulse:me" is
// pulse.me, and of all others the kind is enough.
func deviceName(prefix, form string) string {
	kind, rest, _ := strings.Cut(form, ":")
	name := kind
	switch kind {
	case "alsa":
		name = prefix + "." + rest
	case "pulse": // by whose it is, so that each is as loud again as it was
		name += "." + rest
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.' {
			return r
		}
		return '.'
	}, name)
}

// unused is name or, where another device of the list has it, name with a number.
func unused[D interface{ id() *named }](list []D, name string) string {
	taken := func(name string) bool {
		for _, d := range list {
			if d.id().name == name {
				return true
			}
		}
		return false
	}
	free := name
	for n := 2; taken(free); n++ {
		free = name + "." + strconv.Itoa(n)
	}
	return free
}

// find is the device that a client means by index or name: usual when it leaves the choice or names the default; a name may also be an
// index in decimal, as pavucontrol has it. Both an index and a name are an error.
func find[D interface{ id() *named }](list []D, usual D, wildcard string, index uint32, name string) (none D, err error) {
	switch {
	case index != native.Invalid && name != "":
		return none, native.ErrInvalid
	case index == native.Invalid && (name == "" || name == wildcard):
		return usual, nil
	case index == native.Invalid:
		for _, d := range list {
			if d.id().name == name {
				return d, nil
			}
		}
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return none, native.ErrNoEntity
		}
		index = uint32(n)
	}
	for _, d := range list {
		if d.id().index == index {
			return d, nil
		}
	}
	return none, native.ErrNoEntity
}

// sinks is the sinks that the client may know of, and which of them is its default.
func (c *Session) sinks() ([]*sink, *sink) {
	if c.grant == policy.Owner {
		return c.server.sinks, c.server.defaultSink
	}
	return []*sink{c.user.view}, c.user.view
}

func (c *Session) findSink(index uint32, name string) (*sink, error) {
	list, usual := c.sinks()
	return find(list, usual, "@DEFAULT_SINK@", index, name)
}

// real is what plays the sound of k, a sink that some client sees.
func (s *Server) real(k *sink) *sink {
	switch {
	case k.mixer != nil:
		return k
	case k.own != nil:
		return k.own
	}
	return s.defaultSink
}

// shown is k as the client may know it.
func (c *Session) shown(k *sink) *sink {
	if c.grant == policy.Owner {
		return k
	}
	return c.user.view
}
