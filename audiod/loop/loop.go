package loop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events says what a descriptor is, or should be, ready for.
type Events uint32

const (
	Readable Events = unix.EPOLLIN
	Writable Events = unix.EPOLLOUT
	// HungUp comes unasked: the other end is gone, or the descriptor failed.
	HungUp Events = unix.EPOLLHUP | unix.EPOLLERR
)

// Loop waits in epoll. Make it with New; all methods but Post, Now and Stop belong to the goroutine that calls Run,
// and to the one that sets things up before.
//
// It does not block in a system call of its own unless it is pinned: the Go runtime's poller waits for the epoll descriptor, as it would for a socket. A thread
// blocked in a call of ours would be watched by the runtime's monitor thread, which wakes with it, naps, and takes its processor away, and so
// triples the context switches of every audio cycle.
type Loop struct {
	epoll   *os.File
	raw     syscall.RawConn // epoll's
	fd      int             // epoll's
	wake    int             // eventfd, written by Post
	alarm   int             // timerfd, set to the next timer
	armed   time.Duration   // what it is set to; 0 when it is not
	offset  time.Duration
	start   time.Time
	timers  timerHeap
	watches []*Watch // by slot; nil when free
	free    []uint32
	gen     uint32
	turnEnd []func()
	served  bool // some descriptor was ready in the last turn
	stopped bool
	pinned  bool
	events  [64]unix.EpollEvent
	waited  [1]unix.PollFd // the epoll descriptor, while pinned

	mu     sync.Mutex
	posted []func()
	spare  []func()
	closed bool
}

// Watch is one descriptor the loop waits on. It does not own the descriptor.
type Watch struct {
	l         *Loop
	fd        int
	slot, gen uint32
	events    Events
	f         func(Events)
}

