package loop

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// run turns l until it is stopped, or fails t when that takes too long.
func run(t *testing.T, l *Loop) {
	t.Helper()
	guard := time.AfterFunc(time.Minute, l.Stop)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if !guard.Stop() {
		t.Fatal("the loop was not stopped in 20 seconds")
	}
}

func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func TestTimersFireInOrderAndNotBefore(t *testing.T) {
	l := newLoop(t)
	start := l.Now()
	var fired []int
	for _, ms := range []int{30, 10, 20} {
		at := start + time.Duration(ms)*time.Millisecond
		l.NewTimer(func() {
			if now := l.Now(); now < at {
				t.Errorf("the timer of %d ms fired %v early", ms, at-now)
			}
			fired = append(fired, ms)
			if len(fired) == 3 {
				l.Stop()
			}
		}).Set(at)
	}
	stopped := l.NewTimer(func() { t.Error("a stopped timer fired") })
	stopped.Set(start + 15*time.Millisecond)
	stopped.Stop()
	stopped.Stop()
	run(t, l)
	if !slices.Equal(fired, []int{10, 20, 30}) {
		t.Errorf("fired in the order %v", fired)
	}
}

func TestATimerSetForThePastWaitsATurn(t *testing.T) {
	l := newLoop(t)
	ours, theirs := pair(t)
	turns := 0
	var again *Timer
	again = l.NewTimer(func() { // always due: it must not keep the descriptor from being looked at
		turns++
		again.Set(0)
	})
	again.Set(0)
	if _, err := l.Watch(ours, Readable, func(Events) { l.Stop() }); err != nil {
		t.Fatal(err)
	}
	unix.Write(theirs, []byte{1})
	run(t, l)
	if turns == 0 {
		t.Error("the timer did not fire")
	}
}

func TestPostFromManyGoroutines(t *testing.T) {
	l := newLoop(t)
	const goroutines, each = 8, 1000
	n := 0
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				l.Post(func() { n++ })
			}
		})
	}
	go func() {
		wg.Wait()
		l.Stop()
	}()
	run(t, l)
	if n != goroutines*each {
		t.Errorf("%d of %d posted functions ran", n, goroutines*each)
	}
}

func TestWatchSetAndClose(t *testing.T) {
	l := newLoop(t)
	a, theirsA := pair(t)
	b, theirsB := pair(t)
	var wa, wb *Watch
	closed := false
	other := func(w **Watch) func(Events) {
		return func(Events) { // whichever is called first closes both: the other must not be called any more, though its event was fetched
			if closed {
				t.Error("a closed watch was called")
			}
			closed = true
			wa.Close()
			wb.Close()
			l.NewTimer(l.Stop).Set(l.Now() + 5*time.Millisecond)
		}
	}
	var err error
	if wa, err = l.Watch(a, Readable, other(&wa)); err != nil {
		t.Fatal(err)
	}
	if wb, err = l.Watch(b, Readable, other(&wb)); err != nil {
		t.Fatal(err)
	}
	unix.Write(theirsA, []byte{1})
	unix.Write(theirsB, []byte{1})
	run(t, l)
	if !closed {
		t.Error("no watch was called")
	}
	if n := len(l.free); n != 2 {
		t.Errorf("%d slots are free, want 2", n)
	}
	wa.Close() // twice is harmless, even when the slot has a new owner
	c, err := l.Watch(a, Writable, func(Events) {})
	if err != nil {
		t.Fatal(err)
	}
	wa.Close()
	wb.Close()
	if l.watches[c.slot] != c {
		t.Error("closing an old watch ended a new one")
	}
}

