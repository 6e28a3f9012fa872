package x11

// Properties of the root window are how a display tells its clients about itself: RESOURCE_MANAGER, which xrdb(1) writes, and
// _XKB_RULES_NAMES, which setxkbmap(1) does.

const (
	internAtom     = 16
	changeProperty = 18
	getProperty    = 20
	atomString     = 31
	anyType        = 0
	maxProperty    = 64 << 10 // bytes that are read of one
)

// RootProperty is the text of a property of the first screen's root window; nil when there is none.
func (c *Conn) RootProperty(name string) ([]byte, error) {
	atom, err := c.atom(name)
	if err != nil {
		return nil, err
	}
	b := []byte{getProperty, 0, 0, 0}
	for _, v := range []uint32{c.root, atom, anyType, 0, maxProperty / 4} {
		b = le.AppendUint32(b, v)
	}
	reply, err := c.request(b)
	if err != nil {
		return nil, err
	}
	if len(reply) < 32 {
		return nil, errShort
	}
	n := le.Uint32(reply[16:])
	if reply[1] != 8 || n == 0 {
		return nil, nil
	}
	if uint64(n) > uint64(len(reply)-32) {
		return nil, errShort
	}
	return reply[32 : 32+n], nil
}

// SetRootProperty replaces it.
func (c *Conn) SetRootProperty(name string, text []byte) error {
	atom, err := c.atom(name)
	if err != nil {
		return err
	}
	b := []byte{changeProperty, 0, 0, 0}
	for _, v := range []uint32{c.root, atom, atomString, 8, uint32(len(text))} {
		b = le.AppendUint32(b, v)
	}
	_, err = c.request(appendPadded(b, string(text)))
	return err
}

func (c *Conn) atom(name string) (uint32, error) {
	b := []byte{internAtom, 0, 0, 0}
	b = le.AppendUint16(b, uint16(len(name)))
	b = le.AppendUint16(b, 0)
	reply, err := c.request(appendPadded(b, name))
	if err != nil {
		return 0, err
	}
	if len(reply) < 12 {
		return 0, errShort
	}
	return le.Uint32(reply[8:]), nil
}
