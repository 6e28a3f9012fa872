package mixer

import (
	"errors"

	"sandbox-audio/audiod/device"
)

// Port is one way out of a device.
type Port = device.Port

// Ports is all ways out of the sink's device, and the name of the one in use; none where it has no choice.
func (s *Sink) Ports() (all []Port, active string) {
	if d, ok := s.device.(device.Ports); ok {
		return d.Ports()
	}
	return nil, ""
}

// SetPort has the device use another way out.
func (s *Sink) SetPort(name string) error {
	if d, ok := s.device.(device.Ports); ok {
		return d.SetPort(name)
	}
	return errors.New("the device has one way out only")
}
