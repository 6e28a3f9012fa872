package wayland

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// SocketPath is the compositor's socket for a program with these variables; empty when they name none.
func SocketPath(getenv func(string) string) string {
	name := getenv("WAYLAND_DISPLAY")
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	dir := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, name)
}

// answerWithin is how long a compositor may take for one answer.
const answerWithin = 5 * time.Second

// Compositor is a compositor that was found to answer. Any goroutine may use it.
type Compositor struct {
	path    string
	manager global // wp_security_context_manager_v1; its version is 0 where there is none
}

// global is something that a compositor offers.
type global struct{ name, version uint32 }

const managerInterface = "wp_security_context_manager_v1"

// Connect looks whether a compositor answers at the socket, and what it can do.
func Connect(ctx context.Context, path string) (*Compositor, error) {
	c := &Compositor{path: path}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return c, conn.globals(func(name uint32, kind string, version uint32) {
		if kind == managerInterface {
			c.manager = global{name, version}
		}
	})
}

// client is a connection of our own.
type client struct {
	*net.UnixConn
	last uint32 // the last object made
	buf  []byte
}

func (c *Compositor) dial(ctx context.Context) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, fmt.Errorf("reach the compositor: %w", err)
	}
	return &client{UnixConn: conn.(*net.UnixConn), last: displayID}, nil
}

// registryID is the object that globals makes.
const registryID = displayID + 1

// globals asks for all that the compositor offers.
func (c *client) globals(each func(name uint32, kind string, version uint32)) error {
	if c.last++; c.last != registryID {
		panic("globals is asked for once, and first")
	}
	if _, err := c.Write(newMessage(displayID, displayGetRegistry, c.last)); err != nil {
		return err
	}
	return c.roundTrip(func(m message) error {
		if m.object() != registryID || m.opcode() != registryGlobal {
			return nil
		}
		a := m.args()
		name, kind, version := a.uint(), a.string(), a.uint()
		if a.err == nil {
			each(name, kind, version)
		}
		return a.err
	})
}

// roundTrip waits until the compositor has done all that was asked before, and passes on what it says meanwhile.
func (c *client) roundTrip(each func(message) error) error {
	c.last++
	done := c.last
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.Write(newMessage(displayID, displaySync, done)); err != nil {
		return err
	}
	read := make([]byte, 4096)
	for {
		m, rest, err := next(c.buf)
		if err != nil {
			return err
		}
		if m == nil {
			n, err := c.Read(read)
			if err != nil {
				return fmt.Errorf("the compositor does not answer: %w", err)
			}
			c.buf = append(c.buf, read[:n]...)
			continue
		}
		c.buf = rest
		switch {
		case m.object() == displayID && m.opcode() == displayError:
			a := m.args()
			a.uint()
			code, text := a.uint(), a.string()
			return fmt.Errorf("the compositor refuses: error %d: %q", code, text)
		case m.object() == done && m.opcode() == callbackDone:
			return nil
		}
		if err := each(m); err != nil {
			return err
		}
	}
}

// Context says who is behind a listener, for the compositor to tell its user and to decide by.
type Context struct {
	Engine   string // who keeps the program apart
	App      string // which program it is
	Instance string // which run of it
}

// ErrNoContext tells that the compositor does not know security contexts.
var ErrNoContext = errors.New("the compositor does not have " + managerInterface)

// Restrict hands the compositor a listening socket, whose clients it is to serve as the context says, until closer
// is closed or this process ends. The compositor has a descriptor of its own; the caller may close the listener. The error
// is ErrNoContext where Proxy has to do.
func (c *Compositor) Restrict(ctx context.Context, listener *os.File, who Context) (closer *os.File, err error) {
	const createListener = 1 // of the manager
	const commit = 4         // of the context; 1, 2 and 3 set what it says
	if c.manager.version == 0 {
		return nil, ErrNoContext
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	manager := global{}
	err = conn.globals(func(name uint32, kind string, version uint32) {
		if kind == managerInterface {
			manager = global{name, version}
		}
	})
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	managerID, contextID := conn.last+1, conn.last+2
	conn.last += 2
	bind := newMessage(registryID, registryBind, manager.name, managerInterface, uint32(1), managerID)
	create := newMessage(managerID, createListener, contextID)
	rights := unix.UnixRights(int(listener.Fd()), int(theirs.Fd()))
	_, _, err = conn.WriteMsgUnix(append(bind, create...), rights, nil)
	for i, text := range []string{who.Engine, who.App, who.Instance} {
		if err == nil {
			_, err = conn.Write(newMessage(contextID, uint16(i+1), text))
		}
	}
	if err == nil {
		_, err = conn.Write(newMessage(contextID, commit))
	}
	if err == nil {
		err = conn.roundTrip(func(message) error { return nil })
	}
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return ours, nil
}
