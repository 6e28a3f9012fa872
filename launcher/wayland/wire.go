// Package wayland passes programs of another user on to a Wayland compositor without opening the owner's runtime directory
// to them. Where the compositor can, it takes over a listening socket of theirs and knows whom it serves there
// (security-context-v1); for the others there is a proxy, which hides what lets a program look at or act for others.
//
//	Connect ─► Compositor: Restrict(listener) ─► the compositor accepts
//	                       or Proxy(listener): accept ─► client ═ filter ═ compositor, descriptors too
//
// The wire format is that of the Wayland book, appendix "Wire protocol": messages of words in the host's byte order,
// object, size and opcode first; descriptors travel beside them (SCM_RIGHTS) and keep their order.
package wayland

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Of wl_display, which is always object 1, and of what it makes (wayland.xml).
const (
	displayID = 1

	displaySync        = 0 // requests
	displayGetRegistry = 1
	displayError       = 0 // events

	registryBind         = 0
	registryGlobal       = 0
	registryGlobalRemove = 1

	callbackDone = 0
)

// head is what every message begins with.
const head = 8

// message is one request or event, with its head.
type message []byte

func (m message) object() uint32 { return binary.NativeEndian.Uint32(m) }
func (m message) opcode() uint16 { return uint16(binary.NativeEndian.Uint32(m[4:])) }

var errMessage = errors.New("this is no Wayland message")

// next takes the first message off b; m is nil while b holds only a part of one.
func next(b []byte) (m message, rest []byte, err error) {
	if len(b) < head {
		return nil, b, nil
	}
	size := int(binary.NativeEndian.Uint32(b[4:]) >> 16)
	if size < head || size%4 != 0 {
		return nil, nil, fmt.Errorf("%w: its size is %d", errMessage, size)
	}
	if len(b) < size {
		return nil, b, nil
	}
	return message(b[:size]), b[size:], nil
}

// args reads a message's arguments one after the other; the first that is missing makes it fail.
type args struct {
	b   []byte
	err error
}

func (m message) args() *args { return &args{b: m[head:]} }

func (a *args) uint() uint32 {
	if len(a.b) < 4 {
		a.b, a.err = nil, errMessage
		return 0
	}
	v := binary.NativeEndian.Uint32(a.b)
	a.b = a.b[4:]
	return v
}

// string reads a string, which the wire ends with a NUL and fills up to whole words.
func (a *args) string() string {
	n := int64(a.uint())
	padded := (n + 3) &^ 3
	if n == 0 || padded > int64(len(a.b)) {
		a.b, a.err = nil, errMessage
		return ""
	}
	s := a.b[:n-1]
	a.b = a.b[padded:]
	return string(s)
}

// newMessage makes a message of words and strings.
func newMessage(object uint32, opcode uint16, values ...any) message {
	m := make(message, head)
	binary.NativeEndian.PutUint32(m, object)
	for _, v := range values {
		switch v := v.(type) {
		case uint32:
			m = binary.NativeEndian.AppendUint32(m, v)
		case string:
			m = binary.NativeEndian.AppendUint32(m, uint32(len(v)+1))
			m = append(m, v...)
			m = append(m, make([]byte, 4-len(v)%4)...)
		}
	}
	binary.NativeEndian.PutUint32(m[4:], uint32(len(m))<<16|uint32(opcode))
	return m
}
