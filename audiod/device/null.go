package device

// null keeps time and is silent: the device for when there is no other.
type null struct {
	timed
	reason string // why it is this one, when nobody asked for it
}

func (d *null) Name() string { return "null" }

func (d *null) Description() string {
	if d.reason == "" {
		return "Silent device"
	}
	return "Silent device: " + d.reason
}
