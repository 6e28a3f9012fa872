// Package pcm is arithmetic on sound: sample specs and channel maps, and pure functions on slices that
// convert, remap, resample, scale, add and measure.
//
// Inside the daemon sound is float32, interleaved, one frame after another, full scale at ±1. Nothing here keeps
// state but the Resampler, nothing allocates after construction, and any goroutine may call anything that it does not share.
package pcm

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of what the protocol server accepts. PulseAudio allows 32 channels and 768 kHz; these are the
// project's own, tighter ones.
const (
	MaxChannels = 8
	MinRate     = 4000   // frames per second
	MaxRate     = 384000 // frames per second
)

// Format is a sample encoding, numbered as PulseAudio numbers it on the wire (pulse/sample.h).
type Format uint8

const (
	U8 Format = iota
	ALaw
	ULaw
	S16LE
	S16BE
	Float32LE
	Float32BE
	S32LE
	S32BE
	S24LE     // three bytes a sample
	S24BE     // three bytes a sample
	S24In32LE // the low 24 bits of four bytes
	S24In32BE // the low 24 bits of four bytes
	numFormats

	FormatInvalid Format = 0xFF
)

var formatNames = [numFormats]string{"u8", "aLaw", "uLaw", "s16le", "s16be", "float32le", "float32be", "s32le", "s32be", "s24le", "s24be", "s24-32le", "s24-32be"}
var formatSizes = [numFormats]int{1, 1, 1, 2, 2, 4, 4, 4, 4, 3, 3, 4, 4}

// String is PulseAudio's name for f, as pactl and the format-info API write it ("s16le").
func (f Format) String() string {
	if f >= numFormats {
		return "invalid"
	}
	return formatNames[f]
}

// ParseFormat is the reverse of String; ok is false for a name PulseAudio does not know.
func ParseFormat(name string) (f Format, ok bool) {
	for i, n := range formatNames {
		if strings.EqualFold(n, name) {
			return Format(i), true
		}
	}
	return FormatInvalid, false
}

// Valid reports whether f is one of the protocol's PCM encodings.
func (f Format) Valid() bool { return f < numFormats }

// Size is the bytes one sample takes; 0 for an invalid format.
func (f Format) Size() int {
	if f >= numFormats {
		return 0
	}
	return formatSizes[f]
}

// Bits is how many evenly spaced bits a sample has; 0 where its steps grow with it, as those of floats and of A-law and µ-law do.
func (f Format) Bits() int {
	switch f {
	case U8:
		return 8
	case S16LE, S16BE:
		return 16
	case S24LE, S24BE, S24In32LE, S24In32BE:
		return 24
	case S32LE, S32BE:
		return 32
	}
	return 0
}

// Silence is the byte that, repeated, is silence in f.
func (f Format) Silence() byte {
	switch f {
	case U8:
		return 0x80
	case ALaw:
		return 0xD5
	case ULaw:
		return 0xFF
	}
	return 0
}

// Spec says how bytes become frames.
type Spec struct {
	Format   Format
	Channels uint8
	Rate     uint32 // frames per second
}

// Check tells what is wrong with s, or nil.
func (s Spec) Check() error {
	switch {
	case !s.Format.Valid():
		return fmt.Errorf("sample format %d is not one the protocol has", s.Format)
	case s.Channels < 1 || s.Channels > MaxChannels:
		return fmt.Errorf("%d channels: 1 to %d are served", s.Channels, MaxChannels)
	case s.Rate < MinRate || s.Rate > MaxRate:
		return fmt.Errorf("%d Hz: %d to %d are served", s.Rate, MinRate, MaxRate)
	}
	return nil
}

// FrameSize is the bytes of one frame; 0 when s is not valid.
func (s Spec) FrameSize() int { return s.Format.Size() * int(s.Channels) }

// BytesPerSecond is the rate of s in bytes.
func (s Spec) BytesPerSecond() int { return s.FrameSize() * int(s.Rate) }

