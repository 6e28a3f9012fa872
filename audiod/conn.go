package audiod

import (
	"errors"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/session"
)

// How many connections one user may hold: Chromium opens one a stream, fifty at worst. The owner's own programs are trusted with more.
const (
	maxConnections      = 96
	maxOwnerConnections = 1024
	readSize            = 64 << 10 // bytes taken from one socket in one turn
)

// clients is every connection of the worker: it accepts, reads, writes and closes, and leaves the meaning to the sessions.
type clients struct {
	loop     *loop.Loop
	server   *session.Server
	rules    *policy.Rules
	refusals *policy.Refusals
	log      func(format string, args ...any)

	dirty  []*conn // to be looked at when the turn ends
	buffer [readSize]byte
	held   map[uint32]int // connections by uid
	idle   func(bool)     // told when the last connection goes and the first comes
}

// conn is one client's socket.
type conn struct {
	all     *clients
	fd      int
	watch   *loop.Watch
	peer    policy.Peer
	session *session.Session
	dirty   bool
	rest    *loop.Timer // set while the client is not read from; nil until it was so once
}

// listen takes connections from a listening socket, one a turn, so that nobody keeps the others waiting.
func (cs *clients) listen(fd int) error {
	var w *loop.Watch
	retry := cs.loop.NewTimer(func() { w.Set(loop.Readable) })
	w, err := cs.loop.Watch(fd, loop.Readable, func(loop.Events) {
		accepted, errno := accept(fd)
		switch errno {
		case 0:
			cs.admit(accepted)
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			cs.log("cannot accept connections for a moment: %v", errno)
			w.Set(0)
			retry.Set(cs.loop.Now() + 100*time.Millisecond)
		}
	})
	return err
}

// admit asks who is at the other end of a new connection, before a byte of it is read, and begins its session or closes it.
func (cs *clients) admit(fd int) {
	peer, grant, err := cs.rules.Admit(fd)
	limit := maxConnections
	if grant == policy.Owner {
		limit = maxOwnerConnections
	}
	if err == nil && cs.held[peer.UID] >= limit {
		err = &policy.Refusal{Peer: peer, Reason: policy.TooMany}
	}
	if err != nil {
		cs.refuse(err)
		closeSocket(fd)
		return
	}
	c := &conn{all: cs, fd: fd, peer: peer}
	if c.watch, err = cs.loop.Watch(fd, loop.Readable, c.ready); err != nil {
		cs.log("%v: %v", peer, err)
		closeSocket(fd)
		return
	}
	if cs.server.Sessions() == 0 {
		cs.idle(false)
	}
	cs.held[peer.UID]++
	c.session = cs.server.Open(peer, grant, func() error { return cs.rules.Recheck(fd, peer) }, c.touch)
}

func (cs *clients) refuse(err error) {
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		cs.refusals.Add(time.Now(), refusal)
	} else {
		cs.log("refused a connection: %v", err)
	}
}

// touch has the connection looked at when the turn ends.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.all.dirty = append(c.all.dirty, c)
	}
}

// ready reads what has come, one buffer a turn, so that nobody keeps the others waiting.
func (c *conn) ready(ev loop.Events) {
	if ev&loop.Writable != 0 {
		c.touch()
	}
	if ev&(loop.Readable|loop.HungUp) == 0 || c.session.Fault() != nil {
		return
	}
	if rest := c.session.Rest(); rest > 0 {
		c.leave(rest, ev)
		return
	}
	n, errno := transfer(unix.SYS_READ, c.fd, c.all.buffer[:])
	switch {
	case n > 0:
		if c.session.Feed(c.all.buffer[:n]); c.dirty {
			c.flush() // an answer does not wait until the others have been read
		}
	case errno != unix.EAGAIN && errno != unix.EINTR: // the end among them
		c.close(nil)
	}
}

// leave has the client not be read from for a while. One that has gone meanwhile is closed, whatever it sent last.
func (c *conn) leave(rest time.Duration, ev loop.Events) {
	if ev&loop.HungUp != 0 {
		c.close(nil)
		return
	}
	if c.rest == nil {
		c.rest = c.all.loop.NewTimer(c.touch)
	}
	c.rest.Set(c.all.loop.Now() + rest)
	c.touch()
}

// turnEnd writes what the turn has put into the outboxes and is not written yet, and closes the sessions that are over.
func (cs *clients) turnEnd() {
	for i := 0; i < len(cs.dirty); i++ {
		c := cs.dirty[i]
		cs.dirty[i], c.dirty = nil, false
		if c.session != nil {
			c.flush()
		}
	}
	cs.dirty = cs.dirty[:0]
}

func (c *conn) flush() {
	if out := c.session.Outbox(); len(out) > 0 {
		n, errno := transfer(unix.SYS_WRITE, c.fd, out)
		if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
			c.close(nil)
			return
		}
		c.session.Sent(n)
	}
	if err := c.session.Fault(); err != nil {
		c.close(err)
		return
	}
	events := loop.Readable
	if c.rest != nil && c.rest.Pending() {
		events = 0
	}
	if len(c.session.Outbox()) > 0 {
		events |= loop.Writable
	}
	if err := c.watch.Set(events); err != nil {
		c.close(err)
	}
}

// close ends the connection; why is logged where it was the client's fault.
func (c *conn) close(why error) {
	cs := c.all
	var refusal *policy.Refusal
	if errors.As(why, &refusal) {
		cs.refuse(why)
	} else if why != nil {
		cs.refusals.Fault(time.Now(), c.peer, why)
	}
	c.watch.Close()
	if c.rest != nil {
		c.rest.Stop()
	}
	c.session.Close()
	c.session = nil
	closeSocket(c.fd)
	if cs.held[c.peer.UID]--; cs.held[c.peer.UID] == 0 {
		delete(cs.held, c.peer.UID)
	}
	if cs.server.Sessions() == 0 {
		cs.idle(true)
	}
}

// The calls of sockets that do not block. The Go runtime is not told of them, as it is of calls that may wait: its monitor thread would
// wake up for each.

func accept(fd int) (accepted int, errno syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	return int(n), errno
}

// transfer reads or writes.
func transfer(call uintptr, fd int, p []byte) (n int, errno syscall.Errno) {
	done, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(done), 0
}

func closeSocket(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
