// Package native is the PulseAudio native protocol's bytes: packets, the tagged values inside them, and one struct a message.
// It is the only code that sees wire bytes, it is strict, and no input makes it panic or allocate more than the input's own size asks for.
//
// A packet is a header of five big-endian words and its payload. On the control channel the payload is an operation, a tag
// that pairs a reply with its request, and the message's fields; on any other channel it is sound.
//
//	bytes ─► ParseHeader ─► control: ParseControl ─► Decode into a Message    Message ─► AppendPacket ─► bytes
//	                    └─► sound: Header.Channel, Offset and Seek, then Length raw bytes
//
// Sources: PulseAudio's pstream.c (framing), tagstruct.c (values), protocol-native.c, context.c, stream.c and introspect.c (messages).
package native

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// Version is the newest protocol this package speaks, MinVersion the oldest. A connection runs at the lower of both ends' versions.
const (
	Version    = 35
	MinVersion = 13
)

// Invalid stands for "no index", "no tag" and, in buffer attributes, "the server chooses".
const Invalid = 0xFFFFFFFF

// ControlChannel is the channel of packets that carry messages.
const ControlChannel = Invalid

// Limits of a packet's payload in bytes. Data's is PulseAudio's own limit for any packet (FRAME_SIZE_MAX_ALLOW).
const (
	HeaderSize = 20
	MaxControl = 64 << 10
	MaxData    = 16 << 20
)

// Seek says from where Header.Offset counts (pa_seek_mode_t).
type Seek uint8

const (
	SeekRelative       Seek = iota // to the write index
	SeekAbsolute                   // to the stream's beginning
	SeekRelativeOnRead             // to the read index
	SeekRelativeEnd                // to the end of what is queued
)

// Header is a packet's descriptor.
type Header struct {
	Length  uint32 // payload bytes that follow
	Channel uint32 // ControlChannel, or the stream's
	Offset  int64  // of sound, in bytes, as Seek says
	Seek    Seek
}

// Control reports whether the payload is a message.
func (h Header) Control() bool { return h.Channel == ControlChannel }

// ParseHeader reads a packet's descriptor from the first HeaderSize bytes of b. An error, which wraps ErrProtocol or ErrTooLarge,
// means that the connection cannot be continued: shared memory is announced though it was refused, the seek mode is unknown,
// or the length is out of bounds. It allocates nothing unless it fails.
func ParseHeader(b []byte) (Header, error) { return parseHeader(b, MaxControl) }

func parseHeader(b []byte, maxControl uint32) (h Header, err error) {
	if len(b) < HeaderSize {
		return h, fmt.Errorf("a packet header has %d bytes, not %d: %w", HeaderSize, len(b), ErrProtocol)
	}
	h.Length = binary.BigEndian.Uint32(b)
	h.Channel = binary.BigEndian.Uint32(b[4:])
	h.Offset = int64(binary.BigEndian.Uint64(b[8:]))
	flags := binary.BigEndian.Uint32(b[16:])
	limit := uint32(MaxData)
	if h.Control() {
		limit = maxControl
	}
	switch {
	case flags&0xFF000000 != 0:
		return h, fmt.Errorf("packet flags %#x ask for shared memory, which was not agreed on: %w", flags, ErrProtocol)
	case h.Control() && flags != 0:
		return h, fmt.Errorf("packet flags %#x on the control channel: %w", flags, ErrProtocol)
	case flags > uint32(SeekRelativeEnd):
		return h, fmt.Errorf("unknown seek mode %#x: %w", flags, ErrProtocol)
	case h.Length == 0:
		return h, fmt.Errorf("an empty packet: %w", ErrProtocol)
	case h.Length > limit:
		return h, fmt.Errorf("a packet of %d bytes, where %d are allowed: %w", h.Length, limit, ErrTooLarge)
	}
	h.Seek = Seek(flags)
	return h, nil
}

// AppendHeader appends a descriptor; AppendHeader(buf, Header{Length: uint32(len(sound)), Channel: channel}) announces sound.
func AppendHeader(buf []byte, h Header) []byte {
	buf = binary.BigEndian.AppendUint32(buf, h.Length)
	buf = binary.BigEndian.AppendUint32(buf, h.Channel)
	buf = binary.BigEndian.AppendUint64(buf, uint64(h.Offset))
	return binary.BigEndian.AppendUint32(buf, uint32(h.Seek))
}

// ParseControl splits a control packet's payload into operation, tag and the bytes of the message's fields, which alias payload.
func ParseControl(payload []byte) (op Op, tag uint32, fields []byte, err error) {
	const n = 10 // two tagged words
	if len(payload) < n || payload[0] != tagU32 || payload[5] != tagU32 {
		return 0, 0, nil, fmt.Errorf("a control packet does not begin with operation and tag: %w", ErrProtocol)
	}
	return Op(binary.BigEndian.Uint32(payload[1:])), binary.BigEndian.Uint32(payload[6:]), payload[n:], nil
}

// A Message is the fields of one request, reply or event, in their order on the wire. Fields hands each of them to c, which
// reads or writes it; fields that the connection's version does not have are left alone. A message is read into its zero value.
type Message interface{ Fields(c *Coder) }

// Decode reads fields into m, all of them: bytes left over are an error. A nil m expects no fields. The error wraps a Code.
func Decode(fields []byte, version uint32, m Message) error {
	c := coders.Get().(*Coder)
	*c = Coder{Version: version, buf: fields}
	if m != nil {
		m.Fields(c)
	}
	err := c.Done()
	*c = Coder{}
	coders.Put(c)
	return err
}

var coders = sync.Pool{New: func() any { return new(Coder) }}

// AppendPacket appends the whole packet of m (nil: no fields) and returns the longer buf; it allocates nothing when buf has room.
// Should m not be encodable, which is a fault of the caller's (a string with NUL, a list over its limit), then a reply becomes
// the error ErrInternal, and anything else is left out.
func AppendPacket(buf []byte, version uint32, op Op, tag uint32, m Message) []byte {
	start := len(buf)
	c := coders.Get().(*Coder)
	*c = Coder{Version: version, writing: true, buf: AppendHeader(buf, Header{Channel: ControlChannel})}
	word := uint32(op)
	c.U32(&word)
	c.U32(&tag)
	if m != nil {
		m.Fields(c)
	}
	switch {
	case c.err == nil:
		buf = c.buf
		binary.BigEndian.PutUint32(buf[start:], uint32(len(buf)-start-HeaderSize))
	case op == OpReply:
		buf = AppendError(c.buf[:start], tag, ErrInternal)
	default:
		buf = c.buf[:start]
	}
	*c = Coder{}
	coders.Put(c)
	return buf
}

// AppendError appends the packet that answers the request tag with code.
func AppendError(buf []byte, tag uint32, code Code) []byte {
	buf = AppendHeader(buf, Header{Length: 15, Channel: ControlChannel})
	for _, word := range [...]uint32{uint32(OpError), tag, uint32(code)} {
		buf = binary.BigEndian.AppendUint32(append(buf, tagU32), word)
	}
	return buf
}
