package device

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gen2brain/alsa"
)

// socket is a port of a card, with the controls that belong to it.
type socket struct {
	Port
	stage  string    // of the controls of its own: "Headphone" in "Headphone Playback Switch"
	jacks  []element // tell whether something is plugged in
	choose []element // the switch of its own, or the enumeration to choose it in
	item   int       // the latter's value for it; -1 where it is a switch
	pcm    int       // the device that plays to it; anyDevice: the one for analog sound
}

// Ports by what their controls are called, with PulseAudio's names, priorities and types (its alsa/mixer/paths; pa_device_port_type_t).
var (
	outputs = []socket{
		{Port: Port{"analog-output-speaker", "Speakers", 100, 0, 2}, stage: "Speaker"},
		{Port: Port{"analog-output-headphones", "Headphones", 99, 0, 3}, stage: "Headphone"},
		{Port: Port{"analog-output-headset", "Headset", 98, 0, 6}, stage: "Headset"},
		{Port: Port{"analog-output-lineout", "Line Out", 90, 0, 4}, stage: "Line Out"},
	}
	inputs = []socket{
		{Port: Port{"analog-input-internal-mic", "Internal Microphone", 89, 0, 5}, stage: "Internal Mic"},
		{Port: Port{"analog-input-headset-mic", "Headset Microphone", 88, 0, 6}, stage: "Headset Mic"},
		{Port: Port{"analog-input-mic", "Microphone", 87, 0, 5}, stage: "Mic"},
		{Port: Port{"analog-input-front-mic", "Front Microphone", 85, 0, 5}, stage: "Front Mic"},
		{Port: Port{"analog-input-rear-mic", "Rear Microphone", 82, 0, 5}, stage: "Rear Mic"},
		{Port: Port{"analog-input-dock-mic", "Dock Microphone", 80, 0, 5}, stage: "Dock Mic"},
		{Port: Port{"analog-input-linein", "Line In", 81, 0, 4}, stage: "Line"},
	}
)

const portHDMI = 10

// findSockets finds what a card has in one direction: whatever has a jack, a switch of its own, or can be chosen as the source to capture.
func findSockets(all []element, capture bool) (found []socket) {
	known := outputs
	if capture {
		known = inputs
	}
	for _, s := range known {
		s.pcm, s.item = anyDevice, -1
		there := false
		for _, e := range all {
			switch jack, isJack := jackOf(e); {
			case isJack && s.fits(jack, capture):
				s.jacks, there = append(s.jacks, e), true
			case !capture && e.id.index == 0 && e.id.iface == ifaceMixer && e.name == s.stage+playing.toggle:
				s.choose, there = []element{e}, true
			case capture && (e.name == "Capture Source" || e.name == "Input Source") && e.id.index == 0 && e.adjustable():
				if item := slices.IndexFunc(e.items, func(item string) bool { return item == s.stage || item == s.stage+" In" }); item >= 0 {
					s.choose, s.item, there = []element{e}, item, true
				}
			}
		}
		if there {
			found = append(found, s)
		}
	}
	if !capture {
		found = append(found, screens(all)...)
	}
	return found
}

// jackOf is what a jack is called: "Headphone" of "Headphone Jack". A phantom jack cannot tell whether something is plugged in.
func jackOf(e element) (name string, ok bool) {
	if e.id.iface != ifaceCard || e.kind != alsa.SNDRV_CTL_ELEM_TYPE_BOOLEAN {
		return "", false
	}
	name, ok = strings.CutSuffix(e.name, " Jack")
	return strings.TrimSuffix(name, " Phantom"), ok
}

func (e element) phantom() bool { return strings.HasSuffix(e.name, " Phantom Jack") }

// fits tells whether a jack's name is one of the socket's: the stage's, or with a place before it ("Front Headphone", "Dock Line Out") or the
// channels behind it ("Line Out Surround"). Of a headset that is plugged in whole the microphone has a jack of its own.
func (s socket) fits(jack string, capture bool) bool {
	if capture {
		return jack == s.stage
	}
	return strings.Contains(" "+jack+" ", " "+s.stage+" ") && !strings.HasSuffix(jack, "Mic")
}

