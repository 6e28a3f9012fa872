package launcher

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

const (
	requestWait = 10 * time.Second  // until the entry program must have taken what we send
	runSocket   = "@sandbox-audio-" // the names of the sockets that entry programs are given begin so
	maxSaid     = 4 << 10           // bytes of what sudo or su says
)

// leaveWait is how long the entry program may take to leave the session after the program, and sudo or su to end when it has failed.
var leaveWait = 2 * time.Second

// Run runs the plan's program as the helper, with the sound daemon up before and kept up meanwhile, and returns the
// program's exit status: its own, 128+n when signal n ended it, 126 or 127 with an error when it could not be run, 125
// with an error when we failed. Signals that reach this process meanwhile go to the program. say is given what the
// owner should know while the program runs. Descriptors of this process are closed on exec from then on; one Run at a time.
func (p *Plan) Run(sound Sound, say func(string)) (status int, err error) {
	if err := closeOnExec(); err != nil {
		return StatusFailed, err
	}
	signals := make(chan os.Signal, 16)
	defer func() { go signal.Stop(signals) }() // takes as long as all else that is left to do then
	r := &running{plan: p, say: say, signals: signals, outcomes: make(chan outcome, 3)}
	defer r.close()
	again, err := r.startAgain() // what takes longest comes first
	if err == nil && !again {
		err = r.start(way{argv: p.Enter})
	}
	if err != nil {
		return StatusFailed, err
	}
	for _, s := range forwarded {
		if !signal.Ignored(s) { // nohup(1), and the background of a shell script
			signal.Notify(signals, s)
		}
	}
	r.ready = p.prepare(sound, say)
	for _, note := range p.Notes {
		say("note: " + note)
	}
	out, err := newStdio(p.tty && p.Output == nil, p.Output)
	if err != nil {
		return StatusFailed, err
	}
	defer out.close()
	defer keepShares(p.request.Shares, os.Getuid(), p.Helper.UID)()
	if status, err := r.begin(out); err != nil || status != 0 {
		return status, err
	}
	defer r.meet()()
	return r.wait(out.terminal)
}

// preparation is what the program needs before it starts, done while sudo is at work: the sound daemon is made sure of
// and the display lent.
type preparation struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // these once done is closed
	lender *lender
	door   *door
	keeper *deviceKeeper // nil when no device is lent
}

func (p *Plan) prepare(sound Sound, say func(string)) *preparation {
	ctx, cancel := context.WithCancel(context.Background())
	r := &preparation{cancel: cancel, done: make(chan struct{})}
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
	if p.group != nil {
		if err := r.lender.lend(p.group); err != nil {
			return fmt.Errorf("%s: %w", p.group.Describe(), err)
		}
	}
	if r.door, err = p.display.lend(r.lender, p, say); err != nil || r.keeper == nil {
		return err
	}
	if err := r.keeper.await(); err != nil {
		say(fmt.Sprintf("note: the program cannot open %s: %v; repair it with: sandbox-audio setup", strings.Join(p.lent, ", "), err))
	}
	return nil
}

// undo takes back what was lent, and no longer keeps the daemon.
func (r *preparation) undo(say func(string)) {
	if r == nil {
		return
	}
	r.cancel()
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
	listener *net.UnixListener
	conn     *net.UnixConn
	outcomes chan outcome // at most three; closed when the entry program is off the line
	lineErr  error        // why, once outcomes is closed
	ended    bool         // the program, by the entry program's word
	become   *become
	asked    bool          // somebody, for a password
	other    *net.UnixConn // to the run that has the entry program started; nil without
}

// close returns when the helper's session has been left and nothing is lent any more. sudo, which has the last word with
// PAM, may end a moment later.
func (r *running) close() {
	if r.listener != nil {
		r.listener.Close()
	}
	if r.ended {
		select {
		case <-r.outcomes:
		case <-time.After(leaveWait):
		}
	}
	if r.conn != nil {
		r.conn.Close()
	}
	if r.other != nil {
		r.other.Close()
	}
	if r.become != nil && !r.ended {
		select {
		case <-r.become.done:
		case <-time.After(leaveWait):
		}
	}
	r.ready.undo(r.say)
}

// open makes the socket for the entry program.
func (r *running) open() (err error) {
	if r.listener == nil {
		random := make([]byte, 16)
		if _, err := unix.Getrandom(random, 0); err != nil {
			return err
		}
		r.listener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: runSocket + hex.EncodeToString(random)})
	}
	return err
}

// start has sudo or su, or what else becomes the helper, start the entry program.
func (r *running) start(w way) (err error) {
	if err := r.open(); err != nil {
		return err
	}
	w.argv = slices.Concat(r.plan.scope, w.argv, []string{r.listener.Addr().String(), strconv.Itoa(os.Getuid())})
	if len(r.plan.scope) > 0 {
		w.env = append(w.env, "XDG_RUNTIME_DIR="+loginDir(os.Getuid())) // where systemd-run finds the owner's systemd
	}
	r.become, err = startBecome(w)
	return err
}

