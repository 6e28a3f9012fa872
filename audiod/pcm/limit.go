package pcm

import "github.com/tphakala/simd/f32"

// Limiter holds a mix within full scale by turning it down where it is louder, smoothly and for all channels alike, and up again as
// slowly as the ear does not mind. What never goes beyond full scale comes out bit for bit. It looks ahead within the block it is given and no
// further, so it adds no latency; what rises too early in a block to be foreseen is clipped for the two thirds of a millisecond that turning down
// takes.
//
// Its zero value is of no use; make it with NewLimiter.
type Limiter struct {
	channels int
	gain     float32 // at the end of the last block
	rise     float32 // of what the gain lacks, the part that a frame gives back
	hold     int     // frames for which the gain stays after it was needed…
	wait     int     // …and how many of them are left
}

const (
	window   = 32             // frames, between whose edges the gain goes evenly
	windows  = 32             // in one go
	fall     = float32(1) / 8 // most that the gain falls in a window that was foreseen
	holding  = 0.025          // seconds, longer than half a wave of the lowest tone, or each wave would be bent
	recovery = 0.2            // seconds, in which two thirds of a reduction are taken back
	almost   = 1 - 1e-5       // of the gain: from there to 1 the step is not heard
)

// NewLimiter makes a Limiter for interleaved frames at rate.
func NewLimiter(channels, rate int) *Limiter {
	return &Limiter{channels: channels, gain: 1, rise: float32(1 / (recovery * float64(rate))), hold: int(holding * float64(rate))}
}

// Limit holds buf, whole frames, within ±1 in place, and returns the peak it has then. A NaN becomes 0.
func (l *Limiter) Limit(buf []float32) (peak float32) {
	if peak = Peak(buf); l.gain == 1 && peak <= 1 {
		if sum := f32.SumOfSquares(buf); sum != sum { // a NaN, which the peak does not tell
			Clip(buf)
		}
		return peak
	}
	for rest := buf; len(rest) > 0; {
		n := min(len(rest), windows*window*l.channels)
		l.turn(rest[:n])
		rest = rest[n:]
	}
	return Peak(buf)
}

// turn limits a part that is no longer than can be looked at in one go.
func (l *Limiter) turn(part []float32) {
	size := window * l.channels
	n := (len(part) + size - 1) / size
	var needs [windows]float32 // the most gain that each window bears
	for k := range n {
		needs[k] = 1
		if p := Peak(part[k*size : min((k+1)*size, len(part))]); p > 1 {
			needs[k] = 1 / p
		}
	}
	var edges [windows + 1]float32 // the gain before each window, and after the last
	edges[0] = l.gain
	for k := range n {
		frames := (min((k+1)*size, len(part)) - k*size) / l.channels
		edge, most := edges[k], min(needs[k], needs[min(k+1, n-1)])
		switch {
		case most <= edge:
			edge, l.wait = most, l.hold
		case l.wait > 0:
			l.wait -= frames
		default:
			edge = min(most, edge+(1-edge)*l.rise*float32(frames))
		}
		edges[k+1] = edge
	}
	for k := n - 1; k > 0; k-- {
		edges[k] = min(edges[k], edges[k+1]+fall)
	}
	for k := range n {
		l.ramp(part[k*size:min((k+1)*size, len(part))], edges[k], edges[k+1])
	}
	if l.gain = edges[n]; l.gain > almost {
		l.gain = 1
	}
}

// ramp turns buf from one gain to another.
func (l *Limiter) ramp(buf []float32, from, to float32) {
	step := (to - from) / float32(len(buf)/l.channels)
	for k := 0; len(buf) > 0; k++ {
		gain := from + step*float32(k)
		for c, x := range buf[:l.channels] {
			buf[c] = clip(x * gain)
		}
		buf = buf[l.channels:]
	}
}