// screens are the sockets of screens, each with a PCM: "HDMI/DP,pcm=3 Jack".
func screens(all []element) (found []socket) {
	for _, e := range all {
		jack, ok := jackOf(e)
		name, number, more := strings.Cut(jack, ",pcm=")
		pcm, err := strconv.Atoi(number)
		if !ok || !more || err != nil || !strings.Contains(name, "HDMI") && !strings.Contains(name, "DP") {
			continue
		}
		n := len(found)
		p := Port{Name: fmt.Sprintf("hdmi-output-%d", n), Description: "HDMI / DisplayPort", Priority: uint32(max(1, 59-n)), Type: portHDMI}
		if n > 0 {
			p.Description = fmt.Sprintf("HDMI / DisplayPort %d", n+1)
		}
		found = append(found, socket{Port: p, jacks: []element{e}, item: -1, pcm: pcm})
	}
	return found
}

// plug reads the socket's jacks.
func (s socket) plug(h *hardware) (plug Plug) {
	for _, jack := range s.jacks {
		switch {
		case jack.phantom():
		case h.values(jack)[0] != 0:
			return Plugged
		default:
			plug = Unplugged
		}
	}
	return plug
}

// chosen reports whether the card's controls let sound through the socket.
func (s socket) chosen(h *hardware) bool {
	for _, e := range s.choose {
		values := h.values(e)
		if s.item >= 0 && values[0] != s.item || s.item < 0 && slices.Max(values) == 0 {
			return false
		}
	}
	return true
}

// ports are the sockets of one PCM.
type ports struct {
	hardware *hardware
	sockets  []socket
	plugs    []Plug // as follow saw them last…
	active   string // …and which was in use then
}

func newPorts(h *hardware, sockets []socket) *ports {
	p := &ports{hardware: h, sockets: sockets}
	all, active := p.list()
	for _, port := range all {
		p.plugs = append(p.plugs, port.Plug)
	}
	p.active = active
	return p
}

// list is the ports as they are now, and which of them is in use: of those let through, the likeliest.
func (p *ports) list() (all []Port, active string) {
	var best Port
	for _, s := range p.sockets {
		port := s.Port
		port.Plug = s.plug(p.hardware)
		all = append(all, port)
		if s.chosen(p.hardware) && (best.Name == "" || likelier(port, best) < 0) {
			best = port
		}
	}
	return all, best.Name
}

// likelier orders ports by where sound is to go, or to come from: where something is plugged in, then where that is not known.
func likelier(a, b Port) int {
	order := [...]int{PlugUnknown: 1, Plugged: 0, Unplugged: 2}
	if plugged := cmp.Compare(order[a.Plug], order[b.Plug]); plugged != 0 {
		return plugged
	}
	return cmp.Compare(b.Priority, a.Priority)
}

// use lets sound through one port only: its own switch on, those of the others off.
func (p *ports) use(name string) error {
	all, active := p.list()
	switch {
	case name == active:
		return nil
	case !slices.ContainsFunc(all, func(port Port) bool { return port.Name == name }):
		return fmt.Errorf("there is no port %q", name)
	case !slices.ContainsFunc(p.sockets, func(s socket) bool { return s.choose != nil }):
		return errors.New("the card has no switch for its ports")
	}
	for _, s := range p.sockets {
		for _, e := range s.choose {
			value := s.item
			switch {
			case s.item >= 0 && s.Name != name:
				continue // one enumeration is for all
			case s.item < 0 && s.Name == name:
				value = 1
			case s.item < 0:
				value = 0
			}
			p.hardware.set(e, slices.Repeat([]int{value}, e.count)...)
		}
	}
	p.hardware.work()
	return nil
}

// follow takes up what was plugged in since the last call, and leaves what was pulled out. It reports whether the ports have changed at all.
func (p *ports) follow() (changed bool) {
	all, active := p.list()
	for i, port := range all {
		was := p.plugs[i]
		if port.Plug == was {
			continue
		}
		p.plugs[i], changed = port.Plug, true
		if port.Plug == Plugged {
			p.use(port.Name)
		} else if port.Name == active {
			p.use(slices.MinFunc(all, likelier).Name)
		}
	}
	if active != p.active {
		p.active, changed = active, true
	}
	return changed
}
