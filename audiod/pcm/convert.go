package pcm

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/tphakala/simd/f32"
)

// Bounds of what a float from a client may be. A value beyond loud could drown every other stream in a sum;
// one under quiet is 190 dB below the least bit of s16 and would only slow the processor down with denormals.
const (
	loud  = 8
	quiet = 0x1p-48
)

var loudBits, quietBits = math.Float32bits(loud), math.Float32bits(quiet)

// Decode turns samples of f into float32, s16 by 1/32768. It does as many as both slices hold, nothing for an invalid f.
// Floats that are no sound become it: NaN, infinities and what is quieter than -280 dB become 0, the rest is held within ±8.
func Decode(dst []float32, src []byte, f Format) {
	if !f.Valid() {
		return
	}
	n := min(len(dst), len(src)/f.Size())
	dst, src = dst[:n], src[:n*f.Size()]
	switch f {
	case U8:
		for i, b := range src {
			dst[i] = float32(int(b)-128) * (1. / 128)
		}
	case ALaw:
		for i, b := range src {
			dst[i] = aLawTable[b]
		}
	case ULaw:
		for i, b := range src {
			dst[i] = uLawTable[b]
		}
	case S16LE:
		if native := int16s(src); native != nil {
			f32.Int16ToFloat32Scale(dst, native, 1./32768)
			return
		}
		for i := range dst {
			dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:]))) * (1. / 32768)
		}
	case S16BE:
		for i := range dst {
			dst[i] = float32(int16(binary.BigEndian.Uint16(src[2*i:]))) * (1. / 32768)
		}
	case Float32LE:
		for i := scrubMany(dst, src); i < n; i++ {
			dst[i] = scrub(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case Float32BE:
		for i := range dst {
			dst[i] = scrub(binary.BigEndian.Uint32(src[4*i:]))
		}
	case S32LE:
		for i := range dst {
			dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:]))) * 0x1p-31
		}
	case S32BE:
		for i := range dst {
			dst[i] = float32(int32(binary.BigEndian.Uint32(src[4*i:]))) * 0x1p-31
		}
	case S24LE:
		for i := range dst {
			s := src[3*i : 3*i+3]
			dst[i] = float32(int32(s[0])<<8|int32(s[1])<<16|int32(s[2])<<24) * 0x1p-31
		}
	case S24BE:
		for i := range dst {
			s := src[3*i : 3*i+3]
			dst[i] = float32(int32(s[2])<<8|int32(s[1])<<16|int32(s[0])<<24) * 0x1p-31
		}
	case S24In32LE:
		for i := range dst {
			dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:])<<8)) * 0x1p-31
		}
	case S24In32BE:
		for i := range dst {
			dst[i] = float32(int32(binary.BigEndian.Uint32(src[4*i:])<<8)) * 0x1p-31
		}
	}
}

// Encode turns float32 into samples of f: clipped to full scale, rounded to the nearest, NaN as silence.
// It does as many as both slices hold, nothing for an invalid f.
func Encode(dst []byte, src []float32, f Format) {
	if !f.Valid() {
		return
	}
	n := min(len(src), len(dst)/f.Size())
	src, dst = src[:n], dst[:n*f.Size()]
	switch f {
	case U8:
		for i, x := range src {
			dst[i] = byte(toInt(x, 8) + 128)
		}
	case ALaw:
		for i, x := range src {
			dst[i] = aLaw(toInt(x, 16))
		}
	case ULaw:
		for i, x := range src {
			dst[i] = uLaw(toInt(x, 16))
		}
	case S16LE:
		if native := int16s(dst); native != nil {
			f32.Float32ToInt16Scale(native, src, 32768)
			return
		}
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(toInt(x, 16)))
		}
	case S16BE:
		for i, x := range src {
			binary.BigEndian.PutUint16(dst[2*i:], uint16(toInt(x, 16)))
		}
	case Float32LE:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(clip(x)))
		}
	case Float32BE:
		for i, x := range src {
			binary.BigEndian.PutUint32(dst[4*i:], math.Float32bits(clip(x)))
		}
	case S32LE:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], uint32(toInt(x, 32)))
		}
	case S32BE:
		for i, x := range src {
			binary.BigEndian.PutUint32(dst[4*i:], uint32(toInt(x, 32)))
		}
	case S24LE:
		for i, x := range src {
			v, d := toInt(x, 24), dst[3*i:3*i+3]
			d[0], d[1], d[2] = byte(v), byte(v>>8), byte(v>>16)
		}
	case S24BE:
		for i, x := range src {
			v, d := toInt(x, 24), dst[3*i:3*i+3]
			d[2], d[1], d[0] = byte(v), byte(v>>8), byte(v>>16)
		}
	case S24In32LE:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], uint32(toInt(x, 24)))
		}
	case S24In32BE:
		for i, x := range src {
			binary.BigEndian.PutUint32(dst[4*i:], uint32(toInt(x, 24)))
		}
	}
}

// int16s is b, whose length is even, as samples; nil where the machine is not little endian or there are none.
func int16s(b []byte) []int16 {
	if len(b) == 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil
	}
	return unsafe.Slice((*int16)(unsafe.Pointer(&b[0])), len(b)/2)
}

// scrub is the float with these bits, or what is to be heard instead of it.
func scrub(b uint32) float32 {
	if m := b &^ (1 << 31); m < quietBits || m > loudBits {
		if m < quietBits || m >= 0x7F800000 { // infinity, NaN
			return 0
		}
		b = b&(1<<31) | loudBits
	}
	return math.Float32frombits(b)
}

// toInt is x as a signed integer of so many bits. Adding 1.5·2^52 leaves no room for a fraction in a float64,
// so the processor rounds to the nearest (even on a tie) and the integer stands in the low bits.
func toInt(x float32, depth int) int32 {
	full := float64(int64(1) << (depth - 1))
	v := float64(x) * full
	if !(v >= -full && v <= full-1) {
		switch {
		case v > 0:
			v = full - 1
		case v < 0:
			v = -full
		default:
			v = 0
		}
	}
	return int32(math.Float64bits(v + 0x1.8p52))
}
