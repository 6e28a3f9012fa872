package launcher

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// screen is an owner's terminal with run on it.
type screen struct {
	*exec.Cmd
	keys  *os.File // what is typed
	tty   *os.File // the terminal itself
	modes unix.Termios

	mu   sync.Mutex
	text bytes.Buffer
	read int
}

func newScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(m, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{Cmd: cmd, keys: os.NewFile(uintptr(m), "ptmx"), tty: tty}
	s.resize(t, 30, 90)
	modes, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s.modes = *modes
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.keys.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Process.Signal(syscall.SIGCONT)
		s.keys.Close()
		tty.Close()
	})
	return s
}

func (s *screen) resize(t *testing.T, rows, cols uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(s.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		t.Fatal(err)
	}
}

// shows waits until a text comes up on the screen after the last one, and returns the rest of its line.
func (s *screen) shows(t *testing.T, text string) (rest string) {
	t.Helper()
	until(t, "the screen to show "+text, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, after, ok := strings.Cut(s.text.String()[s.read:], text)
		line, _, whole := strings.Cut(after, "\n")
		if ok && whole {
			rest = strings.TrimSpace(line)
			s.read = s.text.Len() - len(after) + len(line)
		}
		return ok && whole
	})
	return rest
}

func (s *screen) types(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// raw reports whether the owner's terminal is not as it was at first.
func (s *screen) raw(t *testing.T) bool {
	t.Helper()
	modes, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *modes != s.modes
}

func TestTerminal(t *testing.T) {
	s := newScreen(t, runCommand(t, planFor(t, "sh", "-c", `echo "on $(tty)"; stty size; trap 'echo now $(stty size)' WINCH; while :; do read -r x && echo "got $x"; done`)))
	on := s.shows(t, "on ")
	if !strings.HasPrefix(on, "/dev/pts/") || on == s.tty.Name() {
		t.Errorf("the program is on %s, the owner on %s", on, s.tty.Name())
	}
	s.shows(t, "30 90")
	until(t, "the owner's terminal to pass keys on", func() bool { return s.raw(t) })
	s.types(t, "hello\r")
	s.shows(t, "hello") // the echo
	s.shows(t, "got hello")
	s.resize(t, 12, 34)
	s.shows(t, "now 12 34")
	s.types(t, "\x03")
	if status := statusOf(t, s.Wait()); status != 130 {
		t.Errorf("status %d after ^C", status)
	}
	if s.raw(t) {
		t.Error("the owner's terminal is not as it was")
	}
}

// ^Z stops the program and gives the owner's terminal back; to go on, all is as before.
func TestTerminalSuspend(t *testing.T) {
	s := newScreen(t, runCommand(t, planFor(t, "cat")))
	until(t, "the owner's terminal to pass keys on", func() bool { return s.raw(t) })
	s.types(t, "one\r")
	s.shows(t, "one")
	s.types(t, "\x1a")
	pid := fmt.Sprint(s.Process.Pid)
	until(t, "run to stop", func() bool { return stateOf(pid) == "T" })
	if s.raw(t) {
		t.Error("the owner's terminal is not given back")
	}
	if err := s.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the owner's terminal to pass keys on again", func() bool { return s.raw(t) })
	s.types(t, "two\r")
	s.shows(t, "two")
	s.shows(t, "two")
	s.types(t, "\x04")
	if status := statusOf(t, s.Wait()); status != 0 {
		t.Errorf("status %d after ^D", status)
	}
}

// A program that is to have no terminal has none, and what it prints is shown.
func TestNoTerminal(t *testing.T) {
	cmd := runCommand(t, planFor(t, "sh", "-c", `tty; echo x >/dev/tty || echo none`))
	cmd.Env = append(os.Environ(), "TEST_TTY=no")
	s := newScreen(t, cmd)
	s.shows(t, "not a tty")
	s.shows(t, "none")
	if status := statusOf(t, s.Wait()); status != 0 {
		t.Errorf("status %d", status)
	}
}

// stiMain types into every terminal that it can reach, as a hostile program does. Where the kernel lets it (sysctl
// dev.tty.legacy_tiocsti), it reaches its own.
func stiMain() int {
	fds := []int{0, 1, 2}
	if tty, err := unix.Open("/dev/tty", unix.O_RDWR, 0); err == nil {
		fds = append(fds, tty)
	}
	for _, fd := range fds {
		for _, c := range []byte("id >/tmp/owned\n") {
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
		}
	}
	fmt.Println("tried", len(fds))
	return 0
}

func TestTerminalInjection(t *testing.T) {
	for _, tty := range []string{"yes", "no"} {
		cmd := runCommand(t, planFor(t, called(t, "sti")))
		cmd.Env = append(os.Environ(), "TEST_TTY="+tty)
		s := newScreen(t, cmd)
		s.shows(t, map[string]string{"yes": "tried 4", "no": "tried 3"}[tty])
		if status := statusOf(t, s.Wait()); status != 0 {
			t.Errorf("status %d", status)
		}
		if n, err := unix.IoctlGetInt(int(s.tty.Fd()), unix.TIOCINQ); err != nil || n != 0 {
			t.Errorf("tty=%s: %d keys wait in the owner's terminal, %v", tty, n, err)
		}
	}
}

// In place of a terminal's master a hostile entry program may send anything; it is not taken.
func TestNotAMaster(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, fd := range []int{pipe[0], pipe[1], int(null.Fd()), -1} {
		if isMaster(fd) {
			t.Errorf("descriptor %d is taken for a terminal", fd)
		}
	}
}
