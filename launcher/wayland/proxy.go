package wayland

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

const (
	maxClients = 128
	maxFDs     = 28       // that go with one write (MAX_FDS_OUT in libwayland); more would be lost
	chunk      = 16 << 10 // bytes read at once
)

// Proxy passes the listener's clients of one user on to the compositor until ctx ends, and then ends their connections. A
// client that breaks the protocol loses its connection. It takes the listener over. The error is never nil; after ctx has
// ended it is ctx's.
func (c *Compositor) Proxy(ctx context.Context, listener *os.File, uid int) error {
	l, err := net.FileListener(listener)
	if err := errors.Join(err, listener.Close()); err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var clients sync.WaitGroup
	defer clients.Wait()
	places := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		client, ok := conn.(*net.UnixConn)
		if !ok || !belongs(client, uid) {
			conn.Close()
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		clients.Go(func() {
			c.pass(ctx, client)
			<-places
		})
	}
}

// belongs reports whether a process of that user connected.
func belongs(conn *net.UnixConn, uid int) bool {
	cred, err := peercred.Of(conn)
	return err == nil && int(cred.Uid) == uid
}

// pass carries one connection until either side ends it.
func (c *Compositor) pass(ctx context.Context, client *net.UnixConn) {
	defer client.Close()
	server, err := c.dial(ctx)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() {
		client.Close()
		server.Close()
	})()
	f := newFilter()
	var both sync.WaitGroup
	both.Go(func() {
		_ = carry(server.UnixConn, client, func(m message) (bool, error) { return true, f.request(m) })
		client.Close()
		server.Close()
	})
	both.Go(func() {
		_ = carry(client, server.UnixConn, f.event)
		_ = client.CloseWrite() // what the compositor said last, why it ends it, is still read
		server.Close()
	})
	both.Wait()
}

// carry carries messages and descriptors one way. Descriptors go on no later than the bytes they came with.
func carry(to, from *net.UnixConn, look func(message) (pass bool, err error)) error {
	var pending, out []byte
	buf, oob := make([]byte, chunk), make([]byte, unix.CmsgSpace(4*253)) // as many as the kernel passes at once (SCM_MAX_FD)
	var fds []int
	defer func() { closeAll(fds) }()
	for {
		n, oobn, _, _, err := from.ReadMsgUnix(buf, oob)
		more, rightsErr := rights(oob[:oobn])
		fds = append(fds, more...)
		if err != nil || rightsErr != nil {
			return errors.Join(err, rightsErr)
		}
		if n == 0 {
			return io.EOF
		}
		if len(fds) > maxFDs {
			return errMessage
		}
		pending, out = append(pending, buf[:n]...), out[:0]
		for {
			m, rest, err := next(pending)
			if err != nil {
				return err
			}
			if m == nil {
				break
			}
			pass, err := look(m)
			if err != nil {
				return err
			}
			if pass {
				out = append(out, m...)
			}
			pending = rest
		}
		pending = append([]byte(nil), pending...) // at most one message, 64 KiB
		if len(out) == 0 {
			continue
		}
		if err := write(to, out, fds); err != nil {
			return err
		}
		closeAll(fds)
		fds = fds[:0]
	}
}

// write sends all of b, and the descriptors with its first byte.
func write(to *net.UnixConn, b []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := to.WriteMsgUnix(b, rights, nil)
	if err == nil && n < len(b) {
		_, err = to.Write(b[n:])
	}
	return err
}

func rights(oob []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		more, rightsErr := unix.ParseUnixRights(&messages[i])
		fds, err = append(fds, more...), errors.Join(err, rightsErr)
	}
	return fds, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
