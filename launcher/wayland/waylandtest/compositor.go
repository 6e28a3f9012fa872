// Package waylandtest has a compositor for tests. It speaks as much of the protocol as a registry and security contexts need, strictly, and records
// the rest. How it reads and writes messages is its own: it shares no mistake with what it tests.
package waylandtest

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

// ManagerInterface is what a compositor offers that knows of security contexts (security-context-v1.xml).
const ManagerInterface = "wp_security_context_manager_v1"

// Compositor serves until the test ends.
type Compositor struct {
	Path     string
	Contexts chan *Context // as they are committed
	Heard    chan Heard    // requests that are no registry's and no context's

	offers []string
}

// Context is a sandbox's way in, on whose listener the compositor serves until its other side lets go of the closer.
type Context struct {
	Engine, App, Instance string
	Listener              string   // the path of the socket that it serves on
	Programs              chan int // the user of each that comes; -1 where the kernel does not tell
	Ended                 chan struct{}

	listener, closer *os.File
	committed        bool
}

// Heard is a request, whole, with the descriptors that came before it.
type Heard struct {
	Message []byte
	FDs     []int
}

// Object is whom the request is for.
func (h Heard) Object() uint32 { return binary.NativeEndian.Uint32(h.Message) }

// Echo is the opcode, of any object, that is answered by event 5, whose argument is a descriptor with the text "keymap".
const Echo = 77

// Serve has a compositor answer at path. It offers the interfaces; the name of each is its place plus one, the version 1. What comes by way of a
// context is not offered ManagerInterface.
func Serve(t testing.TB, path string, offers ...string) *Compositor {
	t.Helper()
	c := &Compositor{Path: path, Contexts: make(chan *Context, 1), Heard: make(chan Heard, 64), offers: offers}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go c.serve(l, nil)
	return c
}

// serve accepts for everybody or, by way of a context, for the programs in it.
func (c *Compositor) serve(l net.Listener, of *Context) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if of != nil {
			whose := -1
			if cred, err := peercred.Of(conn.(*net.UnixConn)); err == nil {
				whose = int(cred.Uid)
			}
			of.Programs <- whose
		}
		go (&client{Compositor: c, conn: conn.(*net.UnixConn), of: of, contexts: map[uint32]*Context{}}).run()
	}
}

// client is one connection, which only the goroutine of run uses.
type client struct {
	*Compositor
	conn *net.UnixConn
	of   *Context // whom it came by, if any

	fds               []int
	registry, manager uint32
	contexts          map[uint32]*Context
}

func (c *client) run() {
	defer c.conn.Close()
	var pending []byte
	buf, oob := make([]byte, 4096), make([]byte, 1024)
	for {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
		for _, m := range messages {
			fds, _ := unix.ParseUnixRights(&m)
			c.fds = append(c.fds, fds...)
		}
		pending = append(pending, buf[:n]...)
		for len(pending) >= 8 {
			size := int(binary.NativeEndian.Uint32(pending[4:]) >> 16)
			if size < 8 || len(pending) < size {
				break
			}
			if err := c.request(pending[:size:size]); err != nil {
				c.conn.Write(event(1, 0, 1, 0, err.Error())) // wl_display.error
				return
			}
			pending = pending[size:]
		}
	}
}

// request does what the message asks for. The error is the client's.
func (c *client) request(m []byte) error {
	object, opcode, a := binary.NativeEndian.Uint32(m), binary.NativeEndian.Uint16(m[4:]), arguments(m[8:])
	switch x := c.contexts[object]; {
	case object == 1 && opcode == 0: // wl_display.sync
		c.conn.Write(event(a.word(), 0, 0))
	case object == 1 && opcode == 1: // wl_display.get_registry
		c.registry = a.word()
		for i, kind := range c.offers {
			if kind != ManagerInterface || c.of == nil {
				c.conn.Write(event(c.registry, 0, i+1, kind, 1))
			}
		}
	case object == c.registry && opcode == 0 && a.from(4).text() == ManagerInterface && c.of == nil:
		a.word()
		a.text()
		a.word()
		c.manager = a.word()
	case object == c.manager && c.manager != 0 && opcode == 0: // destroy
		c.manager = 0
	case object == c.manager && c.manager != 0 && opcode == 1: // create_listener
		if len(c.fds) != 2 {
			return errors.New("a context takes two descriptors")
		}
		x := &Context{Programs: make(chan int, 16), Ended: make(chan struct{}), listener: os.NewFile(uintptr(c.fds[0]), ""), closer: os.NewFile(uintptr(c.fds[1]), "")}
		c.fds = nil
		if listens, err := unix.GetsockoptInt(int(x.listener.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return errors.New("the first descriptor is no socket that listens")
		}
		c.contexts[a.word()] = x
	case x != nil && opcode == 0: // destroy
		delete(c.contexts, object)
	case x != nil && x.committed:
		return errors.New("the context is in use already")
	case x != nil && opcode == 4: // commit
		return c.commit(x)
	case x != nil && opcode <= 3:
		field := []*string{&x.Engine, &x.App, &x.Instance}[opcode-1]
		if *field != "" {
			return errors.New("that is set already")
		}
		*field = a.text()
	default:
		c.Heard <- Heard{m, c.fds}
		c.fds = nil
		if opcode == Echo {
			c.keymap(object)
		}
	}
	return nil
}

// commit begins to serve on the context's listener.
func (c *client) commit(x *Context) error {
	if x.Engine == "" {
		return errors.New("the context names no engine")
	}
	l, err := net.FileListener(x.listener)
	if err != nil {
		return err
	}
	x.listener.Close()
	x.committed, x.Listener = true, l.Addr().String()
	go func() {
		x.closer.Read(make([]byte, 1)) // until the other side is closed
		x.closer.Close()
		l.Close()
		close(x.Ended)
	}()
	go c.serve(l, x)
	c.Contexts <- x
	return nil
}

func (c *client) keymap(object uint32) {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	w.WriteString("keymap")
	w.Close()
	c.conn.WriteMsgUnix(event(object, 5, 6), unix.UnixRights(int(r.Fd())), nil)
}

// arguments are what follows a message's head. What is missing is 0 or "".
type arguments []byte

func (a arguments) from(n int) *arguments { a = a[min(n, len(a)):]; return &a }

func (a *arguments) word() (v uint32) {
	if len(*a) >= 4 {
		v, *a = binary.NativeEndian.Uint32(*a), (*a)[4:]
	}
	return v
}

func (a *arguments) text() (s string) {
	if n := int(a.word()); n > 0 && n <= len(*a) {
		s, *a = string((*a)[:n-1]), (*a)[min(len(*a), (n+3)/4*4):]
	}
	return s
}

// event is a message of words and texts.
func event(object uint32, opcode uint16, values ...any) []byte {
	m := binary.NativeEndian.AppendUint32(nil, object)
	m = append(m, 0, 0, 0, 0)
	for _, v := range values {
		switch v := v.(type) {
		case int:
			m = binary.NativeEndian.AppendUint32(m, uint32(v))
		case string:
			m = binary.NativeEndian.AppendUint32(m, uint32(len(v)+1))
			m = append(append(m, v...), make([]byte, 4-len(v)%4)...)
		}
	}
	binary.NativeEndian.PutUint32(m[4:], uint32(len(m))<<16|uint32(opcode))
	return m
}
