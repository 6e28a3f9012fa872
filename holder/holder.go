// Package holder answers who listens on an address of this machine, by the kernel's word.
package holder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"sandbox-audio/sockdiag"
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

// TCP says who takes connections to at, by sock_diag(7) and then by who has that socket open; a socket bound to the very address goes before
// one bound to all. The likely processes are looked at before all others.
func TCP(at netip.AddrPort, likely ...int) (Process, error) {
	kernel, err := sockdiag.Open()
	if err != nil {
		return Process{}, err
	}
	defer kernel.Close()
	socket, err := kernel.Listening(at)
	if errors.Is(err, sockdiag.ErrNotFound) {
		return Process{}, ErrNobody
	} else if err != nil {
		return Process{}, err
	}
	pid := socketOwner(socket.Inode, likely)
	return Process{PID: pid, UID: socket.UID, Program: ProgramName(pid)}, nil
}

// socketOwner finds a process that has the socket open: a likely one, or else of several the one that started the others; 0 when none is
// to be seen.
func socketOwner(inode uint32, likely []int) int {
	socket := fmt.Sprintf("socket:[%d]", inode)
	for _, pid := range likely {
		if holds(pid, socket) {
			return pid
		}
	}
	holders := map[int]bool{}
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		if pid, err := strconv.Atoi(p.Name()); err == nil && holds(pid, socket) {
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

// holds reports whether a process is seen to have a file open, by its name in /proc/PID/fd.
func holds(pid int, file string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, _ := os.ReadDir(dir)
	return slices.ContainsFunc(fds, func(fd fs.DirEntry) bool {
		to, _ := os.Readlink(dir + "/" + fd.Name())
		return to == file
	})
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