// begin waits for the entry program and has the program started. A status other than zero, without an error, is that of a
// signal which came before the program ran.
func (r *running) begin(out *stdio) (status int, err error) {
	request, status, err := r.request(out)
	if err != nil || status != 0 {
		return status, err
	}
	status, err = r.enter()
	if err != nil && r.other != nil {
		if err = r.start(way{argv: r.plan.Enter}); err == nil {
			status, err = r.enter()
		}
	}
	if err != nil {
		status, err = r.enterAsking(err)
	}
	if err != nil || status != 0 {
		return status, err
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(requestWait)); err != nil {
		return StatusFailed, err
	}
	if err := r.group(); err != nil {
		return StatusFailed, err
	}
	var look *os.File
	if r.plan.request.Look != nil {
		if look, err = r.plan.carriage.offer(r.say); err != nil {
			return StatusFailed, err
		}
	}
	err = sendRequest(r.conn, request, out.files, look)
	look.Close()
	if err != nil {
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
			case first.Listens:
				if r.ready.door != nil && first.wayland != nil {
					r.ready.door.open(first.wayland, r.say)
				}
				continue
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
			return 0, nil
		}
	}
}

// request waits for what the program needs and writes the request, while sudo is at work.
func (r *running) request(out *stdio) (text []byte, status int, err error) {
	select {
	case <-r.ready.done:
	case s := <-r.signals:
		return nil, signalStatus(s), nil
	}
	if r.ready.err != nil {
		return nil, StatusFailed, r.ready.err
	}
	r.plan.request.Terminal = out.terminal.describe()
	if text, err = encodeMessage(r.plan.request, maxRequest); err != nil {
		return nil, StatusFailed, fmt.Errorf("the request to the entry program: %w", err)
	}
	return text, 0, nil
}

// group puts the entry program, as the kernel names it, into the control group that holds what it starts.
func (r *running) group() error {
	if r.plan.group == nil {
		return nil
	}
	cred, err := peercred.Of(r.conn)
	if err == nil {
		err = r.plan.group.add(int(cred.Pid))
	}
	return err
}

// listen hears how the program started and how it ended, and then only the end of the line.
func (r *running) listen() {
	defer close(r.outcomes)
	links := &linkOpener{say: r.say}
	for n := 0; n < cap(r.outcomes); n++ { // how it listens, how the program started, how it ended
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
	_, r.lineErr = r.conn.Read(make([]byte, 1))
}

// lost says why the line ended before its time.
func (r *running) lost() error {
	if r.lineErr == io.EOF {
		return errors.New("the entry program was killed, and the program with it")
	}
	return fmt.Errorf("the entry program is off the line: %w", r.lineErr)
}

// enter waits until the entry program is on the line.
func (r *running) enter() (status int, err error) {
	type accepted struct {
		conn *net.UnixConn
		err  error
	}
	line := make(chan accepted, 1)
	go func() {
		conn, err := acceptFrom(r.listener, r.plan.Helper.UID)
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
		if err := r.listener.SetDeadline(time.Now()); err != nil {
			return StatusFailed, err
		}
		if a := <-line; a.err == nil {
			r.conn = a.conn
			return 0, nil
		}
		return StatusFailed, errors.Join(r.become.failure(r.plan), r.listener.SetDeadline(time.Time{}))
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
		if cred, err := peercred.Of(conn); err == nil && int(cred.Uid) == uid {
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
			r.ended = ok
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

// order tells the entry program to do something. Any goroutine may call it.
func (r *running) order(o order) error {
	if err := r.conn.SetWriteDeadline(time.Now().Add(requestWait)); err != nil {
		return err
	}
	return writeMessage(r.conn, o, maxOrder)
}

// forward sends a signal to the program. One that stops it stops us too, as the person at the terminal expects.
func (r *running) forward(sig syscall.Signal) {
	stop := sig == syscall.SIGTSTP
	if stop {
		sig = syscall.SIGSTOP // the program's process group is orphaned, where SIGTSTP does nothing (setpgid(2))
	}
	_ = r.order(order{Signal: sig}) // whether the line has ended is told by its other direction
	if stop {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

// become is sudo or su at work.
type become struct {
	done   chan struct{}
	status syscall.WaitStatus // these once done is closed
	said   boundedBuffer
}

// startBecome starts a way with an environment of its own and no descriptor of ours but, when it may ask for a password,
// the terminal. Without that it has a session of its own: what is typed at the terminal reaches run alone.
func startBecome(w way) (*become, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	b := &become{done: make(chan struct{}), said: boundedBuffer{most: maxSaid}}
	var ours *os.File
	stderr := os.Stderr
	if !w.terminal {
		if ours, stderr, err = os.Pipe(); err != nil {
			return nil, err
		}
		defer stderr.Close()
	}
	// Not by os/exec, which at its first use starts a process more, to see what the kernel can do.
	pid, err := syscall.ForkExec(w.argv[0], w.argv, &syscall.ProcAttr{
		Dir: "/", Env: append([]string{"PATH=" + adminPath, "TERM=" + os.Getenv("TERM"), "LANG=" + os.Getenv("LANG")}, w.env...),
		Files: []uintptr{null.Fd(), null.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: !w.terminal},
	})
	if err != nil {
		ours.Close()
		return nil, &fs.PathError{Op: "execute", Path: w.argv[0], Err: err}
	}
	go b.wait(pid, ours)
	return b, nil
}

func (b *become) wait(pid int, stderr *os.File) {
	defer close(b.done)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&b.said, stderr)
		stderr.Close()
	}()
	for {
		if _, err := syscall.Wait4(pid, &b.status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	_ = stderr.SetReadDeadline(time.Now().Add(leaveWait)) // what it has started may live on
	<-read
}

// failure says why nobody came on the line.
func (b *become) failure(p *Plan) error {
	said := strings.Join(strings.Fields(printable(string(b.said.text))), " ")
	switch {
	case said != "":
	case b.status.Signaled():
		said = "it ended by signal: " + b.status.Signal().String()
	default:
		said = fmt.Sprintf("it ended with status %d", b.status.ExitStatus())
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
