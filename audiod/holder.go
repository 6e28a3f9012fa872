package audiod

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/policy"
)

// Process is a running program as the kernel knows it.
type Process struct {
	PID     int    // 0 when it cannot be told: others' descriptors are hidden from an ordinary user
	UID     uint32 // whose socket it is
	Program string // its short name, "" when it cannot be told
}

func (p Process) String() string {
	switch {
	case p.PID == 0:
		return "a program of " + userName(p.UID)
	case p.Program == "":
		return fmt.Sprintf("pid %d of %s", p.PID, userName(p.UID))
	}
	return fmt.Sprintf("%s (pid %d) of %s", p.Program, p.PID, userName(p.UID))
}

// ErrNobody is returned by Holder when nothing holds the address.
var ErrNobody = errors.New("nobody listens there")

// Holder says who listens on an address of this machine. On a Unix socket it connects, and hangs up at once.
func Holder(a Address) (Process, error) {
	if a.Transport == policy.TCP {
		return holderTCP(a.AddrPort)
	}
	return holderUnix(a.Path)
}

// inUse is the error for an address somebody else holds.
func inUse(a Address) error {
	p, err := Holder(a)
	switch {
	case errors.Is(err, ErrNobody):
		return fmt.Errorf("cannot listen on %v: a socket that does not listen holds it; try again, or choose another address with --listen", a)
	case err != nil:
		return fmt.Errorf("cannot listen on %v: it is in use, and by whom cannot be told (%w); choose another address with --listen", a, err)
	case p.PID == 0:
		return fmt.Errorf("cannot listen on %v: it is in use by %v; choose another address with --listen", a, p)
	}
	return fmt.Errorf("cannot listen on %v: it is in use by %v; stop it with kill %d, or choose another address with --listen", a, p, p.PID)
}

// holderUnix reads the credentials noted at listen(2), see SO_PEERCRED in unix(7).
func holderUnix(path string) (Process, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return Process{}, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return Process{}, ErrNobody
	case err != nil:
		return Process{}, fmt.Errorf("connect: %w", err)
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Process{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return Process{PID: int(cred.Pid), UID: cred.Uid, Program: programName(int(cred.Pid))}, nil
}

// holderTCP looks the port up in /proc/net/tcp and tcp6 (proc(5)), then who has that socket's inode open.
func holderTCP(at netip.AddrPort) (Process, error) {
	var seen bool
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		seen = true
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // sl local remote state queues timer retransmits uid timeout inode …
			const listening = "0A"
			if len(f) < 10 || f[3] != listening || !covers(f[1], at) {
				continue
			}
			uid, _ := strconv.ParseUint(f[7], 10, 32)
			pid := socketOwner(f[9])
			return Process{PID: pid, UID: uint32(uid), Program: programName(pid)}, nil
		}
	}
	if !seen {
		return Process{}, errors.New("/proc/net/tcp cannot be read")
	}
	return Process{}, ErrNobody
}

// covers reports whether a socket bound to local ("0100007F:1269": the address in 32-bit words of the machine's byte order) takes
// connections to at.
func covers(local string, at netip.AddrPort) bool {
	host, port, _ := strings.Cut(local, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	b, herr := hex.DecodeString(host)
	if err != nil || herr != nil || len(b)%4 != 0 || uint16(n) != at.Port() {
		return false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, _ := netip.AddrFromSlice(b)
	addr = addr.Unmap()
	return addr == at.Addr() || addr.IsUnspecified() && (addr.Is6() || at.Addr().Is4())
}

// socketOwner finds a process that has the socket open, and of several the one that started the others; 0 when none is to be seen.
func socketOwner(inode string) int {
	want := "socket:[" + inode + "]"
	holders := map[int]bool{}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); to == want {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			holders[pid] = true
		}
	}
	first := 0
	for pid := range holders {
		if !holders[parent(pid)] && (first == 0 || pid < first) {
			first = pid
		}
	}
	return first
}

// parent is the parent's pid from /proc/PID/stat, where it is the second field after the program's name in brackets.
func parent(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(f) > 1 {
		n, _ := strconv.Atoi(string(f[1]))
		return n
	}
	return 0
}

// programName is the name a process gave itself, which may hold anything.
func programName(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return printable(strings.TrimSuffix(string(comm), "\n"))
}

// printable leaves nothing in s that could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// userName is a user for people: "user ann", or "uid 1001" for one without an account.
func userName(uid uint32) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		return "user " + u.Username
	}
	return fmt.Sprintf("uid %d", uid)
}
