package device

import "errors"

// controlled is what makes a card's sink or source a Volume and Ports: its part of the card's mixer, as long as the card is there.
type controlled struct {
	info     *cardInfo // nil while the card is not there
	level    *level    // nil where the mixer has nothing for this PCM
	ports    *ports
	onVolume func(foreign bool)
	onPorts  func()
}

var uncontrolled = controlled{onVolume: func(bool) {}, onPorts: func() {}}

// lent takes up what the card has for it, or gives it back when that is nil.
func (c *card) lent(info *cardInfo, l *level, p *ports) {
	if l != nil && len(l.path.volumes)+len(l.path.switches) == 0 {
		l = nil
	}
	if c.info, c.level, c.ports = info, l, p; l != nil {
		c.onVolume(true)
	}
	if p != nil {
		c.onPorts()
	}
}

// CardInfo implements OnCard.
func (c *card) CardInfo() (card CardInfo, ok bool) {
	if c.info == nil {
		return CardInfo{}, false
	}
	i := c.info
	return CardInfo{Driver: text(i.driver[:]), Name: text(i.name[:]), LongName: text(i.longName[:]), Mixer: text(i.mixerName[:]), Components: text(i.components[:])}, true
}

// SetVolume implements Volume.
func (c *card) SetVolume(gain []float32, muted bool) {
	if c.level != nil {
		c.level.set(gain, muted)
	}
}

// Volume implements Volume.
func (c *card) Volume() (gain []float32, muted, ok bool) {
	if c.level == nil {
		return nil, false, false
	}
	channels := len(c.config.Channels)
	if channels == 0 { // it has not been open yet
		channels = 2
	}
	gain, muted = c.level.get(channels)
	return gain, muted, true
}

// OnVolume implements Volume.
func (c *card) OnVolume(changed func(foreign bool)) { c.onVolume = changed }

// Ports implements Ports.
func (c *card) Ports() (all []Port, active string) {
	if c.ports == nil {
		return nil, ""
	}
	return c.ports.list()
}

// SetPort implements Ports.
func (c *card) SetPort(name string) error {
	if c.ports == nil {
		return errors.New("the card has no ports")
	}
	return c.ports.use(name)
}

// OnPorts implements Ports.
func (c *card) OnPorts(changed func()) { c.onPorts = changed }
