package device

import "time"

// smoother turns a card's position, which moves in steps and with jitter, into one that flows. It runs on at the nominal rate between
// readings and lets each pull it a little, the more the longer the last is past: a first-order loop with a time constant long against
// the steps of cards (1 to 2 ms; longer ones, of a period, are stamped) and short against the drift of their clocks (100 ppm make it lag by 0.03 ms).
//
// It is never more than maxLag behind a reading: what a card has fetched is gone, however early that was, as it is when a card starts, and to
// believe it still queued is how to run dry. It never runs backwards.
type smoother struct {
	rate    int
	flowing bool // the card has begun to move
	at      time.Duration
	heard   float64       // frames heard at that time
	told    float64       // the latest position given out
	last    int64         // reading…
	moved   time.Duration // …and since when it is the same
}

const (
	smootherTime = 300 * time.Millisecond
	maxLag       = 5 * time.Millisecond
	maxLead      = 40 * time.Millisecond // beyond, the card has stood still, and it begins anew from where that is
)

// read takes a reading made now: at that time, which is not later, so many frames had been heard since the card was started.
func (s *smoother) read(now, at time.Duration, heard int64) {
	if heard != s.last || s.moved == 0 {
		s.last, s.moved = heard, now
	}
	if !s.flowing {
		s.flowing, s.at, s.heard = heard > 0, at, float64(heard)
		return
	}
	past := at - s.at
	if past <= 0 {
		return
	}
	s.heard, s.at = s.heard+s.frames(past), at
	off := float64(heard) - s.heard
	if off < -s.frames(maxLead) {
		s.heard = float64(heard)
		return
	}
	s.heard += max(off*past.Seconds()/(past+smootherTime).Seconds(), off-s.frames(maxLag))
}

// position is the number of frames heard at a time not before the last reading.
func (s *smoother) position(now time.Duration) float64 {
	if s.flowing {
		s.told = max(s.told, s.heard+s.frames(max(0, now-s.at)))
	}
	return s.told
}

// stalled is how long the readings have not moved.
func (s *smoother) stalled(now time.Duration) time.Duration { return now - s.moved }

func (s *smoother) frames(d time.Duration) float64 { return d.Seconds() * float64(s.rate) }
