package native

// Requests that change a stream, a client or a device.

// SetVolume is SET_SINK_INPUT_VOLUME and SET_SOURCE_OUTPUT_VOLUME.
type SetVolume struct {
	Index  uint32
	Volume CVolume
}

func (m *SetVolume) Fields(c *Coder) {
	c.U32(&m.Index)
	c.CVolume(&m.Volume)
}

// SetMute is SET_SINK_INPUT_MUTE and SET_SOURCE_OUTPUT_MUTE.
type SetMute struct {
	Index uint32
	Muted bool
}

func (m *SetMute) Fields(c *Coder) {
	c.U32(&m.Index)
	c.Bool(&m.Muted)
}

// SetDeviceVolume is SET_SINK_VOLUME and SET_SOURCE_VOLUME: Index is Invalid where Name is meant.
type SetDeviceVolume struct {
	Index  uint32
	Name   string
	Volume CVolume
}

func (m *SetDeviceVolume) Fields(c *Coder) {
	c.U32(&m.Index)
	c.NullString(&m.Name)
	c.CVolume(&m.Volume)
}

// SetDeviceMute is SET_SINK_MUTE and SET_SOURCE_MUTE.
type SetDeviceMute struct {
	Index uint32
	Name  string
	Muted bool
}

func (m *SetDeviceMute) Fields(c *Coder) {
	c.U32(&m.Index)
	c.NullString(&m.Name)
	c.Bool(&m.Muted)
}

// SuspendDevice is SUSPEND_SINK and SUSPEND_SOURCE. An empty name with Index Invalid means all of them.
type SuspendDevice struct {
	Index   uint32
	Name    string
	Suspend bool
}

func (m *SuspendDevice) Fields(c *Coder) {
	c.U32(&m.Index)
	if c.writing && m.Index == Invalid {
		c.String(&m.Name)
	} else {
		c.NullString(&m.Name)
	}
	c.Bool(&m.Suspend)
}

// MoveStream is MOVE_SINK_INPUT and MOVE_SOURCE_OUTPUT: DeviceIndex is Invalid where DeviceName is meant.
type MoveStream struct {
	Index       uint32
	DeviceIndex uint32
	DeviceName  string
}

func (m *MoveStream) Fields(c *Coder) {
	c.U32(&m.Index)
	c.U32(&m.DeviceIndex)
	c.NullString(&m.DeviceName)
}

// SetPort is SET_SINK_PORT, SET_SOURCE_PORT and, with a profile for a port, SET_CARD_PROFILE.
type SetPort struct {
	Index uint32
	Name  string
	Port  string
}

func (m *SetPort) Fields(c *Coder) {
	c.U32(&m.Index)
	c.NullString(&m.Name)
	c.NullString(&m.Port)
}

// SetPortLatencyOffset shifts what a card's port reports.
type SetPortLatencyOffset struct {
	Card     uint32
	CardName string
	Port     string
	Offset   int64 // microseconds
}

func (m *SetPortLatencyOffset) Fields(c *Coder) {
	c.U32(&m.Card)
	c.NullString(&m.CardName)
	c.NullString(&m.Port)
	c.S64(&m.Offset)
}

// UpdateRate is UPDATE_PLAYBACK_STREAM_SAMPLE_RATE and UPDATE_RECORD_STREAM_SAMPLE_RATE.
type UpdateRate struct {
	Channel uint32
	Rate    uint32 // frames per second
}

func (m *UpdateRate) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32(&m.Rate)
}

// SetStreamName is SET_PLAYBACK_STREAM_NAME and SET_RECORD_STREAM_NAME: it sets media.name.
type SetStreamName struct {
	Channel uint32
	Name    string
}

func (m *SetStreamName) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.String(&m.Name)
}

// UpdateStreamProps is UPDATE_PLAYBACK_STREAM_PROPLIST and UPDATE_RECORD_STREAM_PROPLIST. See PropList.Update.
type UpdateStreamProps struct {
	Channel uint32
	Mode    UpdateMode
	Props   PropList
}

func (m *UpdateStreamProps) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.U32((*uint32)(&m.Mode))
	c.Props(&m.Props)
}

// UpdateClientProps is UPDATE_CLIENT_PROPLIST.
type UpdateClientProps struct {
	Mode  UpdateMode
	Props PropList
}

func (m *UpdateClientProps) Fields(c *Coder) {
	c.U32((*uint32)(&m.Mode))
	c.Props(&m.Props)
}

// RemoveStreamProps is REMOVE_PLAYBACK_STREAM_PROPLIST and REMOVE_RECORD_STREAM_PROPLIST.
type RemoveStreamProps struct {
	Channel uint32
	Keys    []string
}

func (m *RemoveStreamProps) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.Keys(&m.Keys)
}

// RemoveClientProps is REMOVE_CLIENT_PROPLIST.
type RemoveClientProps struct{ Keys []string }

func (m *RemoveClientProps) Fields(c *Coder) { c.Keys(&m.Keys) }
