package audiod

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/realtime"
	"sandbox-audio/holder"
)

// The keeper holds the listening sockets and has a worker serve them, so that a crash of the worker never frees an address for an
// impostor. It reads nothing that a client sent.
//
//	Keep: bind ─► stop being root ─► start a worker ─► wait ─┬─ "ready DEVICE" ─► tell people and systemd, once
//	                                      ▲                  ├─ it crashed ─► again, at once
//	                                      └──────────────────┤
//	                                                         ├─ it ended with 0: idle ─► end
//	                                                         └─ SIGTERM, SIGINT, SIGHUP ─► end it, end
//
// The worker is this same binary, the very file that runs now even if it was replaced, and dies with the keeper.

// Options are what the daemon was told. The worker gets them through its keeper.
type Options struct {
	Listen      []string      // addresses, for ParseAddress; not used when a service manager hands sockets over
	Allow       []string      // users and @groups who may play, for policy.NewRules
	Owners      []uint32      // users with the owner's grant; Keep adds who started it and who it runs as
	Devices     []string      // for device.NewSinks in the worker; none is "auto"
	Sources     []string      // for device.NewSources likewise
	Ceilings    []string      // how loud users may make their streams: USER=DECIBELS; it is full volume where nothing is said
	Resampler   pcm.Quality   // of sinks and sources
	Dither      bool          // as mixer.Quality's
	Microphones []string      // what users may hear while their owner has said nothing else: USER=STATE, of none, deny, ask and allow
	User        string        // whom root becomes; "" is "sandbox-audio"
	State       string        // the folder in which volumes are remembered, below which Keep makes one of the worker's own; "": nowhere
	Ask         []string      // makes this binary a process that asks the owner, by Ask, with a uid and a process id behind it; none: nobody is asked
	IdleExit    time.Duration // without clients for so long, the worker ends; 0 is never

	dials    int  // the worker's end of bridging.go; 0: none
	reserves bool // cards are reserved on the owner's desktop: reserving.go
}

const defaultUser = "sandbox-audio"

// stopTime is what a worker has to end in when told to.
const stopTime = 5 * time.Second

