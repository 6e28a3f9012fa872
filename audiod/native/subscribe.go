package native

// Mask says of which facilities a client wants to hear (pa_subscription_mask_t).
type Mask uint32

const (
	MaskSink         Mask = 0x001
	MaskSource       Mask = 0x002
	MaskSinkInput    Mask = 0x004
	MaskSourceOutput Mask = 0x008
	MaskModule       Mask = 0x010
	MaskClient       Mask = 0x020
	MaskSampleCache  Mask = 0x040
	MaskServer       Mask = 0x080
	MaskCard         Mask = 0x200
	MaskAll          Mask = 0x2FF // any other bit is refused with ErrInvalid
)

// Event is a facility and what happened to one of its objects, or-ed together (pa_subscription_event_type_t).
type Event uint32

const (
	EventSink Event = iota
	EventSource
	EventSinkInput
	EventSourceOutput
	EventModule
	EventClient
	EventSampleCache
	EventServer
	EventAutoload // obsolete
	EventCard

	EventNew    Event = 0x00
	EventChange Event = 0x10
	EventRemove Event = 0x20
)

// Facility is e without what happened.
func (e Event) Facility() Event { return e & 0xF }

// Type is EventNew, EventChange or EventRemove.
func (e Event) Type() Event { return e & 0x30 }

// Mask is the bit with which a client subscribes to e.
func (e Event) Mask() Mask { return 1 << e.Facility() }

// Subscribe replaces the client's subscription.
type Subscribe struct{ Mask Mask }

func (m *Subscribe) Fields(c *Coder) { c.U32((*uint32)(&m.Mask)) }