// A reader that takes one byte a turn is called until nothing is left, whenever bytes come: while it works, before it waits, while it waits.
func TestNoReadinessIsLost(t *testing.T) {
	const total = 20000
	l := newLoop(t)
	ours, theirs := pair(t)
	got := 0
	if _, err := l.Watch(ours, Readable, func(Events) {
		var b [1]byte
		if n, _ := unix.Read(ours, b[:]); n > 0 {
			got += n
		}
		if got == total {
			l.Stop()
		}
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for sent := 0; sent < total; {
			n, err := unix.Write(theirs, make([]byte, min(1+sent%7, total-sent)))
			if err != nil && err != unix.EAGAIN {
				t.Error(err)
				return
			}
			if sent += max(n, 0); n < 0 || sent%16 == 0 {
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	run(t, l)
	if got != total {
		t.Errorf("%d bytes of %d came", got, total)
	}
}

func TestHungUpComesUnasked(t *testing.T) {
	l := newLoop(t)
	ours, theirs := pair(t)
	if _, err := l.Watch(ours, 0, func(ev Events) {
		if ev&HungUp == 0 {
			t.Errorf("events %#x", ev)
		}
		l.Stop()
	}); err != nil {
		t.Fatal(err)
	}
	unix.Shutdown(theirs, unix.SHUT_RDWR)
	unix.Close(theirs)
	run(t, l)
}

func TestTheTurnEndsWithItsHooks(t *testing.T) {
	l := newLoop(t)
	ours, theirs := pair(t)
	var order []string
	l.AtTurnEnd(func() { order = append(order, "end") })
	l.NewTimer(func() { order = append(order, "timer"); unix.Write(theirs, []byte{1}) }).Set(0)
	if _, err := l.Watch(ours, Readable, func(Events) { order = append(order, "descriptor"); l.stopped = true }); err != nil {
		t.Fatal(err)
	}
	l.Post(func() { order = append(order, "posted") })
	run(t, l)
	if want := []string{"end", "posted", "timer", "descriptor", "end"}; !slices.Equal(order, want) { // it starts out at rest
		t.Errorf("from a rest on it went %v, want %v", order, want)
	}
}

func TestTurnsAllocateNothing(t *testing.T) {
	l := newLoop(t)
	n := 0
	var timer *Timer
	timer = l.NewTimer(func() {
		if n++; n < 2000 {
			timer.Set(l.Now())
		} else {
			l.Stop()
		}
	})
	timer.Set(0)
	allocs := testing.AllocsPerRun(1, func() { n = 0; l.stopped = false; timer.Set(0); run(t, l) })
	if allocs > 20 { // what run itself and Stop need
		t.Errorf("%v allocations in 2000 turns", allocs)
	}
}

func TestHand(t *testing.T) {
	var h Hand
	var fired []time.Duration
	var every *Timer
	every = h.NewTimer(func() {
		fired = append(fired, h.Now())
		every.Set(h.Now() + 3*time.Second)
	})
	every.Set(2 * time.Second)
	h.Advance(time.Second)
	if len(fired) != 0 || h.Timers() != 1 || !every.Pending() {
		t.Fatalf("after a second: %v, %d timers", fired, h.Timers())
	}
	h.Advance(9 * time.Second)
	if !slices.Equal(fired, []time.Duration{2 * time.Second, 5 * time.Second, 8 * time.Second}) || h.Now() != 10*time.Second {
		t.Errorf("fired at %v; now %v", fired, h.Now())
	}
	every.Stop()
	if h.Timers() != 0 {
		t.Error("a stopped timer is counted")
	}
}

// TestPinned has the loop pinned and let go while it runs: timers, descriptors and posts go on, pinned on one thread.
func TestPinned(t *testing.T) {
	l := newLoop(t)
	ours, theirs := pair(t)
	var threads []int
	tick := l.NewTimer(func() { threads = append(threads, unix.Gettid()); unix.Write(theirs, []byte{1}) })
	if _, err := l.Watch(ours, Readable, func(Events) {
		unix.Read(ours, make([]byte, 1))
		threads = append(threads, unix.Gettid())
		go l.Post(func() {
			threads = append(threads, unix.Gettid())
			if tick.Set(l.Now() + time.Millisecond); len(threads) < 60 {
				return
			}
			if l.pinned {
				for _, thread := range threads {
					if thread != threads[0] {
						t.Errorf("pinned on thread %d, and then on %d", threads[0], thread)
					}
				}
				threads = nil
				l.Unpin()
				return
			}
			l.Stop()
		})
	}); err != nil {
		t.Fatal(err)
	}
	l.Post(func() {
		threads = append(threads, l.Pin())
		tick.Set(l.Now())
	})
	run(t, l)
}
