package policy

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a socket knows of itself. None of these calls waits, so the Go runtime is not told of them, as it is of calls that may: its monitor
// thread would wake up for each.

func domain(fd int) (family int32, err error) {
	err = option(fd, unix.SO_DOMAIN, unsafe.Pointer(&family), unsafe.Sizeof(family))
	return family, err
}

func credentials(fd int) (cred unix.Ucred, err error) {
	err = option(fd, unix.SO_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	return cred, err
}

func option(fd, name int, value unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, uintptr(name), uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func peerName(fd int) (netip.AddrPort, error) { return address(unix.SYS_GETPEERNAME, fd) }
func sockName(fd int) (netip.AddrPort, error) { return address(unix.SYS_GETSOCKNAME, fd) }

func address(call uintptr, fd int) (netip.AddrPort, error) {
	var sa unix.RawSockaddrInet6 // which is longer than that of IPv4
	size := uint32(unsafe.Sizeof(sa))
	if _, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}, errno
	}
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:]) // at the same place in both
	switch sa.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr), port), nil
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), port), nil
	}
	return netip.AddrPort{}, errors.New("not an internet address")
}
