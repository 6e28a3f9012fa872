package native

// CardInfo answers GET_CARD_INFO.
type CardInfo struct {
	Index         uint32
	Name          string
	Module        uint32 // Invalid: none
	Driver        string
	Profiles      []CardProfile
	ActiveProfile string
	Props         PropList
	Ports         []CardPort
}

// CardInfoList answers GET_CARD_INFO_LIST.
type CardInfoList = List[CardInfo, *CardInfo]

func (m *CardInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.U32(&m.Module)
	c.String(&m.Driver)
	items(c, &m.Profiles, (*CardProfile).fields)
	c.NullString(&m.ActiveProfile)
	c.Props(&m.Props)
	if c.Version >= 26 {
		items(c, &m.Ports, (*CardPort).fields)
	}
}

// CardProfile is one way to use a card.
type CardProfile struct {
	Name, Description        string
	Sinks, Sources, Priority uint32
	Available                uint32 // 0: no
}

func (m *CardProfile) fields(c *Coder) {
	c.String(&m.Name)
	c.String(&m.Description)
	c.U32(&m.Sinks)
	c.U32(&m.Sources)
	c.U32(&m.Priority)
	if c.Version >= 29 {
		c.U32(&m.Available)
	}
}

// CardPort is one socket of a card.
type CardPort struct {
	Name, Description string
	Priority          uint32
	Available         Available
	Direction         uint8 // 1 out, 2 in
	Props             PropList
	Profiles          []string // in which it can be used
	LatencyOffset     int64    // microseconds
	AvailabilityGroup string
	Type              uint32
}

func (m *CardPort) fields(c *Coder) {
	c.String(&m.Name)
	c.String(&m.Description)
	c.U32(&m.Priority)
	c.U32((*uint32)(&m.Available))
	c.U8(&m.Direction)
	c.Props(&m.Props)
	items(c, &m.Profiles, func(p *string, c *Coder) { c.String(p) })
	if c.Version >= 27 {
		c.S64(&m.LatencyOffset)
	}
	if c.Version >= 34 {
		c.NullString(&m.AvailabilityGroup)
		c.U32(&m.Type)
	}
}
