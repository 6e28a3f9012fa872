// Package sockdiag asks the kernel about one TCP socket of this machine (sock_diag(7)): who is at the other end of a loopback connection,
// who takes the connections to an address. One request for an exact address, one answer; the tables in /proc/net cost milliseconds.
package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel answers within the send itself, so nothing here waits; the receive time-out is for a kernel that breaks that habit. So the Go
// runtime is not told of the two calls, as it is of calls that may wait: its monitor thread would wake up for each and cost more than they do.

// Sizes and offsets from linux/netlink.h and linux/inet_diag.h. Ports and addresses are in network order, all else in the machine's.
const (
	sockDiagByFamily = 20                 // SOCK_DIAG_BY_FAMILY
	headerLen        = 16                 // struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32
	sockIDLen        = 48                 // struct inet_diag_sockid: sport, dport, src[4], dst[4], interface, cookie[2]
	requestLen       = 8 + sockIDLen      // struct inet_diag_req_v2: family, protocol, ext, pad, states u32, id
	answerLen        = 4 + sockIDLen + 20 // struct inet_diag_msg: family, state, timer, retrans, id, expires, rqueue, wqueue, uid, inode
)

// ErrNotFound is the answer where there is no such socket.
var ErrNotFound = errors.New("no such socket")

// Socket is what the kernel says about a TCP socket.
type Socket struct {
	State  uint8  // unix.BPF_TCP_ESTABLISHED and so on
	UID    uint32 // its owner's, which says nothing where Inode is 0
	Inode  uint32 // 0 when no process has it any more
	Cookie uint64 // of no other socket since the machine was started

	local, remote netip.AddrPort
}

// Kernel holds the netlink socket for the questions. One goroutine at a time may use it.
type Kernel struct {
	fd  int
	seq uint32
	buf [4096]byte // for a request, and then its answer
}

// Open makes the netlink socket.
func Open() (*Kernel, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag netlink socket: %w", err)
	}
	tv := unix.Timeval{Usec: 200_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("sock_diag netlink socket: %w", err)
	}
	return &Kernel{fd: fd}, nil
}

// Close gives the descriptor back.
func (k *Kernel) Close() error { return unix.Close(k.fd) }

// Connected asks for the TCP socket bound to local and connected to remote. A listening socket on the same address does not count. The
// error is ErrNotFound when there is none.
func (k *Kernel) Connected(local, remote netip.AddrPort) (Socket, error) {
	s, err := k.ask(local, remote)
	if err == nil && (s.local != local || s.remote != remote) {
		return Socket{}, ErrNotFound // a listening socket, found for want of a connected one
	}
	return s, err
}

// Listening asks for the TCP socket that takes connections to at, be it bound to that address or to all. The error is ErrNotFound when
// there is none.
func (k *Kernel) Listening(at netip.AddrPort) (Socket, error) {
	anyone := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		anyone = netip.IPv6Unspecified()
	}
	s, err := k.ask(at, netip.AddrPortFrom(anyone, 0))
	if err == nil && s.State != unix.BPF_TCP_LISTEN {
		return Socket{}, ErrNotFound
	}
	return s, err
}

func (k *Kernel) ask(local, remote netip.AddrPort) (Socket, error) {
	k.seq++
	request := appendRequest(k.buf[:0], k.seq, local, remote)
	kernel := unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}
	if _, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(k.fd), uintptr(unsafe.Pointer(&request[0])), uintptr(len(request)), 0,
		uintptr(unsafe.Pointer(&kernel)), unsafe.Sizeof(kernel)); errno != 0 {
		return Socket{}, fmt.Errorf("sock_diag request: %w", errno)
	}
	for {
		var from unix.RawSockaddrNetlink
		size := uint32(unsafe.Sizeof(from))
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(k.fd), uintptr(unsafe.Pointer(&k.buf[0])), uintptr(len(k.buf)), 0,
			uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return Socket{}, errors.New("sock_diag: no answer within 200 ms")
		case errno != 0:
			return Socket{}, fmt.Errorf("sock_diag answer: %w", errno)
		}
		if from.Family != unix.AF_NETLINK || from.Pid != 0 {
			continue // not from the kernel
		}
		seq, sock, err := parseAnswer(k.buf[:n])
		if seq == k.seq {
			return sock, err
		} // else the late answer to a question given up
	}
}

func appendRequest(b []byte, seq uint32, local, remote netip.AddrPort) []byte {
	ne := binary.NativeEndian
	b = ne.AppendUint32(b, headerLen+requestLen)
	b = ne.AppendUint16(b, sockDiagByFamily)
	b = ne.AppendUint16(b, unix.NLM_F_REQUEST)
	b = ne.AppendUint32(b, seq)
	b = ne.AppendUint32(b, 0) // the kernel's port
	family := byte(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = ne.AppendUint32(b, ^uint32(0)) // any state: the caller wants to know which
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	b = appendAddr(b, local.Addr())
	b = appendAddr(b, remote.Addr())
	b = ne.AppendUint32(b, 0)             // any interface
	return ne.AppendUint64(b, ^uint64(0)) // INET_DIAG_NOCOOKIE
}

// appendAddr appends the 16 bytes that an address has in struct inet_diag_sockid.
func appendAddr(b []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		four := addr.As4()
		return append(append(b, four[:]...), make([]byte, 12)...)
	}
	sixteen := addr.As16()
	return append(b, sixteen[:]...)
}

// parseAnswer takes one netlink datagram apart. Its sequence number is 0 when it holds none.
func parseAnswer(b []byte) (seq uint32, sock Socket, err error) {
	ne := binary.NativeEndian
	if len(b) < headerLen || int(ne.Uint32(b)) < headerLen || int(ne.Uint32(b)) > len(b) {
		return 0, Socket{}, errors.New("sock_diag: malformed answer")
	}
	seq = ne.Uint32(b[8:])
	kind, m := ne.Uint16(b[4:]), b[headerLen:ne.Uint32(b)]
	if kind == unix.NLMSG_ERROR && len(m) >= 4 {
		errno := syscall.Errno(-int32(ne.Uint32(m)))
		if errno == unix.ENOENT {
			return seq, Socket{}, ErrNotFound
		}
		return seq, Socket{}, fmt.Errorf("sock_diag: %w", errno)
	}
	if kind != sockDiagByFamily || len(m) < answerLen {
		return seq, Socket{}, errors.New("sock_diag: malformed answer")
	}
	id := m[4:]
	src := addrPort(m[0], id[4:20], binary.BigEndian.Uint16(id[0:]))
	dst := addrPort(m[0], id[20:36], binary.BigEndian.Uint16(id[2:]))
	rest := m[4+sockIDLen:]
	return seq, Socket{
		State:  m[1],
		UID:    ne.Uint32(rest[12:]),
		Inode:  ne.Uint32(rest[16:]),
		Cookie: ne.Uint64(id[40:]),
		local:  src, remote: dst,
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
