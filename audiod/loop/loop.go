package loop

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
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
type Loop struct {
	epoll   int
	wake    int // eventfd, written by Post
	offset  time.Duration
	start   time.Time
	timers  timerHeap
	watches []*Watch // by slot; nil when free
	free    []uint32
	gen     uint32
	turnEnd []func()
	stopped bool
	waitMs  bool // the kernel has no epoll_pwait2 (before 5.11)

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
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	l := &Loop{epoll: ep, wake: wake, start: time.Now(), offset: time.Duration(ts.Nano())}
	if _, err := l.Watch(wake, Readable, func(Events) {}); err != nil { // takePosted has read it
		l.Close()
		return nil, err
	}
	return l, nil
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
	if err := unix.EpollCtl(w.l.epoll, op, w.fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
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

// Run turns until Stop. It keeps its OS thread to itself: a blocked thread of its own wakes faster than a goroutine.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var events [64]unix.EpollEvent
	for !l.stopped {
		n, err := l.wait(events[:])
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		l.takePosted()
		l.timers.fire(l.Now())
		for i := range n {
			ev := &events[i]
			if w := l.watches[ev.Fd]; w != nil && w.gen == uint32(ev.Pad) {
				w.f(Events(ev.Events))
			}
		}
		for _, f := range l.turnEnd {
			f()
		}
	}
	return nil
}

func (l *Loop) takePosted() {
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
}

// wait blocks until a descriptor is ready or the next timer is due. No timer set means no time-out: an idle loop sleeps for good.
func (l *Loop) wait(events []unix.EpollEvent) (int, error) {
	at, timed := l.timers.next()
	left := time.Duration(-1)
	if timed {
		left = max(0, at-l.Now())
	}
	for {
		var n int
		var err error
		if l.waitMs {
			ms := -1
			if timed {
				ms = int((left + time.Millisecond - 1) / time.Millisecond)
			}
			n, err = unix.EpollWait(l.epoll, events, ms)
		} else {
			n, err = epollPwait2(l.epoll, events, left)
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
			return 0, nil // the turn is empty and the time-out is computed anew
		case errors.Is(err, unix.ENOSYS) && !l.waitMs:
			l.waitMs = true
		default:
			return 0, err
		}
	}
}

// epollPwait2 is epoll_wait with nanoseconds (epoll_wait(2)); a negative timeout waits for ever.
func epollPwait2(fd int, events []unix.EpollEvent, timeout time.Duration) (int, error) {
	var ts *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		ts = &t
	}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(ts)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Close releases the loop's own descriptors, after Run has returned.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	unix.Close(l.wake)
	unix.Close(l.epoll)
}
