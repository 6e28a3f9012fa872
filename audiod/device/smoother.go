package device

import "time"

// smoother turns a card's position, which moves in steps and with jitter, into one that flows. It runs on at the nominal rate between
// readings and lets each pull it a little, the more the longer the last is past: a first-order loop with a time constant long against
// the steps of cards (1 to 20 ms) and short against the drift of their clocks (100 ppm make it lag by 0.03 ms). So it never runs backwards, as
// long as the readings stay within limit; beyond that the card did jump, and it follows at once.
type smoother struct {
	rate    int
	limit   float64 // frames
	flowing bool    // the card has begun to move
	at      time.Duration
	heard   float64 // frames heard at that time
	last    int64   // reading
	moved   time.Duration
}

const smootherTime = 300 * time.Millisecond

// read takes a reading: so many frames were heard at that time, since the card was started.
func (s *smoother) read(at time.Duration, heard int64) {
	if heard != s.last || s.moved == 0 {
		s.last, s.moved = heard, at
	}
	if !s.flowing {
		s.flowing, s.at, s.heard = heard > 0, at, float64(max(0, heard))
		return
	}
	past := at - s.at
	if past <= 0 {
		return
	}
	s.heard, s.at = s.position(at), at
	off := float64(heard) - s.heard
	if off > s.limit || off < -s.limit {
		s.heard = float64(heard)
		return
	}
	s.heard += off * past.Seconds() / (past + smootherTime).Seconds()
}

// position is the number of frames heard at a time not before the last reading.
func (s *smoother) position(at time.Duration) float64 {
	if !s.flowing {
		return 0
	}
	return s.heard + max(0, at-s.at).Seconds()*float64(s.rate)
}

// stalled is how long the readings have not moved.
func (s *smoother) stalled(now time.Duration) time.Duration { return now - s.moved }
