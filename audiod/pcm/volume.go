package pcm

import (
	"math"

	"github.com/tphakala/simd/f32"
)

// Volume is PulseAudio's: 0 is silence, VolumeNorm full, and it rises as the cube root of the amplitude
// because that is nearer to how loud it seems (pulse/volume.h).
type Volume uint32

const (
	Muted         Volume = 0
	VolumeNorm    Volume = 0x10000 // 100 %, 0 dB
	MaxVolume     Volume = 0x7FFFFFFF
	VolumeInvalid Volume = 0xFFFFFFFF
)

// Valid reports whether v is a volume that the protocol allows.
func (v Volume) Valid() bool { return v <= MaxVolume }

// Linear is the factor that v puts on every sample: 1 at VolumeNorm, more than 1 above it.
func (v Volume) Linear() float32 {
	f := float64(v) / float64(VolumeNorm)
	return float32(f * f * f)
}

// VolumeOf is the volume whose factor is nearest to linear; nothing is louder than MaxVolume.
func VolumeOf(linear float32) Volume {
	v := math.Round(math.Cbrt(float64(max(linear, 0))) * float64(VolumeNorm))
	return Volume(min(v, float64(MaxVolume)))
}

// MixInto adds src to dst, both interleaved, each channel times a gain that moves evenly from its from, where the
// last block ended, to its to, where this one ends; so a change of volume does not click. It does as many whole frames as
// both slices hold. The gain slices hold one factor a channel.
func MixInto(dst, src []float32, channels int, from, to []float32) {
	frames := min(len(dst), len(src)) / channels
	n := frames * channels
	dst, src = dst[:n], src[:n]
	from, to = from[:channels], to[:channels]

	ramped, uneven := false, false
	for c := range from {
		ramped = ramped || from[c] != to[c]
		uneven = uneven || from[c] != from[0]
	}
	switch {
	case ramped:
		per := 1 / float32(max(frames, 1))
		for c := range channels {
			g, step := from[c], (to[c]-from[c])*per
			for i, k := c, float32(1); i < n; i, k = i+channels, k+1 {
				dst[i] += src[i] * (g + step*k)
			}
		}
	case uneven && channels == 2:
		l, r := to[0], to[1]
		for i := 0; i+1 < len(dst) && i+1 < len(src); i += 2 {
			dst[i] += src[i] * l
			dst[i+1] += src[i+1] * r
		}
	case uneven:
		for c, g := range to {
			for i := c; i < n; i += channels {
				dst[i] += src[i] * g
			}
		}
	case to[0] != 0:
		f32.AddScaled(dst, to[0], src)
	}
}

// Scale multiplies buf, interleaved, in place, each channel by a gain that moves evenly from its from to its to.
func Scale(buf []float32, channels int, from, to []float32) {
	frames := len(buf) / channels
	per := 1 / float32(max(frames, 1))
	for c := range channels {
		g, step := from[c], (to[c]-from[c])*per
		for i, k := c, float32(1); i < frames*channels; i, k = i+channels, k+1 {
			buf[i] *= g + step*k
		}
	}
}
