package device

import "time"

// Smoother turns a device's position, which moves in steps and with jitter, into one that flows. It runs on at the nominal rate between
// readings and lets each pull it a little, the more the longer the last is past: a first-order loop with a time constant long against
// the steps of cards (1 to 2 ms; longer ones, of a period, are stamped) and short against the drift of their clocks (100 ppm make it lag by 0.03 ms).
//
// It is never more than maxLag behind a reading: what a card has fetched is gone, however early that was, as it is when a card starts, and to
// believe it still queued is how to run dry. It never runs backwards.
type Smoother struct {
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

// NewSmoother makes a Smoother for a device that runs at rate and stands still where so many frames have been heard.
func NewSmoother(rate int, heard int64) Smoother {
	return Smoother{rate: rate, heard: float64(heard), told: float64(heard)}
}

// Flow says that the device begins to move at that time, before any reading tells: to count on it too early is how not to be late.
func (s *Smoother) Flow(at time.Duration) { s.flowing, s.at = true, at }

// Read takes a reading made now: at that time, which is not later, so many frames had been heard since the card was started.
func (s *Smoother) Read(now, at time.Duration, heard int64) {
	if heard != s.last || s.moved == 0 {
		s.last, s.moved = heard, now
	}
	if !s.flowing {
		s.flowing, s.at, s.heard = heard > int64(s.heard), at, max(s.heard, float64(heard))
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

// Position is the number of frames heard at a time not before the last reading.
func (s *Smoother) Position(now time.Duration) float64 {
	if s.flowing {
		s.told = max(s.told, s.heard+s.frames(max(0, now-s.at)))
	}
	return s.told
}

// stalled is how long the readings have not moved.
func (s *Smoother) stalled(now time.Duration) time.Duration { return now - s.moved }

func (s *Smoother) frames(d time.Duration) float64 { return d.Seconds() * float64(s.rate) }
