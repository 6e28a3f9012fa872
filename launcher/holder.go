package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// holder is the process that listens on an address, by the kernel's word.
type holder struct {
	uid int
	pid int // 0 when it cannot be told
}

// String names the holder as a person can look for it.
func (h holder) String() string {
	user := "uid " + strconv.Itoa(h.uid)
	if a, err := accountByUID(h.uid); err == nil {
		user = a.Name
	}
	if h.pid == 0 {
		return "a program of " + user
	}
	return fmt.Sprintf("%s (process %d of %s)", processName(h.pid), h.pid, user)
}

// addressHolder reports who listens on addr, which is written unix:PATH or tcp:127.0.0.1:PORT; ok is false when
// nobody does.
func addressHolder(addr string) (h holder, ok bool, err error) {
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		return unixHolder(path)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "tcp:"))
	if err != nil {
		return holder{}, false, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return holder{}, false, err
	}
	return tcpHolder(uint16(n))
}

// unixHolder asks by connecting: SO_PEERCRED of the client's end names the process that called listen (unix(7)).
func unixHolder(path string) (h holder, ok bool, err error) {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return holder{}, false, nil
	}
	if err != nil {
		return holder{}, false, err
	}
	defer conn.Close()
	cred, err := peerCred(conn.(*net.UnixConn))
	if err != nil {
		return holder{}, false, err
	}
	return holder{uid: int(cred.Uid), pid: int(cred.Pid)}, true, nil
}

// tcpHolder looks the listening socket up in the kernel's table, and its inode among the open files of the processes.
// Sockets bound to every address count, for a connection to loopback reaches them too.
func tcpHolder(port uint16) (h holder, ok bool, err error) {
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return holder{}, false, err
	}
	defer table.Close()
	var inode string
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		uid, node, found := listenerLine(lines.Text(), port)
		if !found {
			continue
		}
		h, inode, ok = holder{uid: uid}, node, true
		if strings.Contains(lines.Text(), ": 0100007F:") {
			break // the address itself goes before the wildcard
		}
	}
	if err := lines.Err(); err != nil || !ok {
		return holder{}, false, err
	}
	h.pid = socketProcess(inode)
	return h, true, nil
}

// listenerLine reads one line of /proc/net/tcp (proc_pid_net(5)) and reports whether it is a socket that listens on
// port of 127.0.0.1 or of every address.
func listenerLine(line string, port uint16) (uid int, inode string, ok bool) {
	const listening = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listening {
		return 0, "", false
	}
	hex := fmt.Sprintf(":%04X", port)
	if f[1] != "0100007F"+hex && f[1] != "00000000"+hex { // little-endian machines
		return 0, "", false
	}
	uid, err := strconv.Atoi(f[7])
	return uid, f[9], err == nil
}

// socketProcess finds the process that has the socket open, and is 0 when none of those that may be read has it.
func socketProcess(inode string) (found int) {
	want := "socket:[" + inode + "]"
	_ = eachProcess(func(pid int) bool {
		dir := "/proc/" + strconv.Itoa(pid) + "/fd"
		fds, err := os.ReadDir(dir)
		if err != nil {
			return true
		}
		for _, fd := range fds {
			if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && target == want {
				found = pid
				return false
			}
		}
		return true
	})
	return found
}

// isDaemon reports whether h can be our daemon: it runs as the daemon's user and, as far as that may be read, it is
// this program. Being of another user is what an impostor cannot avoid; the program tells the owner's own PulseAudio apart.
func (h holder) isDaemon(daemonUID int) bool {
	if h.uid != daemonUID {
		return false
	}
	if h.pid == 0 {
		return true
	}
	exe, err := os.Readlink("/proc/" + strconv.Itoa(h.pid) + "/exe")
	if errors.Is(err, fs.ErrPermission) {
		return true
	}
	self, selfErr := os.Executable()
	if err != nil || selfErr != nil {
		return false
	}
	// By name, not by file: a daemon lives on when the binary is replaced by a newer one.
	return filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == filepath.Base(self)
}

// ending reports whether the holder is on its way out: it has no program any more, and its sockets close in a moment.
func (h holder) ending() bool {
	if h.pid == 0 {
		return false
	}
	_, err := os.Readlink("/proc/" + strconv.Itoa(h.pid) + "/exe")
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

func peerCred(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, ctlErr)
}
