package launcher

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A program that is run from a terminal gets one of the helper's own, a pty, in place of the owner's:
//
//	owner's terminal ─ run, raw mode ─ master ═ pty ═ slave: the program's terminal
//
// What it does there (TIOCSTI, stty, reading what is typed) stays there. The entry program makes the pty, so that the
// slave belongs to the helper, and sends the master to run.
type terminal struct {
	fds     []int // of the standard ones, those that are terminals
	in, out *os.File
	suspend func()

	mu     sync.Mutex
	master *os.File
	saved  *term.State // of the owner's terminal while it is in raw mode
	pid    int         // the program, by the entry program's word
}

// terminalRequest is what the entry program has to make.
type terminalRequest struct {
	FDs   []int        `json:"fds"`
	Size  unix.Winsize `json:"size"`
	Modes unix.Termios `json:"modes"`
}

// How a request wants a terminal, as --tty says it.
const (
	TTYAuto = "auto" // where run is called from one, in the foreground, and its output goes there
	TTYYes  = "yes"
	TTYNo   = "no"
)

func wantsTerminal(asked, configured string) (bool, error) {
	has := slices.ContainsFunc([]*os.File{os.Stdin, os.Stdout, os.Stderr}, isTerminal)
	if asked == "" && (configured != TTYYes || has) { // where there is none, a profile's wish is for nothing
		asked = configured
	}
	switch asked {
	case TTYNo:
		return false, nil
	case TTYYes:
		if !has {
			return false, errors.New("there is no terminal here")
		}
		return true, nil
	case TTYAuto, "":
		return isTerminal(os.Stdin) && isTerminal(os.Stdout) && inForeground(os.Stdin), nil
	}
	return false, fmt.Errorf("tty %q is none of auto, yes, no", asked)
}

func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == syscall.Getpgrp()
}

func newTerminal(files [3]*os.File) *terminal {
	t := &terminal{suspend: func() {}}
	for i, f := range files {
		if !isTerminal(f) {
			continue
		}
		t.fds = append(t.fds, i)
		if i == 0 {
			t.in = f
		} else if t.out == nil {
			t.out = f
		}
	}
	return t
}

// describe is what the helper's terminal shall be like: as the owner's.
func (t *terminal) describe() *terminalRequest {
	if t == nil {
		return nil
	}
	r := &terminalRequest{FDs: t.fds}
	f := t.in
	if f == nil {
		f = t.out
	}
	if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		r.Size = *size
	}
	if modes, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
		r.Modes = *modes
	}
	return r
}

// openTerminal makes the pty and puts its slave in the place of the descriptors that are to be terminals. It returns the
// master, as a list of one, or of none when no terminal is asked for.
func openTerminal(r *terminalRequest, stdio []int) (master []int, err error) {
	if r == nil {
		return nil, nil
	}
	if len(r.FDs) == 0 || slices.ContainsFunc(r.FDs, func(fd int) bool { return fd < 0 || fd >= len(stdio) }) {
		return nil, errors.New("a terminal for no descriptor")
	}
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	// Not by its name, which may be another's in this mount namespace (ioctl_tty(2)).
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, fmt.Errorf("make a terminal: %w", errno)
	}
	slave := int(peer)
	if r.Modes != (unix.Termios{}) {
		err = unix.IoctlSetTermios(slave, unix.TCSETS, &r.Modes)
	}
	if err := errors.Join(err, unix.IoctlSetWinsize(slave, unix.TIOCSWINSZ, &r.Size)); err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	for _, fd := range r.FDs {
		if err := unix.Dup3(slave, stdio[fd], unix.O_CLOEXEC); err != nil {
			return nil, err
		}
	}
	return []int{m}, unix.Close(slave)
}

// isMaster reports whether a descriptor that came from the helper is the master of a pty, and so can be read and written
// without waiting for whoever is behind it.
func isMaster(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		return false
	}
	_, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	return err == nil && unix.SetNonblock(fd, true) == nil
}

// start connects the two terminals. The copy it returns carries what the program writes.
func (t *terminal) start(pid int, master *os.File) *outputCopy {
	t.mu.Lock()
	t.pid, t.master = pid, master
	t.mu.Unlock()
	signal.Ignore(syscall.SIGTTIN) // reading in the background fails then, and does not stop us
	t.take()
	if t.in != nil {
		go t.carryKeys()
	}
	out := t.out
	if out == nil {
		out = t.in // a terminal can be written to, whichever descriptor it is
	}
	return &outputCopy{from: master, to: out, done: make(chan struct{})}
}

// take puts the owner's terminal into raw mode, where it is ours to change: keys then go to the program as they are.
func (t *terminal) take() {
	if t == nil {
		return
	}
	t.mu.Lock()
	if t.saved == nil && t.master != nil && t.in != nil && inForeground(t.in) {
		t.saved, _ = term.MakeRaw(int(t.in.Fd()))
	}
	t.mu.Unlock()
	t.resize()
}

// restore gives the owner's terminal back as it was.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved != nil {
		_ = term.Restore(int(t.in.Fd()), t.saved)
		t.saved = nil
	}
}

// resize makes the helper's terminal as large as the owner's. The kernel tells the program.
func (t *terminal) resize() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.master == nil {
		return
	}
	size := t.describe().Size
	_ = t.control(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size) })
}

// control does something with the master, unless it is closed.
func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(ctlErr, err)
}

// carryKeys carries what the owner types, until the terminal or the program is gone.
func (t *terminal) carryKeys() {
	buf := make([]byte, 4096)
	for {
		n, err := t.in.Read(buf)
		switch {
		case n > 0:
			keys := buf[:n]
			if at := t.suspendKey(keys); at >= 0 {
				_, _ = t.master.Write(keys[:at])
				t.suspend()
				keys = keys[at+1:]
			}
			if _, err := t.master.Write(keys); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		case errors.Is(err, syscall.EIO) && !inForeground(t.in): // in the background what is typed is for others
			time.Sleep(backgroundPoll)
		case err != nil && !errors.Is(err, syscall.EINTR):
			return
		}
	}
}

// backgroundPoll is how soon keys reach the program after its run has come to the foreground again.
const backgroundPoll = 100 * time.Millisecond

// suspendKey finds the key that stops a program, where a shell at the owner's terminal is to have it back: the helper's
// terminal cannot stop the program (the kernel spares orphaned process groups), so that run stops both. A program that
// handles the key or the signal itself gets the key.
func (t *terminal) suspendKey(keys []byte) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := -1
	_ = t.control(func(fd int) error {
		modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil || modes.Lflag&unix.ISIG == 0 || modes.Cc[unix.VSUSP] == 0 {
			return err
		}
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err == nil && group == t.pid && stopsOn(t.pid, syscall.SIGTSTP) {
			at = slices.Index(keys, modes.Cc[unix.VSUSP])
		}
		return err
	})
	return at
}

// stopsOn reports whether a process neither ignores nor catches a signal.
func stopsOn(pid int, sig syscall.Signal) bool {
	for _, field := range []string{"SigIgn", "SigCgt"} {
		if mask, err := signalMask(pid, field); err != nil || mask>>(uint(sig)-1)&1 != 0 {
			return false
		}
	}
	return true
}

// signalMask is a field of /proc/PID/status (proc(5)); bit n-1 is signal n.
func signalMask(pid int, field string) (uint64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\n"+field+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(line, 16, 64)
}
