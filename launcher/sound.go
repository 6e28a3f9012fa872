package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sound is what run needs of the sound daemon's protocol.
type Sound interface {
	// Connect opens the owner's own connection to the daemon at addr, unix:PATH or tcp:HOST:PORT. It gives up with ctx.
	Connect(ctx context.Context, addr string) (Session, error)
}

// Session is the owner's connection to the daemon. While it lasts the daemon does not leave for want of clients.
type Session interface {
	// Rule has the daemon, which may have been started under others, go by these rules for a helper from now on.
	Rule(helperUID int, rules *Rules) error
	// Done is closed when the connection has ended, which, without Close, means that the daemon has.
	Done() <-chan struct{}
	Close() error
}

const (
	daemonWait = 10 * time.Second       // until a daemon that was started must answer
	retryEvery = 200 * time.Millisecond // between attempts to bring a dead one back
)

// soundLink keeps the owner's daemon running for as long as one program does.
type soundLink struct {
	sound   Sound
	plan    *Plan
	session Session
}

// up returns with a session to a daemon that holds all addresses of the plan and is ours by the kernel's word; it
// starts one when nobody holds them. Of several runs that do this at once, one starts it and the others find it.
func (l *soundLink) up(ctx context.Context) error {
	if done, err := l.connect(ctx); done {
		return err
	}
	unlock, err := lockDaemon(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, daemonWait)
	defer cancel()
	var started *daemonProcess
	for {
		done, err := l.connect(ctx)
		if done {
			return err
		}
		if errors.Is(err, errNobody) && started == nil {
			if started, err = startDaemon(l.plan.Daemon, l.plan.Owner.UID); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sound daemon does not answer: %w", errors.Join(err, ctx.Err()))
		case <-started.ended():
			return started.failure()
		case <-time.After(pollEvery):
		}
	}
}

var errNobody = errors.New("nobody listens there")

// connect looks at who holds the addresses and connects when that is our daemon. done means that there is nothing to
// wait for: either it worked, or somebody else holds an address and err says who.
func (l *soundLink) connect(ctx context.Context) (done bool, err error) {
	var missing []string
	var holders []int // as a rule all the same
	for _, addr := range l.plan.Addresses {
		h, held, err := addressHolder(addr, holders...)
		holders = append(holders, h.PID)
		if err != nil {
			return true, fmt.Errorf("see who listens on %s: %w", addr, err)
		}
		switch {
		case !held:
			missing = append(missing, addr)
		case isDaemon(h, l.plan.DaemonUID):
		case ending(h.PID):
			return false, fmt.Errorf("%s is held by a program that is just ending", addr)
		case os.Getuid() == 0 && isDaemon(h, 0):
			return false, fmt.Errorf("%s is held by a sound daemon that has not given up root yet", addr)
		default:
			return true, fmt.Errorf("%s is held by %s, which is not the sound daemon of %s: nothing was run; end that program first", addr, h, l.plan.Owner.Name)
		}
	}
	switch len(missing) {
	case 0:
		session, err := l.sound.Connect(ctx, l.plan.Addresses[0])
		if err != nil {
			return false, err
		}
		if err := session.Rule(l.plan.Helper.UID, &l.plan.rules); err != nil {
			return true, errors.Join(fmt.Errorf("tell the sound daemon the profile's rules: %w", err), session.Close())
		}
		l.session = session
		return true, nil
	case len(l.plan.Addresses):
		return false, errNobody
	}
	return false, fmt.Errorf("it does not listen on %s", strings.Join(missing, " "))
}

// watch brings the daemon back whenever it dies, until ctx ends. It says what is wrong once, not at every attempt.
func (l *soundLink) watch(ctx context.Context, say func(string)) {
	for {
		select {
		case <-ctx.Done():
			_ = l.session.Close() // nothing is sent over it
			return
		case <-l.session.Done():
		}
		said := false
		for err := l.up(ctx); err != nil && ctx.Err() == nil; err = l.up(ctx) {
			if !said {
				say("the sound daemon has ended and does not come back: " + err.Error())
				said = true
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryEvery):
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// daemonProcess is a daemon that this process started.
type daemonProcess struct {
	done chan struct{}
	err  error // once done is closed
	log  string
}

// ended is closed when the daemon has ended; nil, which never is, when none was started.
func (d *daemonProcess) ended() <-chan struct{} {
	if d == nil {
		return nil
	}
	return d.done
}

// failure says why the daemon ended, in its own last words.
func (d *daemonProcess) failure() error {
	text, _ := os.ReadFile(d.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("the sound daemon ended at once (%v): %s; all it said is in %s", d.err, printable(lines[len(lines)-1]), d.log)
}

// startDaemon starts the daemon in a session of its own, so that it outlives this process and its terminal.
func startDaemon(argv []string, ownerUID int) (*daemonProcess, error) {
	log, err := openLog("daemon.log")
	if err != nil {
		return nil, fmt.Errorf("open the sound daemon's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if ownerUID == 0 {
		cmd.Env = []string{"PATH=" + adminPath, "LANG=" + os.Getenv("LANG")} // root's own is no business of the service user
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sound daemon: %w", err)
	}
	d := &daemonProcess{done: make(chan struct{}), log: log.Name()}
	go func() {
		d.err = cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// lockDaemon makes this process the only one that may start the owner's daemon.
func lockDaemon(ctx context.Context) (unlock func(), err error) {
	dir, err := daemonDir()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "daemon.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(pollEvery):
		}
	}
}
