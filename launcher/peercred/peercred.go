// Package peercred tells who is at the other end of a Unix socket, by the kernel's word.
package peercred

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// Of is the process at the other end of conn, its user and its group, as they were at connect(2) or listen(2): SO_PEERCRED in unix(7). Any
// goroutine may call it.
func Of(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, ctlErr)
}
