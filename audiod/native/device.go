package native

import "sandbox-audio/audiod/pcm"

// DeviceFlags tell what a sink or source can do. Programs have crashed on bits that are not documented (pa_sink_flags_t).
type DeviceFlags uint32

const (
	HardwareVolume DeviceFlags = 0x01
	HasLatency     DeviceFlags = 0x02
	Hardware       DeviceFlags = 0x04
	Network        DeviceFlags = 0x08
	HardwareMute   DeviceFlags = 0x10
	DecibelVolume  DeviceFlags = 0x20

	SinkFlatVolume       DeviceFlags = 0x40 // a sink's only; moves other streams' volumes along
	SinkDynamicLatency   DeviceFlags = 0x80
	SinkSetFormats       DeviceFlags = 0x100
	SourceDynamicLatency DeviceFlags = 0x40 // a source's only
	SourceFlatVolume     DeviceFlags = 0x80
)

// DeviceState is what a sink or source does (pa_sink_state_t).
type DeviceState uint32

const (
	Running         DeviceState = 0
	Idle            DeviceState = 1
	DeviceSuspended DeviceState = 2
)

// Available says whether something is plugged in (pa_port_available_t).
type Available uint32

const (
	AvailableUnknown Available = 0
	AvailableNo      Available = 1
	AvailableYes     Available = 2
)

// Port is one socket of a device.
type Port struct {
	Name, Description string
	Priority          uint32
	Available         Available
	AvailabilityGroup string // ports that come and go together
	Type              uint32 // pa_device_port_type_t
}

func (m *Port) fields(c *Coder) {
	c.String(&m.Name)
	c.String(&m.Description)
	c.U32(&m.Priority)
	if c.Version >= 24 {
		c.U32((*uint32)(&m.Available))
	}
	if c.Version >= 34 {
		c.NullString(&m.AvailabilityGroup)
		c.U32(&m.Type)
	}
}

// DeviceInfo describes a sink or source. Latencies are microseconds; indexes are Invalid where there is no such thing.
type DeviceInfo struct {
	Index             uint32
	Name, Description string
	Spec              pcm.Spec
	Map               pcm.ChannelMap
	Module            uint32
	Volume            CVolume
	Muted             bool
	Monitor           uint32 // a sink's monitor source; the sink a monitor source belongs to
	MonitorName       string
	Latency           uint64
	Driver            string
	Flags             DeviceFlags
	Props             PropList
	RequestedLatency  uint64
	BaseVolume        pcm.Volume
	State             DeviceState
	VolumeSteps       uint32
	Card              uint32
	Ports             []Port
	ActivePort        string
	Formats           []FormatInfo
}

// SinkInfo answers GET_SINK_INFO. Its monitor's name is never null, because browsers read it unchecked.
type SinkInfo DeviceInfo

// SourceInfo answers GET_SOURCE_INFO.
type SourceInfo DeviceInfo

// SinkInfoList answers GET_SINK_INFO_LIST, SourceInfoList GET_SOURCE_INFO_LIST.
type (
	SinkInfoList   = List[SinkInfo, *SinkInfo]
	SourceInfoList = List[SourceInfo, *SourceInfo]
)

func (m *SinkInfo) Fields(c *Coder)   { (*DeviceInfo)(m).fields(c, (*Coder).String, 21) }
func (m *SourceInfo) Fields(c *Coder) { (*DeviceInfo)(m).fields(c, (*Coder).NullString, 22) }

func (m *DeviceInfo) fields(c *Coder, monitorName func(*Coder, *string), formatsSince uint32) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.String(&m.Description)
	c.Spec(&m.Spec)
	c.Map(&m.Map)
	c.U32(&m.Module)
	c.CVolume(&m.Volume)
	c.Bool(&m.Muted)
	c.U32(&m.Monitor)
	monitorName(c, &m.MonitorName)
	c.Usec(&m.Latency)
	c.String(&m.Driver)
	c.U32((*uint32)(&m.Flags))
	c.Props(&m.Props)
	c.Usec(&m.RequestedLatency)
	if c.Version >= 15 {
		c.Volume(&m.BaseVolume)
		c.U32((*uint32)(&m.State))
		c.U32(&m.VolumeSteps)
		c.U32(&m.Card)
	}
	if c.Version >= 16 {
		items(c, &m.Ports, (*Port).fields)
		c.NullString(&m.ActivePort)
	}
	if c.Version >= formatsSince {
		c.Formats(&m.Formats)
	}
}
