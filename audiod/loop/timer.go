// Package loop is the one thread that owns the worker: it waits on descriptors and timers, takes results posted by
// side goroutines, and calls back. All state that callbacks touch belongs to it, so none of it needs a lock.
//
// A turn goes: posted results ► due timers ► a rest, when there was nothing to do ► ready descriptors ► the turn-end hooks, which write what the others
// collected. Timers come before descriptors so that a flood of packets never delays the audio cycle by more than one turn; descriptors are
// looked at when the timers have been, so that a request sent during an audio cycle is answered before what the cycle has to say is written. What wakes the loop
// up is served first of all: between the two ends of a round trip there is little but that.
//
// Hand is the twin for tests: the same timers on a clock that moves only when told to.
package loop

import (
	"container/heap"
	"time"
)

// Clock is what the mixer, the devices and the sessions need of a loop.
type Clock interface {
	// Now is CLOCK_MONOTONIC. Any goroutine may call it.
	Now() time.Duration
	// NewTimer makes a stopped timer that calls f on the loop.
	NewTimer(f func()) *Timer
}

// Timer calls its function once at a set time. Only the loop's goroutine may use it.
type Timer struct {
	f     func()
	at    time.Duration
	index int // in the heap; -1 when not set
	heap  *timerHeap
}

// Set makes t fire at the given time of its clock, replacing an earlier setting. A time that has passed fires in the next turn.
func (t *Timer) Set(at time.Duration) {
	t.at = at
	if t.index < 0 {
		heap.Push(t.heap, t)
	} else {
		heap.Fix(t.heap, t.index)
	}
}

// Stop unsets t; it does nothing when t is not set.
func (t *Timer) Stop() {
	if t.index >= 0 {
		heap.Remove(t.heap, t.index)
	}
}

// Pending reports whether t is set and has not fired.
func (t *Timer) Pending() bool { return t.index >= 0 }

type timerHeap []*Timer

func (h *timerHeap) newTimer(f func()) *Timer { return &Timer{f: f, index: -1, heap: h} }

// next is the earliest set time; ok is false when no timer is set.
func (h timerHeap) next() (at time.Duration, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].at, true
}

// fire runs the timers due at now that were set before the call, and no others: one that sets itself anew for the past waits a turn. It reports whether there were any.
func (h *timerHeap) fire(now time.Duration) (fired bool) {
	for n := len(*h); n > 0 && len(*h) > 0 && (*h)[0].at <= now; n-- {
		t := heap.Pop(h).(*Timer)
		t.f()
		fired = true
	}
	return fired
}

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	t.index = -1
	*h = old[:len(old)-1]
	return t
}
