package bridge

import (
	"errors"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
)

// retryTime is how long a server that is not there, or has gone, is left alone.
const retryTime = time.Second

// Dialer gets a connection to the server, for the Dialer's caller cannot make one itself. done is called on the loop, later and once, with a
// connected socket, which is the callee's from then on, and the key to show, or with what was in the way.
type Dialer func(done func(fd int, cookie []byte, err error))

// wire is a Link's socket. It connects again and again, once a second while that fails.
type wire struct {
	loop   *loop.Loop
	link   *Link
	dial   Dialer
	retry  *loop.Timer
	fd     int
	watch  *loop.Watch // nil: not connected
	dirty  bool        // to be looked at when the turn ends
	buffer [16 << 10]byte
}

// Connect keeps the link connected, for as long as l runs, over what dial gets.
func (k *Link) Connect(l *loop.Loop, dial Dialer) {
	w := &wire{loop: l, link: k, dial: dial, fd: -1}
	w.retry = l.NewTimer(w.connect)
	l.AtTurnEnd(w.turnEnd)
	w.connect()
}

func (w *wire) connect() { w.dial(w.connected) }

func (w *wire) connected(fd int, cookie []byte, err error) {
	if err == nil {
		w.fd = fd
		if err = unix.SetNonblock(fd, true); err == nil {
			w.watch, err = w.loop.Watch(fd, loop.Readable, w.ready)
		}
	}
	if err != nil {
		w.end(err)
		return
	}
	w.link.Begin(cookie, func() { w.dirty = true })
}

// end closes the connection, if there is one, and tries for another later.
func (w *wire) end(err error) {
	if w.watch != nil {
		w.watch.Close()
		w.watch = nil
	}
	if w.fd >= 0 {
		unix.Close(w.fd)
		w.fd = -1
	}
	w.dirty = false
	w.link.End(err)
	w.retry.Set(w.loop.Now() + retryTime)
}

func (w *wire) ready(events loop.Events) {
	w.dirty = true
	if events&(loop.Readable|loop.HungUp) == 0 {
		return
	}
	n, err := transfer(unix.SYS_READ, w.fd, w.buffer[:])
	switch {
	case n > 0:
		w.link.Feed(w.buffer[:n])
	case err == nil:
		w.link.fail(errors.New("the sound server hung up"))
	case err != io.ErrNoProgress:
		w.link.fail(err)
	}
}

// turnEnd writes what the turn has put into the outbox.
func (w *wire) turnEnd() {
	if !w.dirty || w.watch == nil {
		return
	}
	w.dirty = false
	if out := w.link.Outbox(); len(out) > 0 && w.link.Fault() == nil {
		n, err := transfer(unix.SYS_WRITE, w.fd, out)
		if err != nil && err != io.ErrNoProgress {
			w.link.fail(err)
		}
		w.link.Sent(n)
	}
	if err := w.link.Fault(); err != nil {
		w.end(err)
		return
	}
	events := loop.Readable
	if len(w.link.Outbox()) > 0 {
		events |= loop.Writable
	}
	if err := w.watch.Set(events); err != nil {
		w.end(err)
	}
}

// transfer reads or writes a socket that does not block; io.ErrNoProgress says that it would have.
func transfer(call uintptr, fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, io.ErrNoProgress
	}
	return 0, errno
}