// New makes a loop. It fails only when the process is out of descriptors or memory.
func New() (*Loop, error) {
	l := &Loop{fd: -1, wake: -1, alarm: -1}
	if err := l.open(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Loop) open() (err error) {
	if l.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	unix.SetNonblock(l.fd, true) // it makes no difference to epoll, but os.NewFile goes by it
	l.epoll = os.NewFile(uintptr(l.fd), "epoll")
	if l.raw, err = l.epoll.SyscallConn(); err != nil {
		return err
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if l.alarm, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	l.start, l.offset = time.Now(), time.Duration(ts.Nano())
	if _, err = l.Watch(l.wake, Readable, func(Events) {}); err != nil { // takePosted has read it
		return err
	}
	_, err = l.Watch(l.alarm, Readable|unix.EPOLLET, func(Events) { l.armed = 0 }) // it ends the waiting, once
	return err
}

// Now is CLOCK_MONOTONIC, without a system call.
func (l *Loop) Now() time.Duration { return l.offset + time.Since(l.start) }

// NewTimer makes a stopped timer on this loop.
func (l *Loop) NewTimer(f func()) *Timer { return l.timers.newTimer(f) }

// Watch calls f whenever fd is ready for any of events (level-triggered) or hung up.
func (l *Loop) Watch(fd int, events Events, f func(Events)) (*Watch, error) {
	l.gen++
	w := &Watch{l: l, fd: fd, gen: l.gen, events: events, f: f}
	if n := len(l.free); n > 0 {
		w.slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		w.slot = uint32(len(l.watches))
		l.watches = append(l.watches, nil)
	}
	if err := w.ctl(unix.EPOLL_CTL_ADD); err != nil {
		l.free = append(l.free, w.slot)
		return nil, err
	}
	l.watches[w.slot] = w
	return w, nil
}

func (w *Watch) ctl(op int) error {
	ev := unix.EpollEvent{Events: uint32(w.events), Fd: int32(w.slot), Pad: int32(w.gen)}
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(w.l.fd), uintptr(op), uintptr(w.fd), uintptr(unsafe.Pointer(&ev)), 0, 0); errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	return nil
}

// Set changes what w waits for; the same events again cost nothing.
func (w *Watch) Set(events Events) error {
	if events == w.events {
		return nil
	}
	w.events = events
	return w.ctl(unix.EPOLL_CTL_MOD)
}

// Close ends the watch: f is not called again, not even for events already fetched. Call it before closing the descriptor.
func (w *Watch) Close() {
	if w.l.watches[w.slot] != w {
		return
	}
	w.ctl(unix.EPOLL_CTL_DEL)
	w.l.watches[w.slot] = nil
	w.l.free = append(w.l.free, w.slot)
}

// AtTurnEnd adds a hook that runs at the end of every turn.
func (l *Loop) AtTurnEnd(f func()) { l.turnEnd = append(l.turnEnd, f) }

// Post has f called on the loop in its next turn. Any goroutine may call it; after Close it does nothing.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.posted = append(l.posted, f); len(l.posted) == 1 {
		unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Stop makes Run return after the current turn. Any goroutine may call it.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Pin keeps the loop on the thread it is called on, until Unpin, and has it wait there in epoll itself: for a thread that has a priority of its
// own, which no other thread may come before. Each wake-up costs some 60 µs more then, since the runtime looks after a thread that waits by itself. It returns the thread's id.
func (l *Loop) Pin() (thread int) {
	if !l.pinned {
		runtime.LockOSThread()
		l.pinned = true
	}
	return unix.Gettid()
}

// Unpin undoes Pin.
func (l *Loop) Unpin() {
	if l.pinned {
		runtime.UnlockOSThread()
		l.pinned = false
	}
}

// Run turns until Stop.
func (l *Loop) Run() error {
	for !l.stopped {
		wait := l.polled
		if l.pinned {
			wait = l.unpolled
		}
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}

// polled turns until the loop is pinned, and waits by the runtime's poller.
func (l *Loop) polled() error {
	var failed error
	err := l.raw.Read(func(uintptr) (done bool) { // false: wait until something is ready, and call again
		for {
			if failed = l.end(); failed != nil || l.stopped || l.pinned {
				return true
			}
			var idle bool
			if idle, failed = l.begin(); failed != nil || idle {
				return failed != nil
			}
		}
	})
	return errors.Join(err, failed)
}

// unpolled turns until the loop is not pinned any more, and waits on its own thread.
func (l *Loop) unpolled() error {
	for {
		if err := l.end(); err != nil || l.stopped || !l.pinned {
			return err
		}
		idle, err := l.begin()
		if err == nil && idle {
			err = l.wait()
		}
		if err != nil {
			return err
		}
	}
}

// begin does what was posted and is due. idle is true when there was nothing, as there was at the last turn's end; then the alarm is set.
func (l *Loop) begin() (idle bool, err error) {
	posted, fired := l.takePosted(), l.timers.fire(l.Now())
	at, set := l.timers.next()
	if l.served || posted || fired || set && at <= l.Now() {
		return false, nil
	}
	return true, l.arm(at)
}

// end serves the descriptors that are ready, which is why the loop woke up, if it waited.
func (l *Loop) end() error {
	n, err := l.ready()
	if err != nil {
		return err
	}
	for i := range n {
		ev := &l.events[i]
		if w := l.watches[ev.Fd]; w != nil && w.gen == uint32(ev.Pad) {
			w.f(Events(ev.Events))
		}
	}
	for _, f := range l.turnEnd {
		f()
	}
	l.served = n > 0
	return nil
}

// ready fetches the events of the n descriptors that are ready now.
func (l *Loop) ready() (n int, err error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	switch errno {
	case 0:
		return int(got), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("epoll_wait: %w", errno)
}

// wait returns when a descriptor is ready, or sooner.
func (l *Loop) wait() error {
	l.waited[0] = unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN}
	if _, err := unix.Poll(l.waited[:], -1); err != nil && err != unix.EINTR {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

// arm sets the alarm to go off at a time to come, or never when at is 0: with no timer set an idle loop sleeps for good.
func (l *Loop) arm(at time.Duration) error {
	if at == l.armed {
		return nil
	}
	l.armed = at
	var spec unix.ItimerSpec
	if at > 0 {
		spec.Value = unix.NsecToTimespec(max(1, int64(at-l.Now()))) // 0 would unset it
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(l.alarm), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("timerfd_settime: %w", errno)
	}
	return nil
}

// takePosted reports whether anything was.
func (l *Loop) takePosted() bool {
	l.mu.Lock()
	todo := l.posted
	l.posted = l.spare[:0]
	if len(todo) > 0 { // the eventfd counts exactly while something is posted
		var b [8]byte
		unix.Read(l.wake, b[:])
	}
	l.mu.Unlock()
	for i, f := range todo {
		f()
		todo[i] = nil
	}
	l.spare = todo
	return len(todo) > 0
}

// Close releases the loop's own descriptors, after Run has returned.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, fd := range []int{l.wake, l.alarm} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.epoll != nil {
		l.epoll.Close()
	}
}
