package loop

import "time"

// Hand is a Clock moved by hand, for tests: nothing happens until Advance. Its zero value stands at time 0.
type Hand struct {
	now    time.Duration
	timers timerHeap
}

// Now is the time Advance has reached.
func (h *Hand) Now() time.Duration { return h.now }

// NewTimer makes a stopped timer on this clock.
func (h *Hand) NewTimer(f func()) *Timer { return h.timers.newTimer(f) }

// Advance moves the clock by d, stopping at each timer on the way and calling it at exactly its time.
func (h *Hand) Advance(d time.Duration) {
	end := h.now + d
	for {
		at, ok := h.timers.next()
		if !ok || at > end {
			break
		}
		h.now = max(h.now, at)
		h.timers.fire(h.now)
	}
	h.now = end
}

// Timers is the number of timers set: 0 means that nothing will happen by itself.
func (h *Hand) Timers() int { return len(h.timers) }
