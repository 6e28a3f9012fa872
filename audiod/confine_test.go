package audiod

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/policy"
)

func init() {
	roles["role:speaker"] = speak
	roles["role:free"] = func(args []string) { newCell(args[0]).attemptAll() }
	roles["role:confined"] = func(args []string) {
		c := newCell(args[0])
		how, err := Confine(ConfineOptions{Write: []string{c.dir + "/song.wav", c.dir + "/state"}})
		if err != nil {
			fmt.Println("confine:", err)
			return
		}
		fmt.Fprintln(os.Stderr, how)
		c.attemptAll()
		c.serve()
	}
}

// speak says hello to an address and prints what comes back.
func speak(args []string) {
	conn, err := net.Dial(args[0], args[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(conn, "hello")
	b := make([]byte, 5)
	_, err = io.ReadFull(conn, b)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(b))
}

// cell is the process the tests confine, with what it opened before. Its folder has the owner's secret, song.wav, state/ and snd/.
type cell struct {
	dir        string
	tcp, local net.Listener
	rules      *policy.Rules
	other      int    // another process of the same user
	socks      [2]int // tcp and unix, not connected
	node       int    // a device, not ALSA's
}

func newCell(dir string) *cell {
	soundFolder = dir + "/snd"
	c := &cell{dir: dir}
	var errs [7]error
	c.tcp, errs[0] = net.Listen("tcp4", "127.0.0.1:0")
	c.local, errs[1] = net.Listen("unix", dir+"/native")
	c.rules, errs[2] = policy.NewRules([]uint32{uint32(os.Getuid())}, nil)
	c.socks[0], errs[3] = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	c.socks[1], errs[4] = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	c.node, errs[5] = unix.Open(dir+"/snd/node", unix.O_RDWR|unix.O_CLOEXEC, 0)
	sleep := exec.Command("/bin/sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	errs[6] = sleep.Start()
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	c.other = sleep.Process.Pid
	go func() { runtime.LockOSThread(); select {} }() // a thread that does nothing must be confined too
	return c
}

// forbidden is what a taken-over worker would like to do, and the error it must get; every process may do it otherwise, or gets another error.
var forbidden = []struct {
	what string
	want syscall.Errno
	try  func(c *cell) error
}{
	// Landlock
	{"read the owner's file", unix.EACCES, func(c *cell) error { return open(c.dir+"/secret", unix.O_RDONLY) }},
	{"write the owner's file", unix.EACCES, func(c *cell) error { return open(c.dir+"/secret", unix.O_WRONLY) }},
	{"make a file", unix.EACCES, func(c *cell) error { return open(c.dir+"/new", unix.O_CREAT|unix.O_WRONLY) }},
	{"remove a file", unix.EACCES, func(c *cell) error { return unix.Unlink(c.dir + "/spare") }},
	{"list a folder", unix.EACCES, func(c *cell) error { return open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY) }},
	{"list /etc", unix.EACCES, func(c *cell) error { return open("/etc", unix.O_RDONLY|unix.O_DIRECTORY) }},
	{"read another's memory map", unix.EACCES, func(c *cell) error { return open(fmt.Sprintf("/proc/%d/maps", c.other), unix.O_RDONLY) }},
	// seccomp
	{"start a program", unix.EPERM, func(c *cell) error {
		_, _, err := syscall.StartProcess("/bin/true", []string{"true"}, &syscall.ProcAttr{})
		return err
	}},
	{"fork", unix.EPERM, func(c *cell) error { return sys(unix.SYS_CLONE, unix.CLONE_THREAD<<32) }}, // clone(0): the child is a copy
	{"trace another", unix.EPERM, func(c *cell) error { return unix.PtraceSeize(c.other) }},
	{"read another's memory", unix.EPERM, func(c *cell) error { return sys(unix.SYS_PROCESS_VM_READV, uintptr(c.other)) }},
	{"make a tcp socket", unix.EPERM, func(c *cell) error { return newSocket(unix.AF_INET) }},
	{"make a unix socket", unix.EPERM, func(c *cell) error { return newSocket(unix.AF_UNIX) }},
	{"connect a tcp socket", unix.EPERM, func(c *cell) error {
		at := c.tcp.Addr().(*net.TCPAddr)
		return unix.Connect(c.socks[0], &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())})
	}},
	{"connect a unix socket", unix.EPERM, func(c *cell) error {
		return unix.Connect(c.socks[1], &unix.SockaddrUnix{Name: c.dir + "/native"})
	}},
	{"set its own user", unix.EPERM, func(c *cell) error { return sys(unix.SYS_SETUID, uintptr(os.Getuid())) }},
	{"set its own group", unix.EPERM, func(c *cell) error { return sys(unix.SYS_SETGID, uintptr(os.Getgid())) }},
	{"signal another process", unix.EPERM, func(c *cell) error { return unix.Kill(c.other, 0) }},
	{"change another's limits", unix.EPERM, func(c *cell) error { return unix.Prlimit(c.other, unix.RLIMIT_CORE, nil, new(unix.Rlimit)) }},
	{"unshare", unix.EPERM, func(c *cell) error { return sys(unix.SYS_UNSHARE, 0) }},
	{"use a key ring", unix.EPERM, func(c *cell) error { return sys(unix.SYS_KEYCTL, 12345) }},
	{"use io_uring", unix.EPERM, func(c *cell) error { return sys(unix.SYS_IO_URING_SETUP, 0, 0) }},
	{"use userfaultfd", unix.EPERM, func(c *cell) error { return sys(unix.SYS_USERFAULTFD, 1<<20|1) }},
	{"type into a terminal", unix.EPERM, func(c *cell) error { return ioctl(c.node, 0x5412) }}, // TIOCSTI
	{"type into a terminal, upper bits set", unix.EPERM, func(c *cell) error { return ioctl(c.node, 1<<32|0x5412) }},
	{"change a console's keys", unix.EPERM, func(c *cell) error { return ioctl(c.node, 0x4B47) }}, // KDSKBENT
	{"become a program", unix.EPERM, func(c *cell) error { return syscall.Exec("/bin/echo", []string{"echo", "become a program: 0"}, nil) }},
}

