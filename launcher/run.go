package launcher

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	requestWait = 10 * time.Second  // until the entry program must have taken what we send
	runSocket   = "@sandbox-audio-" // the names of the sockets that entry programs are given begin so
	leaveWait   = 2 * time.Second   // for sudo or su to end after the entry program
)

// Run runs the plan's program as the helper, with the sound daemon up before and kept up meanwhile, and returns the
// program's exit status: its own, 128+n when signal n ended it, 126 or 127 with an error when it could not be run, 125
// with an error when we failed. Signals that reach this process meanwhile go to the program. say is given what the
// owner should know while the program runs. Descriptors of this process are closed on exec from then on; one Run at a time.
func (p *Plan) Run(sound Sound, say func(string)) (status int, err error) {
	if err := closeOnExec(); err != nil {
		return StatusFailed, err
	}
	signals := make(chan os.Signal, 16)
	for _, s := range forwarded {
		if !signal.Ignored(s) { // nohup(1), and the background of a shell script
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	for _, note := range p.Notes {
		say("note: " + note)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := p.prepare(ctx, sound, say)
	defer ready.undo(say)
	defer cancel()
	out, err := newStdio(p.tty && p.Output == nil, p.Output)
	if err != nil {
		return StatusFailed, err
	}
	defer out.close()
	r := &running{plan: p, say: say, ready: ready, signals: signals, outcomes: make(chan outcome, 2)}
	defer r.close()
	defer keepShares(p.request.Shares, os.Getuid(), p.Helper.UID)()
	if status, err := r.begin(out); err != nil || status != 0 {
		return status, err
	}
	return r.wait(out.terminal)
}

// preparation is what the program needs before it starts, done while sudo is at work: the sound daemon is made sure of
// and the display lent.
type preparation struct {
	done   chan struct{}
	err    error // these once done is closed
	lender *lender
	door   *door
	keeper *deviceKeeper // nil when no device is lent
}

func (p *Plan) prepare(ctx context.Context, sound Sound, say func(string)) *preparation {
	r := &preparation{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = r.do(ctx, p, sound, say)
	}()
	return r
}

func (r *preparation) do(ctx context.Context, p *Plan, sound Sound, say func(string)) (err error) {
	if len(p.lend) > 0 {
		if r.keeper, err = startDeviceKeeper(p.lend); err != nil {
			return err
		}
	}
	if sound != nil {
		link := &soundLink{sound: sound, plan: p}
		if err := link.up(ctx); err != nil {
			return err
		}
		go link.watch(ctx, say)
	}
	if r.lender, err = newLender(); err != nil {
		return err
	}
	if err := r.lender.sweep(); err != nil {
		say(err.Error())
	}
	if r.door, err = p.display.lend(r.lender, p, say); err != nil || r.keeper == nil {
		return err
	}
	if err := r.keeper.await(); err != nil {
		say(fmt.Sprintf("note: the program cannot open %s: %v; repair it with: sandbox-audio setup", strings.Join(p.lent, ", "), err))
	}
	return nil
}

// undo takes back what was lent.
func (r *preparation) undo(say func(string)) {
	<-r.done
	defer r.keeper.end()
	r.door.close()
	if r.lender == nil {
		return
	}
	if err := r.lender.takeBack(); err != nil {
		say(err.Error())
	}
}

func signalStatus(s os.Signal) int { return 128 + int(s.(syscall.Signal)) }

// running is one program on its way: sudo or su, and the channel to the entry program behind it.
type running struct {
	plan     *Plan
	say      func(string)
	ready    *preparation
	signals  chan os.Signal
	conn     *net.UnixConn
	outcomes chan outcome // at most two; closed when the entry program is off the line
	lineErr  error        // why, once outcomes is closed
	become   *become
}

func (r *running) close() {
	if r.conn != nil {
		r.conn.Close()
	}
	if r.become != nil {
		select {
		case <-r.become.done:
		case <-time.After(leaveWait):
		}
	}
}

// begin becomes the helper and has the program started. A status other than zero, without an error, is that of a
// signal which came before the program ran.
func (r *running) begin(out *stdio) (status int, err error) {
	var random [16]byte
	rand.Read(random[:])
	name := runSocket + hex.EncodeToString(random[:])
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		return StatusFailed, err
	}
	defer l.Close()
	status, err = r.enterAsking(func(w way) (int, error) {
		w.argv = slices.Concat(w.argv, []string{name, strconv.Itoa(os.Getuid())})
		return r.enter(l, w)
	})
	if err != nil {
		if <-r.ready.done; r.ready.err != nil { // who holds the sound daemon's place is the graver matter
			err = r.ready.err
		}
	}
	if err != nil || status != 0 {
		return status, err
	}
	select {
	case <-r.ready.done:
		if r.ready.err != nil {
			return StatusFailed, r.ready.err
		}
	case s := <-r.signals:
		return signalStatus(s), nil
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(requestWait)); err != nil {
		return StatusFailed, err
	}
	r.plan.request.Terminal = out.terminal.describe()
	if err := sendRequest(r.conn, r.plan.request, out.files); err != nil {
		return StatusFailed, fmt.Errorf("send the request to the entry program: %w", err)
	}
	go r.listen()
	for {
		select {
		case s := <-r.signals:
			r.forward(s.(syscall.Signal)) // the program may run already, and gets it as soon as it does
		case first, ok := <-r.outcomes:
			switch {
			case !ok:
				return StatusFailed, r.lost()
			case first.Error != "" && (first.Code == StatusNotFound || first.Code == StatusFailed):
				return first.Code, errors.New(printable(first.Error))
			case first.Error != "":
				return StatusCannotExecute, errors.New(printable(first.Error))
			case first.Home:
				r.noteHome()
			}
			if out.terminal != nil {
				out.terminal.suspend = func() { r.signals <- syscall.SIGTSTP }
			}
			out.started(first.PID, first.terminal)
			if r.ready.door != nil && first.wayland != nil {
				r.ready.door.open(first.wayland, r.say)
			}
			return 0, nil
		}
	}
}

// listen hears how the program started and how it ended, and nothing after that.
func (r *running) listen() {
	defer close(r.outcomes)
	links := &linkOpener{say: r.say}
	for n := 0; n < cap(r.outcomes); n++ {
		var o outcome
		if r.lineErr = receiveOutcome(r.conn, &o); r.lineErr != nil {
			return
		}
		if o.Link != "" && r.plan.request.Links {
			links.open(o.Link)
			n--
			continue
		}
		r.outcomes <- o
	}
}

// lost says why the line ended before its time.
func (r *running) lost() error {
	if r.lineErr == io.EOF {
		return errors.New("the entry program was killed, and the program with it")
	}
	return fmt.Errorf("the entry program is off the line: %w", r.lineErr)
}

// enter starts sudo or su and waits until the entry program is on the line.
func (r *running) enter(l *net.UnixListener, w way) (status int, err error) {
	if r.become, err = startBecome(w); err != nil {
		return StatusFailed, err
	}
	type accepted struct {
		conn *net.UnixConn
		err  error
	}
	line := make(chan accepted, 1)
	go func() {
		conn, err := acceptFrom(l, r.plan.Helper.UID)
		line <- accepted{conn, err}
	}()
	select {
	case a := <-line:
		r.conn = a.conn
		if a.err != nil {
			return StatusFailed, a.err
		}
		return 0, nil
	case <-r.become.done:
		// End the accept, unless the entry program came and went.
		if err := l.SetDeadline(time.Now()); err != nil {
			return StatusFailed, err
		}
		if a := <-line; a.err == nil {
			r.conn = a.conn
			return 0, nil
		}
		return StatusFailed, errors.Join(r.become.failure(r.plan), l.SetDeadline(time.Time{}))
	case s := <-r.signals:
		return signalStatus(s), nil
	}
}

// acceptFrom takes the first connection whose peer is uid. Anybody can read the socket's name in /proc/net/unix, so
// others may knock; they are not answered.
func acceptFrom(l *net.UnixListener, uid int) (*net.UnixConn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if cred, err := peerCred(conn); err == nil && int(cred.Uid) == uid {
			return conn, nil
		}
		conn.Close()
	}
}

// noteHome tells the owner why a file named on the command line is not found, when that is what is going to happen.
func (r *running) noteHome() {
	for _, arg := range r.plan.request.Argv[1:] {
		if arg == "" || arg[0] == '/' || arg[0] == '-' {
			continue
		}
		if _, err := os.Lstat(arg); err == nil {
			r.say(fmt.Sprintf("note: %s cannot enter %s, where %s is; the program starts in %s", r.plan.Helper.Name, r.plan.request.Dir, arg, r.plan.Helper.Home))
			return
		}
	}
}

// wait passes signals on until the entry program tells the end.
func (r *running) wait(tty *terminal) (status int, err error) {
	if tty != nil {
		signal.Notify(r.signals, syscall.SIGWINCH)
	}
	for {
		select {
		case end, ok := <-r.outcomes:
			switch {
			case !ok:
				return StatusFailed, r.lost()
			case end.Signal > 0 && end.Signal <= 64:
				return signalStatus(end.Signal), nil
			}
			return end.Code & 0xff, nil
		case s := <-r.signals:
			if s == syscall.SIGWINCH {
				tty.resize()
				continue
			}
			if s == syscall.SIGTSTP {
				tty.restore()
			}
			r.forward(s.(syscall.Signal))
			if s == syscall.SIGCONT {
				tty.take()
			}
		}
	}
}

// forward sends a signal to the program. One that stops it stops us too, as the person at the terminal expects.
func (r *running) forward(sig syscall.Signal) {
	stop := sig == syscall.SIGTSTP
	if stop {
		sig = syscall.SIGSTOP // the program's process group is orphaned, where SIGTSTP does nothing (setpgid(2))
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(requestWait)); err == nil {
		_ = writeMessage(r.conn, order{Signal: sig}, maxOrder) // whether the line has ended is told by its other direction
	}
	if stop {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

// become is sudo or su at work.
type become struct {
	done   chan struct{}
	err    error // once done is closed
	stderr bytes.Buffer
}

// startBecome starts a way with an environment of its own and no descriptor of ours but, when it may ask for a password,
// the terminal. Without that it has a session of its own: what is typed at the terminal reaches run alone.
func startBecome(w way) (*become, error) {
	b := &become{done: make(chan struct{})}
	cmd := exec.Command(w.argv[0], w.argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + adminPath, "TERM=" + os.Getenv("TERM"), "LANG=" + os.Getenv("LANG")}
	cmd.Env = append(cmd.Env, w.env...)
	cmd.Stderr = &b.stderr
	cmd.WaitDelay = leaveWait
	if w.terminal {
		cmd.Stderr = os.Stderr
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		b.err = cmd.Wait()
		close(b.done)
	}()
	return b, nil
}

// failure says why nobody came on the line.
func (b *become) failure(p *Plan) error {
	said := strings.Join(strings.Fields(printable(b.stderr.String())), " ")
	if said == "" {
		said = fmt.Sprint(b.err)
	}
	return fmt.Errorf("%s did not let %s become %s: %s; repair it with: sandbox-audio setup", p.Method, p.Owner.Name, p.Helper.Name, said)
}

func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return tty.Close() == nil
}
