package native

import (
	"encoding/binary"
	"fmt"
)

// What stands before each value (tagstruct.h).
const (
	tagString     = 't'
	tagNullString = 'N'
	tagU32        = 'L'
	tagU8         = 'B'
	tagU64        = 'R'
	tagS64        = 'r'
	tagSpec       = 'a'
	tagBlob       = 'x'
	tagTrue       = '1'
	tagFalse      = '0'
	tagTimeval    = 'T'
	tagUsec       = 'U'
	tagMap        = 'm'
	tagCVolume    = 'v'
	tagProps      = 'P'
	tagVolume     = 'V'
	tagFormat     = 'f'
)

// Limits of what is read and written.
const (
	MaxString   = 4 << 10   // bytes of a text with the NUL that ends it
	MaxText     = 256 << 10 // the same, of an object message's parameters and answer
	MaxChannels = 32        // PA_CHANNELS_MAX: dummy volumes of the format API have as many
	MaxFormats  = 16

	maxItems = 256 // ports of a device, profiles of a card
)

// Coder reads the values of a message from a payload, or appends them to a buffer: the methods take pointers and do the one or the
// other, so that a message is described once. The first error stays, after it every method does nothing. Not for concurrent use.
type Coder struct {
	Version uint32 // of the connection: decides which fields there are

	writing bool
	buf     []byte
	pos     int // read so far
	err     error
}

// NewWriter makes a Coder that appends to buf; see Bytes. Decode reads by one of its own.
func NewWriter(buf []byte, version uint32) *Coder {
	return &Coder{Version: version, writing: true, buf: buf}
}

// Err is the first error, which wraps a Code: ErrProtocol for bytes that are no message, after which PulseAudio ends the
// connection; ErrTooLarge and ErrInvalid for values that are refused.
func (c *Coder) Err() error { return c.err }

// Done is Err, or the error that bytes are left unread.
func (c *Coder) Done() error {
	if c.more() {
		c.fail(ErrProtocol, "%d bytes after the last field", len(c.buf)-c.pos)
	}
	return c.err
}

// Bytes is the buffer of NewWriter with all that was written appended.
func (c *Coder) Bytes() []byte { return c.buf }

func (c *Coder) more() bool { return !c.writing && c.err == nil && c.pos < len(c.buf) }

func (c *Coder) fail(code Code, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s (at byte %d): %w", fmt.Sprintf(format, args...), c.pos, code)
	}
}

// refuse makes err the coder's, if it is one and the first.
func (c *Coder) refuse(err error) {
	if c.err == nil {
		c.err = err
	}
}

// take returns the next n bytes of the payload, or nil after an error.
func (c *Coder) take(n int, what string) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.buf)-c.pos {
		c.fail(ErrProtocol, "%s needs %d bytes, %d are left", what, n, len(c.buf)-c.pos)
		return nil
	}
	b := c.buf[c.pos : c.pos+n]
	c.pos += n
	return b
}

// value begins a value of tag and n bytes. Writing, it appends tag; reading, it returns the n bytes, or nil after an error.
func (c *Coder) value(tag byte, n int, what string) []byte {
	if c.err != nil {
		return nil
	}
	if c.writing {
		c.buf = append(c.buf, tag)
		return nil
	}
	if c.more() && c.buf[c.pos] != tag {
		c.fail(ErrProtocol, "%s expected, found %q", what, c.buf[c.pos])
		return nil
	}
	b := c.take(1+n, what)
	if b == nil {
		return nil
	}
	return b[1:]
}

func (c *Coder) word(tag byte, p *uint32, what string) {
	if b := c.value(tag, 4, what); b != nil {
		*p = binary.BigEndian.Uint32(b)
	} else if c.writing && c.err == nil {
		c.buf = binary.BigEndian.AppendUint32(c.buf, *p)
	}
}

func (c *Coder) long(tag byte, p *uint64, what string) {
	if b := c.value(tag, 8, what); b != nil {
		*p = binary.BigEndian.Uint64(b)
	} else if c.writing && c.err == nil {
		c.buf = binary.BigEndian.AppendUint64(c.buf, *p)
	}
}

// U8 codes a byte.
func (c *Coder) U8(p *uint8) {
	if b := c.value(tagU8, 1, "byte"); b != nil {
		*p = b[0]
	} else if c.writing && c.err == nil {
		c.buf = append(c.buf, *p)
	}
}

// U32 codes a number, an index mostly.
func (c *Coder) U32(p *uint32) { c.word(tagU32, p, "number") }

// U64 codes a large number.
func (c *Coder) U64(p *uint64) { c.long(tagU64, p, "large number") }

// S64 codes a signed number.
func (c *Coder) S64(p *int64) {
	u := uint64(*p)
	c.long(tagS64, &u, "signed number")
	*p = int64(u)
}

// Usec codes a duration in microseconds.
func (c *Coder) Usec(p *uint64) { c.long(tagUsec, p, "microseconds") }

// Bool codes a truth value.
func (c *Coder) Bool(p *bool) {
	if c.err != nil {
		return
	}
	if c.writing {
		tag := byte(tagFalse)
		if *p {
			tag = tagTrue
		}
		c.buf = append(c.buf, tag)
		return
	}
	if b := c.take(1, "boolean"); b != nil {
		if b[0] != tagTrue && b[0] != tagFalse {
			c.pos--
			c.fail(ErrProtocol, "boolean expected, found %q", b[0])
			return
		}
		*p = b[0] == tagTrue
	}
}

// Bools codes several in a row.
func (c *Coder) Bools(ps ...*bool) {
	for _, p := range ps {
		c.Bool(p)
	}
}