func sys(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if nr == unix.SYS_CLONE && errno == 0 && r == 0 {
		syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func ioctl(fd int, request uintptr) error {
	b := make([]byte, 256)
	return sys(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&b[0])))
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func newSocket(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// attemptAll tells the error number of each attempt; 0 is success.
func (c *cell) attemptAll() {
	for _, f := range forbidden {
		var errno syscall.Errno
		if err := f.try(c); err != nil && !errors.As(err, &errno) {
			fmt.Printf("%s: %v\n", f.what, err)
		} else {
			fmt.Printf("%s: %d\n", f.what, errno)
		}
	}
}

// serve does what a worker goes on doing, and tells what failed.
func (c *cell) serve() {
	must := func(what string, err error) {
		if err != nil {
			fmt.Printf("%s: %v\n", what, err)
		}
	}
	for _, path := range []string{"/proc/self/status", "/etc/passwd"} {
		_, err := os.ReadFile(path)
		must(path, err)
	}
	must("lock", lockOnce(c.dir+"/song.wav"))
	must("song", os.WriteFile(c.dir+"/song.wav", []byte("RIFF"), 0)) // opened and truncated
	must("state", os.WriteFile(c.dir+"/state/new", []byte("x"), 0o600))
	must("state renamed", os.Rename(c.dir+"/state/new", c.dir+"/state/volumes"))
	if err := ioctl(c.node, 'A'<<8|0x40); err != unix.ENOTTY { // reaches the driver, which is not ALSA's
		fmt.Println("request to the card:", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { runtime.LockOSThread(); time.Sleep(time.Millisecond) }) // threads come and go
	}
	wg.Wait()
	runtime.GC()
	_, err := policy.NewRules(nil, nil)
	must("new rules", err)

	fmt.Println("serving", c.tcp.Addr(), c.local.Addr())
	for _, ln := range []net.Listener{c.tcp, c.local} {
		conn, err := ln.Accept()
		must("accept", err)
		raw, err := conn.(syscall.Conn).SyscallConn()
		must("accept", err)
		raw.Control(func(fd uintptr) {
			_, _, err := c.rules.Admit(int(fd))
			must("admit", err)
		})
		b := make([]byte, 5)
		_, err = io.ReadFull(conn, b)
		must("read", err)
		_, err = conn.Write(b)
		must("write", err)
		conn.Close()
	}
	io.ReadAll(os.Stdin) // until a card is plugged in
	must("later card", open(c.dir+"/snd/later", unix.O_RDWR))
	fmt.Println("served")
	panic("a crash is told, and ends the process")
}

// lockOnce opens a file and locks it, as the wav device does.
func lockOnce(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// cellFolder is what a cell works in.
func cellFolder(t *testing.T) string {
	uid := os.Getuid()
	if uid == 0 {
		uid = ownerUID
	}
	dir := openFolder(t, uid)
	for _, name := range []string{"state", "snd"} {
		if err := os.Mkdir(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"secret", "spare", "song.wav", "snd/node"} {
		if err := os.WriteFile(dir+"/"+name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		os.Remove(dir + "/snd/node")
		if err := unix.Mknod(dir+"/snd/node", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"state", "snd", "secret", "spare", "song.wav", "snd/node"} {
			os.Chown(dir+"/"+name, uid, uid)
		}
	}
	return dir
}

func TestConfine(t *testing.T) {
	if v, err := llsys.LandlockGetABIVersion(); err != nil || v < 1 {
		t.Skip("this kernel has no Landlock: ", err)
	}
	free := spawn(t, ownerUID, nil, "role:free", cellFolder(t))
	dir := cellFolder(t)
	c := spawn(t, ownerUID, nil, "role:confined", dir)
	for _, f := range forbidden {
		refused := fmt.Sprintf("%s: %d", f.what, f.want)
		if got := free.line(); got == refused || !strings.HasPrefix(got, f.what+": ") {
			t.Errorf("free: %q, so being confined makes no difference", got)
		}
		if got := c.line(); got != refused {
			t.Errorf("confined: %q, want %q (%v)", got, refused, f.want)
		}
	}
	var at [2]string
	if got := c.line(); !strings.HasPrefix(got, "serving ") {
		t.Fatalf("confined: %s", got)
	} else {
		fmt.Sscan(strings.TrimPrefix(got, "serving "), &at[0], &at[1])
	}
	if !strings.Contains(c.stderr(), "landlock ABI ") || !strings.Contains(c.stderr(), ", seccomp\n") {
		t.Errorf("said %q", c.stderr())
	}
	for i, network := range []string{"tcp", "unix"} {
		if got := spawn(t, ownerUID, nil, "role:speaker", network, at[i]).line(); got != "hello" {
			t.Errorf("%s: echo of hello is %q", network, got)
		}
	}
	if err := os.WriteFile(dir+"/snd/later", nil, 0o666); err != nil { // a card is plugged in
		t.Fatal(err)
	}
	os.Chmod(dir+"/snd/later", 0o666)
	c.in.Close()
	if got := c.line(); got != "served" {
		t.Errorf("confined: %s", got)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(c.stderr(), "panic: a crash is told") {
		t.Errorf("crash: %v, %s", err, c.stderr())
	}
	for name, want := range map[string]string{"secret": "mine", "spare": "mine", "song.wav": "RIFF", "state/volumes": "x"} {
		if b, err := os.ReadFile(dir + "/" + name); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; want %q", name, b, err, want)
		}
	}
}

func TestConfineRoot(t *testing.T) {
	needRoot(t)
	_, err := Confine(ConfineOptions{})
	wantError(t, err, "never served as root")
}
