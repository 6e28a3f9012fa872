package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Who is at the other end of a loopback TCP connection is asked through sock_diag(7): one request for an exact four-tuple, one answer.
// The kernel answers within the send itself, so nothing here waits; the receive time-out is for a kernel that breaks that habit.

// Sizes and offsets from linux/netlink.h and linux/inet_diag.h. Ports and addresses are in network order, all else in the machine's.
const (
	sockDiagByFamily = 20                 // SOCK_DIAG_BY_FAMILY
	headerLen        = 16                 // struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32
	sockIDLen        = 48                 // struct inet_diag_sockid: sport, dport, src[4], dst[4], interface, cookie[2]
	requestLen       = 8 + sockIDLen      // struct inet_diag_req_v2: family, protocol, ext, pad, states u32, id
	answerLen        = 4 + sockIDLen + 20 // struct inet_diag_msg: family, state, timer, retrans, id, expires, rqueue, wqueue, uid, inode
)

var errNotFound = errors.New("no such connection")

// socket is what the kernel says about one end of a TCP connection.
type socket struct {
	state  uint8
	uid    uint32
	inode  uint32
	cookie uint64
}

// diag holds the netlink socket for the questions.
type diag struct {
	fd  int
	seq uint32
}

func (d *diag) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("sock_diag netlink socket: %w", err)
	}
	tv := unix.Timeval{Usec: 200_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return fmt.Errorf("sock_diag netlink socket: %w", err)
	}
	d.fd = fd
	return nil
}

func (d *diag) close() error { return unix.Close(d.fd) }

// find asks for the TCP socket bound to local and connected to remote. A listening socket on the same address does not count.
func (d *diag) find(local, remote netip.AddrPort) (socket, error) {
	d.seq++
	if err := unix.Sendto(d.fd, request(d.seq, local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, fmt.Errorf("sock_diag request: %w", err)
	}
	var buf [4096]byte
	for {
		n, from, err := unix.Recvfrom(d.fd, buf[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return socket{}, errors.New("sock_diag: no answer within 200 ms")
		case err != nil:
			return socket{}, fmt.Errorf("sock_diag answer: %w", err)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not from the kernel
		}
		seq, sock, err := parseAnswer(buf[:n], local, remote)
		if seq == d.seq {
			return sock, err
		} // else the late answer to a question given up
	}
}

func request(seq uint32, local, remote netip.AddrPort) []byte {
	b := make([]byte, headerLen+requestLen)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], sockDiagByFamily)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	ne.PutUint32(b[8:], seq)
	r := b[headerLen:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	ne.PutUint32(r[4:], ^uint32(0)) // any state: the caller wants to know which
	id := r[8:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	ne.PutUint64(id[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

// parseAnswer takes one netlink datagram apart. Its sequence number is 0 when it holds none.
func parseAnswer(b []byte, local, remote netip.AddrPort) (seq uint32, sock socket, err error) {
	ne := binary.NativeEndian
	if len(b) < headerLen || int(ne.Uint32(b)) < headerLen || int(ne.Uint32(b)) > len(b) {
		return 0, socket{}, errors.New("sock_diag: malformed answer")
	}
	seq = ne.Uint32(b[8:])
	kind, m := ne.Uint16(b[4:]), b[headerLen:ne.Uint32(b)]
	if kind == unix.NLMSG_ERROR && len(m) >= 4 {
		errno := syscall.Errno(-int32(ne.Uint32(m)))
		if errno == unix.ENOENT {
			return seq, socket{}, errNotFound
		}
		return seq, socket{}, fmt.Errorf("sock_diag: %w", errno)
	}
	if kind != sockDiagByFamily || len(m) < answerLen {
		return seq, socket{}, errors.New("sock_diag: malformed answer")
	}
	id := m[4:]
	src := addrPort(m[0], id[4:20], binary.BigEndian.Uint16(id[0:]))
	dst := addrPort(m[0], id[20:36], binary.BigEndian.Uint16(id[2:]))
	if src != local || dst != remote {
		return seq, socket{}, errNotFound // a listening socket, found for want of a connected one
	}
	rest := m[4+sockIDLen:]
	return seq, socket{
		state:  m[1],
		uid:    ne.Uint32(rest[12:]),
		inode:  ne.Uint32(rest[16:]),
		cookie: ne.Uint64(id[40:]),
	}, nil
}

// addrPort reads an address of the answer; an IPv6 socket that talks IPv4 shows mapped addresses (ipv6(7)), which are the IPv4 ones.
func addrPort(family uint8, b []byte, port uint16) netip.AddrPort {
	if family == unix.AF_INET {
		b = b[:4]
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), port)
}

func peerName(fd int) (netip.AddrPort, error) { return name(unix.Getpeername(fd)) }
func sockName(fd int) (netip.AddrPort, error) { return name(unix.Getsockname(fd)) }

func name(sa unix.Sockaddr, err error) (netip.AddrPort, error) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), err
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), err
	}
	if err == nil {
		err = errors.New("not an internet address")
	}
	return netip.AddrPort{}, err
}

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
	sock, err := r.diag.find(conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	switch {
	case err != nil:
		return fmt.Errorf("the kernel cannot say who is at the other end of a tcp connection (%w); %s", err, advice)
	case sock.inode == 0 || int(sock.uid) != unix.Geteuid():
		return fmt.Errorf("the kernel calls a tcp socket of user %d one of user %d (inode %d); %s", unix.Geteuid(), sock.uid, sock.inode, advice)
	}
	return nil
}
