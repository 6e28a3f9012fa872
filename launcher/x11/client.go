package x11

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Conn is a connection to an X server.
type Conn struct {
	conn net.Conn
	seq  uint16 // of the last request
	root uint32 // the first screen's root window
}

var le = binary.LittleEndian

// ErrRefused is what Dial wraps when the server is there and does not let us in.
var ErrRefused = errors.New("the X server lets nobody in with this key")

// Dial connects to the display with a key, or with the zero Key as whoever this process is.
func Dial(ctx context.Context, d Display, key Key) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the X server %s: %w", d, err)
	}
	c := &Conn{conn: conn}
	if err := c.setup(key); err != nil {
		return nil, errors.Join(fmt.Errorf("the X server %s: %w", d, err), conn.Close())
	}
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Drain reads what the server sends unasked, and drops it, until the connection ends. No request may follow.
func (c *Conn) Drain() {
	_ = c.conn.SetDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, c.conn)
}

func pad(n int) int { return (4 - n%4) % 4 }

func appendPadded(b []byte, text string) []byte {
	return append(append(b, text...), make([]byte, pad(len(text)))...)
}

func (c *Conn) setup(key Key) error {
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	b := []byte{'l', 0}
	b = le.AppendUint16(b, 11)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, uint16(len(key.Name)))
	b = le.AppendUint16(b, uint16(len(key.Data)))
	b = le.AppendUint16(b, 0)
	b = appendPadded(b, key.Name)
	b = appendPadded(b, string(key.Data))
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return err
	}
	rest := make([]byte, 4*int(le.Uint16(head[6:]))) // at most 256 KiB
	if _, err := io.ReadFull(c.conn, rest); err != nil {
		return err
	}
	if head[0] != 1 {
		why := rest[:min(int(head[1]), len(rest))]
		return fmt.Errorf("%w: %q", ErrRefused, strings.TrimSpace(string(why)))
	}
	if len(rest) < 32 {
		return errShort
	}
	vendor := int(le.Uint16(rest[16:]))
	screens := 32 + vendor + pad(vendor) + 8*int(rest[21]) // behind the vendor's name and the formats
	if rest[20] == 0 || len(rest) < screens+4 {
		return errShort
	}
	c.root = le.Uint32(rest[screens:])
	return nil
}

// Error is an X error, by its code (1 is BadRequest, 2 BadValue, 10 BadAccess, 11 BadAlloc) and the request it is about.
type Error struct{ Code, Major, Minor uint8 }

func (e *Error) Error() string {
	return fmt.Sprintf("X error %d on request %d.%d", e.Code, e.Major, e.Minor)
}

// maxReply bounds an answer, in bytes; the longest of those asked for here is a list of hosts.
const maxReply = 1 << 20

// request sends one request, whose length it fills in, and one that has an answer in any case; it returns the answer
// to the first, nil when it has none.
func (c *Conn) request(b []byte) (reply []byte, err error) {
	const getInputFocus = 43
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return nil, err
	}
	le.PutUint16(b[2:], uint16(len(b)/4))
	ours, last := c.seq+1, c.seq+2
	c.seq = last
	if _, err := c.conn.Write(append(b, getInputFocus, 0, 1, 0)); err != nil {
		return nil, err
	}
	var failed error
	for {
		p, err := c.packet()
		if err != nil {
			return nil, err
		}
		switch seq := le.Uint16(p[2:]); {
		case p[0] == 0 && seq == ours:
			failed = &Error{Code: p[1], Minor: uint8(le.Uint16(p[8:])), Major: p[10]}
		case p[0] == 1 && seq == ours:
			reply = p
		case p[0] <= 1 && seq == last:
			return reply, failed
		}
	}
}

// packet reads an error, a reply or an event.
func (c *Conn) packet() ([]byte, error) {
	p := make([]byte, 32)
	if _, err := io.ReadFull(c.conn, p); err != nil {
		return nil, err
	}
	const genericEvent = 35
	if p[0] != 1 && p[0]&0x7f != genericEvent {
		return p, nil
	}
	n := le.Uint32(p[4:])
	if n > maxReply/4 {
		return nil, fmt.Errorf("the X server answers with %d words", n)
	}
	p = append(p, make([]byte, 4*n)...)
	_, err := io.ReadFull(c.conn, p[32:])
	return p, err
}
