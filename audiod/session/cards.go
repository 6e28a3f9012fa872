package session

import (
	"slices"
	"strings"
	"time"

	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Cards are the owner's alone. One is there as long as a device of it is, and has two profiles: on, and off, which takes its devices from the
// clients and lets the hardware go.

// card is a sound card.
type card struct {
	named
	alsa    string // its id, as in /proc/asound/cards
	off     bool
	devices []onCard
	offsets map[string]time.Duration // added to the latency that is told of a port
}

// onCard is a sink or source of a card.
type onCard interface {
	State() mixer.State
	Suspend(bool)
	Ports() (all []mixer.Port, active string)
	CardInfo() (mixer.CardInfo, bool)
}

const (
	profileOn  = "on"
	profileOff = "off"
)

// join puts m on the card that its --device form names, which is made when it is new; nil for what is on no card.
func (s *Server) join(form string, m onCard) *card {
	address, ok := strings.CutPrefix(form, "alsa:")
	if !ok {
		return nil
	}
	id, _, _ := strings.Cut(address, ",")
	for _, d := range s.cards {
		if d.alsa == id {
			d.devices = append(d.devices, m)
			s.announceToOwner(native.EventCard|native.EventChange, d.index)
			return d
		}
	}
	d := &card{named: named{s.nextCard, unused(s.cards, deviceName("alsa_card", "alsa:"+id))}, alsa: id, devices: []onCard{m}, offsets: map[string]time.Duration{}}
	s.nextCard++
	s.cards = append(s.cards, d)
	s.announceToOwner(native.EventCard|native.EventNew, d.index)
	return d
}

// leave takes m off its card, and the card away with the last of its devices.
func (s *Server) leave(m onCard) {
	for _, d := range s.cards {
		if i := slices.Index(d.devices, m); i >= 0 {
			d.devices = slices.Delete(d.devices, i, i+1)
			if len(d.devices) == 0 {
				s.cards = slices.DeleteFunc(s.cards, func(other *card) bool { return other == d })
				s.announceToOwner(native.EventCard|native.EventRemove, d.index)
			} else {
				s.announceToOwner(native.EventCard|native.EventChange, d.index)
			}
			return
		}
	}
}

// cards is the cards that the client may know of.
func (c *Session) cards() []*card {
	if c.grant == policy.Owner {
		return c.server.cards
	}
	return nil
}

func (c *Session) findCard(index uint32, name string) (*card, error) {
	d, err := find(c.cards(), nil, "", index, name)
	if d == nil && err == nil {
		err = native.ErrInvalid
	}
	return d, err
}

func (c *Session) cardInfo(r *request, m *native.ByIndexOrName) error {
	d, err := c.findCard(m.Index, m.Name)
	if err != nil {
		return err
	}
	info := d.describe()
	return c.reply(r.tag, &info)
}

func (c *Session) cardInfoList(r *request) error {
	var list native.CardInfoList
	for _, d := range c.cards() {
		list = append(list, d.describe())
	}
	return c.reply(r.tag, &list)
}

func (d *card) describe() native.CardInfo {
	description, _, _ := strings.Cut(d.devices[0].State().Description, ", ")
	description = native.Clean(description)
	on := native.CardProfile{Name: profileOn, Description: "On", Priority: 1, Available: 1}
	info := native.CardInfo{Index: d.index, Name: d.name, Module: native.Invalid, Driver: "sandbox-audio", ActiveProfile: profileOn,
		Props: native.Text("device.description", description, "device.string", "alsa:"+d.alsa, "device.api", "alsa", "device.class", "sound")}
	if says, ok := d.devices[0].CardInfo(); ok {
		info.Props = append(info.Props, native.Text("alsa.driver_name", native.Clean(says.Driver), "alsa.card_name", native.Clean(says.Name),
			"alsa.long_card_name", native.Clean(says.LongName), "alsa.mixer_name", native.Clean(says.Mixer), "alsa.components", native.Clean(says.Components))...)
	}
	if d.off {
		info.ActiveProfile = profileOff
	}
	for _, m := range d.devices {
		direction := uint8(1)
		if _, captures := m.(*mixer.Source); captures {
			direction = 2
			on.Sources++
		} else {
			on.Sinks++
		}
		ports, _ := m.Ports()
		for _, p := range ports {
			info.Ports = append(info.Ports, native.CardPort{Name: p.Name, Description: p.Description, Priority: p.Priority, Available: native.Available(p.Plug),
				Direction: direction, Profiles: []string{profileOn}, LatencyOffset: int64(d.offsets[p.Name] / time.Microsecond), Type: p.Type})
		}
	}
	info.Profiles = []native.CardProfile{on, {Name: profileOff, Description: "Off", Available: 1}}
	return info
}

func (c *Session) setCardProfile(r *request, m *native.SetPort) error {
	d, err := c.findCard(m.Index, m.Name)
	if err != nil {
		return err
	}
	if m.Port != profileOn && m.Port != profileOff {
		return native.ErrNoEntity
	}
	c.reply(r.tag, nil)
	c.server.turnCard(d, m.Port == profileOff)
	return nil
}

// turnCard gives a card's devices to the clients, or takes them away.
func (s *Server) turnCard(d *card, off bool) {
	if d.off == off {
		return
	}
	d.off = off
	for _, m := range d.devices {
		m.Suspend(off)
		switch m := m.(type) {
		case *mixer.Sink:
			if off {
				s.hide(m)
			} else {
				s.show(m, d)
			}
		case *mixer.Source:
			if off {
				s.hideSource(m)
			} else {
				s.showSource(m, d)
			}
		}
	}
	s.announceToOwner(native.EventCard|native.EventChange, d.index)
}

// ports are those of a sink or source, and the name of the one in use.
func ports(m interface {
	Ports() ([]mixer.Port, string)
}) (all []native.Port, active string) {
	has, active := m.Ports()
	for _, p := range has {
		all = append(all, native.Port{Name: p.Name, Description: p.Description, Priority: p.Priority, Available: native.Available(p.Plug), Type: p.Type})
	}
	return all, active
}

func (c *Session) setSinkPort(r *request, m *native.SetPort) error {
	k, err := c.findSink(m.Index, m.Name)
	if err != nil {
		return err
	}
	if ports, _ := k.mixer.Ports(); !slices.ContainsFunc(ports, func(p mixer.Port) bool { return p.Name == m.Port }) {
		return native.ErrNoEntity
	}
	if err := k.mixer.SetPort(m.Port); err != nil {
		c.server.log("port %s of %s: %v", native.Clean(m.Port), k.name, err)
		return native.ErrIO
	}
	c.server.turned(k)
	return c.reply(r.tag, nil)
}

func (c *Session) setSourcePort(r *request, m *native.SetPort) error {
	o, err := c.findSource(m.Index, m.Name)
	if err != nil {
		return err
	}
	if ports, _ := o.mixer.Ports(); !slices.ContainsFunc(ports, func(p mixer.Port) bool { return p.Name == m.Port }) {
		return native.ErrNoEntity
	}
	if err := o.mixer.SetPort(m.Port); err != nil {
		c.server.log("port %s of %s: %v", native.Clean(m.Port), o.name, err)
		return native.ErrIO
	}
	c.server.sourceTurned(o)
	return c.reply(r.tag, nil)
}

// mostOffset is PulseAudio's limit for a port's latency offset.
const mostOffset = 2 * time.Second

func (c *Session) setPortLatencyOffset(r *request, m *native.SetPortLatencyOffset) error {
	d, err := c.findCard(m.Card, m.CardName)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(d.describe().Ports, func(p native.CardPort) bool { return p.Name == m.Port }) {
		return native.ErrNoEntity
	}
	if limit := int64(mostOffset / time.Microsecond); m.Offset < -limit || m.Offset > limit {
		return native.ErrInvalid
	}
	d.offsets[m.Port] = time.Duration(m.Offset) * time.Microsecond
	c.server.announceToOwner(native.EventCard|native.EventChange, d.index)
	return c.reply(r.tag, nil)
}

// told is the latency that clients are told of sound on k: what it is, and what the owner has added to the port in use.
func (k *sink) told(latency time.Duration) uint64 {
	if k.card != nil && len(k.card.offsets) > 0 {
		_, port := k.mixer.Ports()
		latency = max(0, latency+k.card.offsets[port])
	}
	return usec(latency)
}
