// Package holder answers who listens on an address of this machine, by the kernel's word.
package holder

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
		return "a program of " + UserName(p.UID)
	case p.Program == "":
		return fmt.Sprintf("pid %d of %s", p.PID, UserName(p.UID))
	}
	return fmt.Sprintf("%s (pid %d) of %s", p.Program, p.PID, UserName(p.UID))
}

// ErrNobody is returned when nothing listens on the address.
var ErrNobody = errors.New("nobody listens there")

// Unix says who listens on a Unix socket. It connects, reads the credentials noted at listen(2) (SO_PEERCRED in unix(7)), and hangs up.
func Unix(path string) (Process, error) {
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
	return Process{PID: int(cred.Pid), UID: cred.Uid, Program: ProgramName(int(cred.Pid))}, nil
}

// TCP says who takes connections to at. It looks the port up in /proc/net/tcp and tcp6 (proc(5)), then who has that socket's inode open;
// a socket bound to the very address goes before one bound to all.
func TCP(at netip.AddrPort) (Process, error) {
	seen, inode, found := false, "", Process{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		seen = true
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // sl local remote state queues timer retransmits uid timeout inode …
			const listening = "0A"
			if len(f) < 10 || f[3] != listening {
				continue
			}
			covered, exactly := covers(f[1], at)
			uid, err := strconv.ParseUint(f[7], 10, 32)
			if !covered || err != nil || inode != "" && !exactly {
				continue
			}
			found.UID, inode = uint32(uid), f[9]
		}
	}
	switch {
	case !seen:
		return Process{}, errors.New("/proc/net/tcp cannot be read")
	case inode == "":
		return Process{}, ErrNobody
	}
	found.PID = socketOwner(inode)
	found.Program = ProgramName(found.PID)
	return found, nil
}

// covers reports whether a socket bound to local ("0100007F:1269": the address in 32-bit words of the machine's byte order) takes
// connections to at, and whether that is the very address it is bound to.
func covers(local string, at netip.AddrPort) (covered, exactly bool) {
	host, port, _ := strings.Cut(local, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	b, herr := hex.DecodeString(host)
	if err != nil || herr != nil || len(b)%4 != 0 || uint16(n) != at.Port() {
		return false, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, _ := netip.AddrFromSlice(b)
	addr = addr.Unmap()
	exactly = addr == at.Addr()
	return exactly || addr.IsUnspecified() && (addr.Is6() || at.Addr().Is4()), exactly
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

// ProgramName is the name a process gave itself, as ps shows it, fit to be shown; "" when there is no such process.
func ProgramName(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return Printable(strings.TrimSuffix(string(comm), "\n"))
}

// Printable leaves nothing in s that could steer a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// UserName is a user for people: "user ann", or "uid 1001" for one without an account.
func UserName(uid uint32) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		return "user " + u.Username
	}
	return fmt.Sprintf("uid %d", uid)
}
