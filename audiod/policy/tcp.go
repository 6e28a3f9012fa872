package policy

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// CheckTCP makes a connection to itself and looks for it, so that a kernel that cannot say who calls over TCP is found out at the
// start and not by refusing everybody. Call it before the process is confined.
func (r *Rules) CheckTCP() error {
	const advice = "serve the unix socket alone, or load the kernel's tcp_diag module: modprobe tcp_diag"
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fmt.Errorf("checking tcp on loopback: %w", err)
	}
	defer ln.Close()
	conn, err := net.DialTCP("tcp4", nil, ln.Addr().(*net.TCPAddr))
	if err != nil {
		return fmt.Errorf("checking tcp on loopback: %w", err)
	}
	defer conn.Close()
	sock, err := r.kernel.Connected(conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	switch {
	case err != nil:
		return fmt.Errorf("the kernel cannot say who is at the other end of a tcp connection (%w); %s", err, advice)
	case sock.Inode == 0 || int(sock.UID) != unix.Geteuid():
		return fmt.Errorf("the kernel calls a tcp socket of user %d one of user %d (inode %d); %s", unix.Geteuid(), sock.UID, sock.Inode, advice)
	}
	return nil
}
