package sound

import (
	"fmt"
	"math"
	"slices"
)

// Part is a stretch of frames in which one tone sounds.
type Part struct {
	Span
	Freq float64 // Hz
}

func (p Part) String() string { return fmt.Sprintf("%.0f Hz in frames %d to %d", p.Freq, p.From, p.To) }

// Parts are the stretches of channel ch in which one of freqs sounds alone, in their order: silence and what is none of them separates two
// parts, also of one tone. Their ends are good to 10 ms. The frequencies must be 100 Hz apart.
func (s Sound) Parts(ch int, freqs ...float64) (parts []Part) {
	block := s.Rate / 100
	before := 0.0
	for from := 0; from+block <= s.Frames(); from += block {
		freq := alone(s.Ch[ch][from:from+block], s.Rate, freqs)
		switch {
		case freq == 0:
		case freq == before:
			parts[len(parts)-1].To = from + block
		default:
			parts = append(parts, Part{Span{from, from + block}, freq})
		}
		before = freq
	}
	return parts
}

// alone is the one of freqs that x consists of, or 0.
func alone(x []float64, rate int, freqs []float64) float64 {
	var power float64
	for _, v := range x {
		power += v * v
	}
	if decibel(math.Sqrt(2*power/float64(len(x)))) < -60 {
		return 0
	}
	i := slices.IndexFunc(freqs, func(freq float64) bool {
		var sin, cos float64
		for t, v := range x {
			a, b := math.Sincos(2 * math.Pi * freq * float64(t) / float64(rate))
			sin, cos = sin+a*v, cos+b*v
		}
		return 2*(sin*sin+cos*cos)/float64(len(x)) > 0.7*power
	})
	if i < 0 {
		return 0
	}
	return freqs[i]
}

// Seconds is how long a stretch lasts at rate frames a second.
func (p Span) Seconds(rate int) float64 { return float64(p.To-p.From) / float64(rate) }
