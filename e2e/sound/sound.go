// Package sound makes sound for tests and judges sound that came out: which tones at which level, whether a frame was
// dropped, repeated or spoiled, and where there is silence.
//
//	Sines, Encode, WriteWAV      test material, in every sample format of the protocol
//	ReadWAV, Decode, Trim, Cut   what was recorded, as one slice of float64 for each channel
//	Tones, Breaks, Level         the judgement; Hear puts it together for a test
//
// It shares no code with the daemon, so that a mistake there cannot hide itself here.
//
// A level in dB is that of a sine's peak against full scale: 0 dB is a sine that just touches ±1.
package sound

import (
	"math"
	"time"
)

// Sound is samples at ±1 full scale.
type Sound struct {
	Rate int         // frames per second
	Ch   [][]float64 // one slice for each channel, all of one length
}

// Tone is one sine.
type Tone struct {
	Freq  float64 // Hz
	DB    float64 // level
	Phase float64 // radians at the first frame, of a sine
}

// Silence is the level that is given for no sound at all.
const Silence = -200.0

// Sines is d of sound with the given tones in each channel. Choose frequencies of which no likely gap is a whole number
// of periods, such as 997 Hz: a loss of 480 frames does not show in 1000 Hz at 48 kHz.
func Sines(rate int, d time.Duration, channels ...[]Tone) Sound {
	n := int(d.Seconds()*float64(rate) + 0.5)
	s := Sound{Rate: rate}
	for _, tones := range channels {
		ch := make([]float64, n)
		for _, tone := range tones {
			amp, step := math.Pow(10, tone.DB/20), 2*math.Pi*tone.Freq/float64(rate)
			for i := range ch {
				ch[i] += amp * math.Sin(tone.Phase+step*float64(i))
			}
		}
		s.Ch = append(s.Ch, ch)
	}
	return s
}

// Sine is d of one tone in every channel.
func Sine(rate, channels int, d time.Duration, freq, dB float64) Sound {
	each := make([][]Tone, channels)
	for i := range each {
		each[i] = []Tone{{Freq: freq, DB: dB}}
	}
	return Sines(rate, d, each...)
}

// Frames is how long s is.
func (s Sound) Frames() int {
	if len(s.Ch) == 0 {
		return 0
	}
	return len(s.Ch[0])
}

// Duration is how long s is.
func (s Sound) Duration() time.Duration {
	return time.Duration(float64(s.Frames()) / float64(s.Rate) * float64(time.Second))
}

// Cut is the part of s from frame from up to frame to, which are moved into s.
func (s Sound) Cut(from, to int) Sound {
	to = max(0, min(to, s.Frames()))
	from = max(0, min(from, to))
	part := Sound{Rate: s.Rate}
	for _, ch := range s.Ch {
		part.Ch = append(part.Ch, ch[from:to])
	}
	return part
}

// Trim is s without the frames at its beginning and end that stay below dB in every channel, and where it began.
func (s Sound) Trim(dB float64) (trimmed Sound, from int) {
	limit := math.Pow(10, dB/20)
	loud := func(i int) bool {
		for _, ch := range s.Ch {
			if math.Abs(ch[i]) >= limit {
				return true
			}
		}
		return false
	}
	to := s.Frames()
	for from < to && !loud(from) {
		from++
	}
	for to > from && !loud(to-1) {
		to--
	}
	return s.Cut(from, to), from
}

// Span is a stretch of frames, the last one not included.
type Span struct{ From, To int }

// Silences are the stretches of at least d in which every channel stays below dB.
func (s Sound) Silences(d time.Duration, dB float64) (spans []Span) {
	limit, from := math.Pow(10, dB/20), 0
	shortest := max(1, int(d.Seconds()*float64(s.Rate)))
	for i := 0; i <= s.Frames(); i++ {
		loud := i == s.Frames()
		for _, ch := range s.Ch {
			loud = loud || math.Abs(ch[i]) >= limit
		}
		if loud {
			if i-from >= shortest {
				spans = append(spans, Span{from, i})
			}
			from = i + 1
		}
	}
	return spans
}

// Level is the level of all that sounds in channel ch, by its power.
func (s Sound) Level(ch int) float64 {
	var sum float64
	for _, v := range s.Ch[ch] {
		sum += v * v
	}
	return decibel(math.Sqrt(2 * sum / float64(max(1, s.Frames()))))
}

// Peak is the level of the sample furthest from zero in channel ch.
func (s Sound) Peak(ch int) float64 {
	var peak float64
	for _, v := range s.Ch[ch] {
		peak = max(peak, math.Abs(v))
	}
	return decibel(peak)
}

func decibel(amp float64) float64 { return max(Silence, 20*math.Log10(amp)) }