// Duration is how long n bytes of s last.
func (s Spec) Duration(n int64) time.Duration {
	bps := int64(s.BytesPerSecond())
	if bps == 0 {
		return 0
	}
	return time.Duration(n/bps)*time.Second + time.Duration(n%bps*int64(time.Second)/bps)
}

// Bytes is how many bytes of s last d, rounded down to whole frames.
func (s Spec) Bytes(d time.Duration) int {
	return int(int64(d/time.Microsecond)*int64(s.Rate)/1e6) * s.FrameSize()
}

func (s Spec) String() string { return fmt.Sprintf("%s %dch %dHz", s.Format, s.Channels, s.Rate) }

// Position is where a channel's loudspeaker stands, numbered as PulseAudio numbers it (pulse/channelmap.h).
type Position uint8

const (
	Mono Position = iota
	FrontLeft
	FrontRight
	FrontCenter
	RearCenter
	RearLeft
	RearRight
	LFE
	FrontLeftOfCenter
	FrontRightOfCenter
	SideLeft
	SideRight
	Aux0
)

const (
	TopCenter Position = Aux0 + 32 + iota
	TopFrontLeft
	TopFrontRight
	TopFrontCenter
	TopRearLeft
	TopRearRight
	TopRearCenter
	numPositions
)

var positionNames = sync.OnceValue(func() []string {
	names := make([]string, numPositions)
	copy(names, []string{"mono", "front-left", "front-right", "front-center", "rear-center", "rear-left", "rear-right", "lfe",
		"front-left-of-center", "front-right-of-center", "side-left", "side-right"})
	for i := range 32 {
		names[int(Aux0)+i] = fmt.Sprintf("aux%d", i)
	}
	copy(names[TopCenter:], []string{"top-center", "top-front-left", "top-front-right", "top-front-center", "top-rear-left", "top-rear-right", "top-rear-center"})
	return names
})

// String is PulseAudio's name of p.
func (p Position) String() string {
	if p >= numPositions {
		return "invalid"
	}
	return positionNames()[p]
}

// ChannelMap names the position of each channel, in interleaving order.
type ChannelMap []Position

// Stereo and the other default maps are PulseAudio's (pa_channel_map_init_auto, ALSA order).
var (
	MonoMap   = ChannelMap{Mono}
	StereoMap = ChannelMap{FrontLeft, FrontRight}
)

// DefaultMap is the map PulseAudio assumes for n channels when nobody names one; nil when n is not 1 to MaxChannels.
func DefaultMap(n int) ChannelMap {
	all := ChannelMap{FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, LFE, SideLeft, SideRight}
	switch n {
	case 1:
		return MonoMap
	case 2, 4, 6, 8:
		return all[:n:n]
	case 3:
		return ChannelMap{FrontLeft, FrontRight, FrontCenter}
	case 5:
		return ChannelMap{FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter}
	case 7:
		return ChannelMap{FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, SideLeft, SideRight}
	}
	return nil
}

// Check tells what is wrong with m for a stream of n channels, or nil. A position may appear twice, as in PulseAudio.
func (m ChannelMap) Check(n uint8) error {
	if len(m) != int(n) {
		return fmt.Errorf("a map of %d positions for %d channels", len(m), n)
	}
	for i, p := range m {
		if p >= numPositions {
			return fmt.Errorf("channel %d: position %d does not exist", i, p)
		}
	}
	return nil
}

// String joins the names by commas, as pactl and the format-info API do.
func (m ChannelMap) String() string {
	names := make([]string, len(m))
	for i, p := range m {
		names[i] = p.String()
	}
	return strings.Join(names, ",")
}

// ParseChannelMap reads String's form, and PulseAudio's shorthands "mono" and "stereo".
func ParseChannelMap(s string) (ChannelMap, error) {
	if s == "stereo" {
		return StereoMap, nil
	}
	var m ChannelMap
	names := positionNames()
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("no channel position is called %q", name)
		}
		if len(m) == MaxChannels {
			return nil, fmt.Errorf("more than %d channels", MaxChannels)
		}
		m = append(m, Position(i))
	}
	return m, nil
}
