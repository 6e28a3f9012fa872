package launcher

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The helper's session bus. Its socket is there for every program; the bus itself is started by the first that connects,
// because most of what is run needs none.
//
//	entry program   listens, and has the next two started when somebody connects, or when it ends before the others do
//	  └ keeper      "enter @bus": ends the bus, and all that the bus has started, when the session's last program has ended
//	     └ daemon   "enter @bus-daemon", which becomes dbus-daemon with the socket as descriptor 3 (sd_listen_fds(3))
//
// Whoever serves the bus holds its lock file locked; the keeper inherits that with the socket.
type bus struct {
	daemon string // dbus-daemon
	dir    string
	env    []string
	held   confinement
	mu     sync.Mutex
	socket *os.File // listens; nil once the keeper has it
	lock   *os.File
}

const (
	busSocket = "bus"
	busLock   = ".bus"

	keeperArg    = "@bus"
	busDaemonArg = "@bus-daemon"
)

// busAddress is what DBUS_SESSION_BUS_ADDRESS says.
func busAddress(runtimeDir string) string { return "unix:path=" + filepath.Join(runtimeDir, busSocket) }

// serveBus makes the session's bus, unless another serves it or there is none to be had. The session is locked.
func serveBus(dir string, req request) (*bus, error) {
	if req.Bus == "" {
		return nil, nil
	}
	path := filepath.Join(dir, busSocket)
	if isLoginDir(dir) {
		if conn, err := net.Dial("unix", path); err == nil {
			return nil, conn.Close() // the login's
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, busLock), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return nil, lock.Close()
	} else if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	socket, err := listenAt(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	env := req.Env
	if req.Wayland != "" {
		env = append(without(env, "WAYLAND_DISPLAY"), "WAYLAND_DISPLAY="+waylandAny)
	}
	return &bus{daemon: req.Bus, dir: dir, env: env, held: req.Confined, socket: os.NewFile(uintptr(socket), busSocket), lock: lock}, nil
}

// startWhenNeeded has the keeper started when somebody connects. Once that has the socket, others accept, and this waits
// in vain.
func (b *bus) startWhenNeeded() {
	if b == nil {
		return
	}
	socket := []unix.PollFd{{Fd: int32(b.socket.Fd()), Events: unix.POLLIN}}
	go func() {
		for {
			n, err := unix.Poll(socket, -1)
			if err == unix.EINTR {
				continue
			}
			if err == nil && n > 0 {
				_ = b.start() // whoever connected is told by the end of the connection
			}
			return
		}
	}()
}

// start hands the socket to a keeper.
func (b *bus) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket == nil {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	held, err := json.Marshal(b.held)
	if err != nil {
		return err
	}
	fd := null.Fd()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{EntryName, keeperArg, b.dir, b.daemon, string(held)}, &syscall.ProcAttr{
		Dir: "/", Env: b.env,
		Files: []uintptr{fd, fd, fd, b.socket.Fd(), b.lock.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	go func() { _, _ = syscall.Wait4(pid, nil, 0, nil) }() // it may end before us
	b.socket.Close()
	b.lock.Close()
	b.socket = nil
	return nil
}

// leave ends this entry program's part: when others stay in the session, a keeper serves on.
func (b *bus) leave(last bool) error {
	if b == nil {
		return nil
	}
	if !last {
		return b.start()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket != nil {
		b.socket.Close()
		b.lock.Close()
		b.socket = nil
		_ = os.Remove(filepath.Join(b.dir, busSocket))
	}
	return nil
}

// busInUse reports whether somebody serves the session's bus.
func busInUse(dir string) bool {
	lock, err := os.OpenFile(filepath.Join(dir, busLock), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return flock(lock, unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// keepBus is the keeper: it runs the bus until the session has no program any more, and then leaves nothing of either.
func keepBus(dir, daemon, confined string) error {
	var held confinement
	if err := json.Unmarshal([]byte(confined), &held); err != nil {
		return err
	}
	if err := held.guard(); err != nil {
		return err
	}
	const socket, lock = 3, 4
	unix.CloseOnExec(lock)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	pidfd := -1
	pid, err := held.start("/proc/self/exe", []string{EntryName, busDaemonArg, daemon}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2, socket},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	})
	_ = unix.Close(socket)
	if err != nil {
		return err
	}
	unused := make(chan func(), 1)
	go func() {
		unused <- awaitUnused(dir)
		for unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0) == nil { // until it is reaped: before it is dbus-daemon it takes no notice
			time.Sleep(pollEvery)
		}
	}()
	for {
		if ended, err := syscall.Wait4(-1, nil, 0, nil); err != syscall.EINTR && (err != nil || ended == pid) {
			break
		}
	}
	endChildren()
	select {
	case unlock := <-unused:
		defer unlock()
		(&session{dir: dir}).clear(busSocket, busLock)
		_ = os.Remove(filepath.Join(dir, rulesFile))
	default: // the bus has ended before the session
	}
	_ = os.Remove(filepath.Join(dir, busSocket))
	_ = os.Remove(filepath.Join(dir, busLock))
	return nil
}

// awaitUnused returns with the session's lock when it has no users.
func awaitUnused(dir string) (unlock func()) {
	for ; ; time.Sleep(pollEvery) {
		unlock, err := lockDir(dir)
		if err != nil {
			continue
		}
		users, err := os.OpenFile(filepath.Join(dir, usersFile), os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return unlock
		}
		alone := flock(users, unix.LOCK_EX|unix.LOCK_NB) == nil
		if alone {
			users.Close()
			return unlock
		}
		unlock()
		_ = flock(users, unix.LOCK_EX) // with nobody's lock held: the last one to leave needs it
		users.Close()
	}
}

// endChildren ends all that the bus has started, which are this process's children by now.
func endChildren() {
	for _, round := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGTERM, time.Second}, {syscall.SIGKILL, killWait}} {
		told := map[int]bool{}
		for end := time.Now().Add(round.wait); time.Now().Before(end); time.Sleep(pollEvery) {
			_ = eachProcess(func(pid int) bool {
				if !told[pid] && parentOf(pid) == os.Getpid() {
					told[pid] = true
					_ = syscall.Kill(pid, round.sig)
				}
				return true
			})
			for {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				if err == syscall.ECHILD {
					return
				}
				if pid <= 0 {
					break
				}
			}
		}
	}
}

// becomeBusDaemon is dbus-daemon, on the socket that is descriptor 3.
func becomeBusDaemon(path string) error {
	env := append(os.Environ(), "LISTEN_FDS=1", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	return syscall.Exec(path, []string{path, "--session", "--nofork", "--nopidfile", "--nosyslog", "--address=systemd:"}, env)
}