// Keep runs the daemon until it is told to stop, its worker ends as idle, or something is wrong at the start. workerArgv is the command
// line that makes this binary a worker, without the program's name. Call it once in a process, from main.
func Keep(opts Options, workerArgv ...string) error {
	// A worker's death signal is tied to the thread that made it (PR_SET_PDEATHSIG in prctl(2)), so one thread makes them all.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	starter := uint32(os.Getuid())
	if os.Geteuid() != os.Getuid() {
		return errors.New("this program does not run set-user-id; start it as the user who owns the sound")
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(stop)
	signal.Ignore(unix.SIGPIPE) // nobody may be left to read what we say
	shutDescriptors()

	k := &keeper{argv: append([]string{"sandbox-audio"}, workerArgv...), opts: opts}
	var err error
	if k.listeners, err = k.listen(); err != nil {
		return err
	}
	defer func() {
		for _, l := range k.listeners {
			l.Close()
		}
	}()
	k.remember()
	if starter == 0 {
		realtime.Permit()
		err = k.user.become(k.listeners)
	} else if err = renounce(); err == nil {
		err = proveThreads(nil)
	}
	if err != nil {
		return err
	}
	k.opts.Owners = append(k.opts.Owners, starter, uint32(os.Getuid()))
	rules, err := policy.NewRules(k.opts.Owners, k.opts.Allow) // to say now what is wrong with them
	if err != nil {
		return err
	}
	rules.Close()
	if err := opts.ofUsers(func(uint32, pcm.Volume) {}, func(uint32, memory.Access) {}); err != nil {
		return err
	}
	return k.run(stop)
}

type keeper struct {
	opts      Options
	argv      []string
	user      identity // when started as root
	listeners []Listener
	everReady bool
}

// listen takes what a service manager hands over, or binds. Everything that can be wrong is looked at before the first address is taken.
func (k *keeper) listen() ([]Listener, error) {
	var trusted []uint32
	if os.Getuid() == 0 {
		name := k.opts.User
		if name == "" {
			name = defaultUser
		}
		var err error
		if k.user, err = serviceUser(name); err != nil {
			return nil, err
		}
		trusted = append(trusted, uint32(k.user.uid))
	}
	if ls, err := handedOver(); err != nil || len(ls) > 0 {
		return ls, err
	}
	var addrs []Address
	for _, s := range k.opts.Listen {
		a, err := ParseAddress(s)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	if len(addrs) == 0 {
		return nil, errors.New("no address to listen on; name one with --listen unix:/path or --listen tcp:127.0.0.1:4713")
	}
	return Listen(addrs, trusted...)
}

// remember makes the folder in which volumes are kept. Sound does without where there can be none.
func (k *keeper) remember() {
	if k.opts.State == "" {
		return
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = k.user.uid, k.user.gid
	}
	folder, err := stateFolder(k.opts.State, uid, gid)
	if err != nil {
		logf("volumes are not remembered: %v; name a folder that can be written with --state", err)
	}
	k.opts.State = folder
}

// run keeps a worker going.
func (k *keeper) run(stop <-chan os.Signal) error {
	var again backoff
	for {
		again.started(time.Now())
		w, err := k.start()
		if err == nil {
			var done bool
			if done, err = k.attend(w, stop); done {
				return err
			}
		}
		if !k.everReady {
			return fmt.Errorf("the daemon could not start: %w", err)
		}
		wait := again.ended(time.Now())
		logf("%v; starting it again", err)
		select {
		case <-time.After(wait):
		case <-stop:
			return nil
		}
	}
}

// attend stays with a worker until it has ended. done says that so has the daemon's work; if not, err says what became of the worker.
func (k *keeper) attend(w *worker, stop <-chan os.Signal) (done bool, err error) {
	ready := w.ready
	for {
		select {
		case device, ok := <-ready:
			if ok {
				k.tellReady(device)
				slimmer()()
			} else {
				ready = nil
			}
		case err := <-w.ended:
			if device, ok := <-w.ready; ok { // both at once
				k.tellReady(device)
			}
			return err == nil, err
		case <-stop:
			notify("STOPPING=1")
			w.process.Signal(unix.SIGTERM)
			select {
			case <-w.ended:
				return true, nil
			case <-stop:
			case <-time.After(stopTime):
				logf("the worker did not end within %v and is killed", stopTime)
			}
			w.process.Kill()
			<-w.ended
			return true, nil
		}
	}
}

func (k *keeper) tellReady(device string) {
	if k.everReady {
		logf("the worker serves again (device %s)", device)
		return
	}
	k.everReady = true
	var at []string
	for _, l := range k.listeners {
		at = append(at, l.Address.String())
	}
	logf("ready on %s (device %s)", strings.Join(at, " and "), device)
	notify("READY=1")
}

// worker is a running worker process. ready yields the device once, or is closed when the worker ended before; ended yields nil when
// it exited with status 0.
type worker struct {
	process *os.Process
	ready   chan string
	ended   chan error
}

// What a worker inherits: the write end of the ready pipe, the options in a file, the pipes of asking.go, the socket of errands.go, then the listening sockets.
const (
	readyFD = 3 + iota
	optionsFD
	questionsFD
	answersFD
	errandsFD
	firstListenerFD
)

// keeperEnv tells a worker its keeper's pid.
const keeperEnv = "SANDBOX_AUDIO_KEEPER"

func (k *keeper) start() (*worker, error) {
	opts := k.opts
	opts.Devices = k.devices()
	options, err := legacyFile(legacy{opts, len(k.listeners), k.bridges(), k.reserves()})
	if err != nil {
		return nil, err
	}
	defer options.Close()
	dials, err := k.bridge()
	if err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	defer dials.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	defer w.Close()
	questions, asks, err := os.Pipe()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	defer asks.Close()
	hears, answers, err := os.Pipe()
	if err != nil {
		r.Close()
		questions.Close()
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	defer hears.Close()
	errands, serveErrands, err := k.errands()
	if err != nil {
		r.Close()
		questions.Close()
		answers.Close()
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	defer errands.Close()
	files := []uintptr{null.Fd(), 2, 2, w.Fd(), options.Fd(), asks.Fd(), hears.Fd(), errands.Fd()}
	for _, l := range k.listeners {
		files = append(files, uintptr(l.FD))
	}
	if dials != nil {
		files = append(files, dials.Fd())
	}
	pid, _, err := syscall.StartProcess("/proc/self/exe", k.argv, &syscall.ProcAttr{
		Env:   k.environ(),
		Files: files,
		Sys:   &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	go k.answerQuestions(questions, answers) // until the worker's ends are closed
	serveErrands(pid, k.chooses() && !slices.ContainsFunc(opts.Devices, isBridge))
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	process, _ := os.FindProcess(pid) // never fails on Unix; holds a pidfd, so that a signal reaches this very process
	wk := &worker{process: process, ready: make(chan string, 1), ended: make(chan error, 1)}
	go func() {
		defer r.Close()
		if device, err := bufio.NewReader(io.LimitReader(r, 1024)).ReadString('\n'); err == nil {
			wk.ready <- holder.Printable(strings.TrimSuffix(device, "\n"))
		}
		close(wk.ready)
	}()
	go func() {
		state, err := process.Wait()
		switch {
		case err != nil:
			wk.ended <- fmt.Errorf("waiting for the worker: %w", err)
		case state.Success():
			wk.ended <- nil
		default:
			wk.ended <- fmt.Errorf("the worker ended: %v", state)
		}
	}()
	return wk, nil
}

// shutDescriptors keeps what our starter left open from the worker.
func shutDescriptors() {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// environ is all a worker gets: the owner's environment is full of keys to other things.
func (k *keeper) environ() []string {
	env := []string{keeperEnv + "=" + strconv.Itoa(os.Getpid())}
	for _, name := range []string{"TZ", "GODEBUG", "GOTRACEBACK"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// legacy is what a worker must be told.
type legacy struct {
	Options Options
	Sockets int
	Bridge  bool // behind them comes a socket on which the keeper is asked for connections to the owner's sound server, now or once it has come
	Reserve bool // cards are reserved on the owner's desktop
}

// legacyFile is a nameless file in memory with l, to be read from its start.
func legacyFile(l legacy) (*os.File, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("options", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("starting the worker: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "options")
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	return f, nil
}

// backoff says how long to wait before the next start: not at all, unless the last few workers lived only a moment each.
type backoff struct {
	start time.Time
	short int // workers in a row that did not live long
}

const longLife = 10 * time.Second

func (b *backoff) started(now time.Time) { b.start = now }

func (b *backoff) ended(now time.Time) time.Duration {
	if now.Sub(b.start) >= longLife {
		b.short = 0
	}
	b.short++
	if b.short <= 3 {
		return 0
	}
	return min(50*time.Millisecond<<min(b.short-4, 10), 2*time.Second)
}

// notify tells the service manager, if one asked for it: the protocol of sd_notify(3).
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		conn.Close()
	}
	if err != nil {
		logf("telling the service manager %s: %v", state, err)
	}
}

// logf writes a line for people to stderr.
func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "sandbox-audio: "+format+"\n", args...)
}
