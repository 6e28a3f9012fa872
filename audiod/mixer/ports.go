package mixer

import (
	"errors"

	"sandbox-audio/audiod/device"
)

// Port is one way out of, or into, a device.
type Port = device.Port

// CardInfo is what a sound card says of itself.
type CardInfo = device.CardInfo

// Ports is all the ways the device's hardware has, and the name of the one in use; none where it has no choice.
func (m *master) Ports() (all []Port, active string) {
	if m.ports == nil {
		return nil, ""
	}
	return m.ports.Ports()
}

// SetPort has the hardware use another way.
func (m *master) SetPort(name string) error {
	if m.ports == nil {
		return errors.New("the device has one port only")
	}
	return m.ports.SetPort(name)
}

// CardInfo is the sound card that the device is part of; ok is false where it is part of none, or that does not say.
func (m *master) CardInfo() (card CardInfo, ok bool) {
	if m.card == nil {
		return card, false
	}
	return m.card.CardInfo()
}
