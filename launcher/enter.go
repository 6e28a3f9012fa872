package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

// EntryName is what the entry program is called; a binary started under this name must call Enter and nothing else.
const EntryName = "enter"

// orphanGrace is what a program has to end after SIGTERM when its owner's run is gone.
const orphanGrace = 2 * time.Second

// Statuses of run that are not the program's own, as in env(1) and nohup(1).
const (
	StatusFailed        = 125 // sandbox-audio itself failed
	StatusCannotExecute = 126 // the program is there and cannot be run
	StatusNotFound      = 127 // the program is not there
)

// forwarded are the signals that run passes on to the program.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGCONT, syscall.SIGTSTP,
}

// Enter is the entry program: sudo or su starts it as the helper with the name of run's socket and run's uid. It takes
// the request from there, runs the program as its child in a session of its own, passes signals on, and tells how
// the program ended. When run goes away the program is ended. Enter returns the exit status of the process.
func Enter(args []string) int {
	if len(args) > 0 && !strings.HasPrefix(args[0], runSocket) { // for those see enter
		runtime.LockOSThread()
		if args[0] != confinedArg {
			signal.Notify(make(chan os.Signal, 1)) // takes and drops every signal, which costs milliseconds
		}
	}
	var code int
	var err error
	switch {
	case len(args) == 4 && args[0] == keeperArg:
		err = keepBus(args[1], args[2], args[3])
	case len(args) == 2 && args[0] == busDaemonArg:
		err = becomeBusDaemon(args[1])
	case len(args) > 0 && args[0] == devicesArg:
		err = keepDevices(args[1:])
	case len(args) > 2 && args[0] == confinedArg:
		err = enterConfined(args[1], args[2:])
	case len(args) > 0 && args[0] == probeArg:
		err = json.NewEncoder(os.Stdout).Encode(lookAround(args[1:]))
	case len(args) > 2 && args[0] == signalArg:
		err = sendSignal(args[1:])
	default:
		code, err = enter(args)
	}
	if err != nil && code == 0 {
		code = 1
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

func enter(args []string) (int, error) {
	if len(args) != 2 || !strings.HasPrefix(args[0], "@") {
		return StatusFailed, errors.New("this program is started by sandbox-audio run, not by hand")
	}
	ownerUID, err := strconv.Atoi(args[1])
	if err != nil {
		return StatusFailed, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: args[0]})
	if err != nil {
		return StatusFailed, fmt.Errorf("reach sandbox-audio run: %w", err)
	}
	defer conn.CloseWrite() // run waits for that; Close would wait for who reads
	if cred, err := peercred.Of(conn); err != nil {
		return StatusFailed, fmt.Errorf("see who calls: %w", err)
	} else if int(cred.Uid) != ownerUID {
		return StatusFailed, fmt.Errorf("the caller is uid %d, not %d", cred.Uid, ownerUID)
	}
	if err := heedSignals(); err != nil { // while run collects the request
		return StatusFailed, err
	}
	req, stdio, err := receiveRequest(conn)
	if err != nil {
		return StatusFailed, fmt.Errorf("read the request: %w", err)
	}
	err = req.Confined.Group.held("/")
	if err == nil {
		err = req.Confined.guard()
	}
	if err != nil {
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	syscall.Umask(0o077)
	s, err := joinSession(req)
	if err != nil {
		err = fmt.Errorf("the session of %s: %w", req.RuntimeDir, err)
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	defer func() {
		if err := s.leave(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if s.wayland >= 0 { // an X server of the helper's own may need it
		err := writeWith(conn, outcome{Listens: true}, maxOutcome, s.wayland)
		if err := errors.Join(err, unix.Close(s.wayland)); err != nil {
			return StatusFailed, err
		}
	}
	if err := keepLook(req.Home, req.Look, req.lookLine); err != nil {
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	// What dies with the thread that started it (PR_SET_PDEATHSIG) needs one that stays. Not before: each wait on such a one costs more.
	runtime.LockOSThread()
	x, err := startXServer(&req)
	if err != nil {
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	defer x.end()
	served, err := openTerminal(req.Terminal, stdio)
	if err != nil {
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	stopLinks, err := serveLinks(&req, conn)
	if err != nil {
		return StatusFailed, writeMessage(conn, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	defer stopLinks()
	pid, home, err := start(req, stdio)
	signal.Ignore(forwarded...) // sudo passes them on as well
	for _, fd := range stdio {
		_ = unix.Close(fd) // the program has them
	}
	if err != nil {
		code := StatusCannotExecute
		var confined *confinementError
		switch {
		case errors.Is(err, exec.ErrNotFound):
			code = StatusNotFound
		case errors.As(err, &confined):
			code = StatusFailed
		}
		return code, writeMessage(conn, outcome{Error: err.Error(), Code: code}, maxOutcome)
	}
	if err := writeWith(conn, outcome{PID: pid, Home: home}, maxOutcome, served...); err != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return StatusFailed, err
	}
	for _, fd := range served {
		_ = unix.Close(fd)
	}
	s.bus.startWhenNeeded()
	defer keepShares(req.Shares, os.Geteuid(), ownerUID)()
	return supervise(conn, pid, ownerUID)
}

// heedSignals has the program get every signal. One that was ignored where this process was started would stay so through
// fork and execve(2); one that is caught here does not.
func heedSignals() error {
	mask, err := signalMask(os.Getpid(), "SigIgn")
	if err != nil {
		return err
	}
	for sig := syscall.Signal(1); mask != 0; sig, mask = sig+1, mask>>1 {
		if mask&1 != 0 {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return nil
}

// start runs the program; home tells that it starts in its home because the directory asked for is closed to it. The
// error wraps exec.ErrNotFound when there is no such program.
func start(req request, stdio []int) (pid int, home bool, err error) {
	syscall.Umask(req.Umask)
	if os.Chdir(req.Dir) != nil {
		home = true
		if err := os.Chdir(req.Home); err != nil {
			return 0, false, err
		}
	}
	path, err := lookPath(req.Argv[0], req.Env)
	if err != nil {
		return 0, home, err
	}
	if err := closeOnExec(); err != nil {
		return 0, home, err
	}
	var none unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil); err != nil {
		return 0, home, err
	}
	// A session of its own: no way to type into the owner's terminal (TIOCSTI, ioctl_tty(2)).
	sys := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if req.Terminal != nil {
		sys.Setctty, sys.Ctty = true, req.Terminal.FDs[0]
	}
	pid, err = req.Confined.start(path, req.Argv, &syscall.ProcAttr{
		Env:   req.Env,
		Files: []uintptr{uintptr(stdio[0]), uintptr(stdio[1]), uintptr(stdio[2])},
		Sys:   sys,
	})
	if errno, ok := err.(syscall.Errno); ok {
		err = &fs.PathError{Op: "execute", Path: path, Err: errno}
	}
	return pid, home, err
}

// lookPath finds the program as a shell would, in the PATH it is going to have.
func lookPath(name string, env []string) (string, error) {
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
	}
	return path, err
}

// supervise passes orders on until the program ends, and tells how it did.
func supervise(conn *net.UnixConn, pid, ownerUID int) (int, error) {
	var mu sync.Mutex // guards over: once the program is reaped, its number may be another's
	over := false
	kill := func(sig syscall.Signal) {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			_ = syscall.Kill(-pid, sig) // the group is there until it is reaped
		}
	}
	go func() {
		for {
			var o order
			if err := readMessage(conn, &o, maxOrder); err != nil {
				break
			}
			if o.Signal > 0 && o.Signal <= 64 {
				kill(o.Signal)
			}
			if o.Enter != "" {
				_ = enterAgain(o.Enter, ownerUID) // run asks sudo then
			}
		}
		kill(syscall.SIGCONT)
		kill(syscall.SIGTERM)
		time.AfterFunc(orphanGrace, func() { kill(syscall.SIGKILL) })
	}()
	info := unix.Siginfo{}
	for {
		// Left unreaped until over is set.
		if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	mu.Lock()
	over = true
	mu.Unlock()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err == syscall.EINTR {
			continue
		} else if err != nil {
			return StatusFailed, err
		}
		break
	}
	end := outcome{Code: status.ExitStatus()}
	code := end.Code
	if status.Signaled() {
		end = outcome{Signal: status.Signal()}
		code = 128 + int(end.Signal)
	}
	_ = writeMessage(conn, end, maxOutcome) // run may be gone, and then nobody asks
	return code, nil
}

// closeOnExec keeps every descriptor but the standard three from the programs this process starts. su passes on all it
// has, also those that this process got from whoever started it.
func closeOnExec() error {
	err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == nil || err != unix.ENOSYS && err != unix.EINVAL {
		return err
	}
	fds, err := os.ReadDir("/proc/self/fd") // Linux before 5.11
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err == nil && n > 2 {
			unix.CloseOnExec(n)
		}
	}
	return nil
}
