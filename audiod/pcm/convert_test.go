package pcm

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

func decode(f Format, src ...byte) []float32 {
	dst := make([]float32, len(src)/f.Size())
	Decode(dst, src, f)
	return dst
}

func encode(f Format, src ...float32) []byte {
	dst := make([]byte, len(src)*f.Size())
	Encode(dst, src, f)
	return dst
}

// One half and full scale, in every format, byte for byte.
func TestFormats(t *testing.T) {
	for f, want := range map[Format]struct{ half, full, least []byte }{
		U8:        {[]byte{0xC0}, []byte{0xFF}, []byte{0}},
		ALaw:      {[]byte{0xA5}, []byte{0xAA}, []byte{0x2A}},
		ULaw:      {[]byte{0x8F}, []byte{0x80}, []byte{0x00}},
		S16LE:     {[]byte{0, 0x40}, []byte{0xFF, 0x7F}, []byte{0, 0x80}},
		S16BE:     {[]byte{0x40, 0}, []byte{0x7F, 0xFF}, []byte{0x80, 0}},
		Float32LE: {[]byte{0, 0, 0, 0x3F}, []byte{0, 0, 0x80, 0x3F}, []byte{0, 0, 0x80, 0xBF}},
		Float32BE: {[]byte{0x3F, 0, 0, 0}, []byte{0x3F, 0x80, 0, 0}, []byte{0xBF, 0x80, 0, 0}},
		S32LE:     {[]byte{0, 0, 0, 0x40}, []byte{0xFF, 0xFF, 0xFF, 0x7F}, []byte{0, 0, 0, 0x80}},
		S32BE:     {[]byte{0x40, 0, 0, 0}, []byte{0x7F, 0xFF, 0xFF, 0xFF}, []byte{0x80, 0, 0, 0}},
		S24LE:     {[]byte{0, 0, 0x40}, []byte{0xFF, 0xFF, 0x7F}, []byte{0, 0, 0x80}},
		S24BE:     {[]byte{0x40, 0, 0}, []byte{0x7F, 0xFF, 0xFF}, []byte{0x80, 0, 0}},
		S24In32LE: {[]byte{0, 0, 0x40, 0}, []byte{0xFF, 0xFF, 0x7F, 0}, []byte{0, 0, 0x80, 0xFF}},
		S24In32BE: {[]byte{0, 0x40, 0, 0}, []byte{0, 0x7F, 0xFF, 0xFF}, []byte{0xFF, 0x80, 0, 0}},
	} {
		if got := encode(f, .5); !bytes.Equal(got, want.half) {
			t.Errorf("%v: one half is % x, want % x", f, got, want.half)
		}
		if got := decode(f, want.half...)[0]; math.Abs(float64(got)-.5) > .02 || f != ALaw && f != ULaw && got != .5 {
			t.Errorf("%v: % x is %g, want one half", f, want.half, got)
		}
		inf := float32(math.Inf(1))
		for _, x := range []float32{1, 1.0001, 7, 1e30, inf} {
			if got := encode(f, x); !bytes.Equal(got, want.full) {
				t.Errorf("%v: %g is % x, want % x", f, x, got, want.full)
			}
			if got := encode(f, -x); !bytes.Equal(got, want.least) {
				t.Errorf("%v: %g is % x, want % x", f, -x, got, want.least)
			}
		}
		if got := decode(f, want.full...)[0]; got < .98 || got > 1 {
			t.Errorf("%v: % x is %g, want full scale", f, want.full, got)
		}
		if got := decode(f, want.least...)[0]; got > -.98 || got < -1 {
			t.Errorf("%v: % x is %g, want full scale below", f, want.least, got)
		}
		// Many at once go another way than few.
		if got := encode(f, slices.Repeat([]float32{7, -inf, .5, float32(math.NaN()), 0}, 9)...); !bytes.Equal(got[f.Size()*40:], encode(f, 1, -1, .5, 0, 0)) ||
			!bytes.Equal(got[:f.Size()*5], got[f.Size()*40:]) {
			t.Errorf("%v: among many it is % x", f, got)
		}
		silence := bytes.Repeat([]byte{f.Silence()}, 3*f.Size())
		if got := Peak(decode(f, silence...)); got > 1./4096 {
			t.Errorf("%v: silence has a peak of %g", f, got)
		}
		if got := encode(f, 0, float32(math.NaN()), 0); !bytes.Equal(got, silence) {
			t.Errorf("%v: silence is % x, want % x", f, got, silence)
		}
	}
}

// What came from an integer goes back to the same integer.
func TestRoundTrips(t *testing.T) {
	var b []byte
	for i := range 1 << 16 {
		b = append(b, byte(i), byte(i>>8))
	}
	for _, f := range []Format{U8, ALaw, S16LE, S16BE} {
		if got := encode(f, decode(f, b...)...); !bytes.Equal(got, b) {
			t.Errorf("%v changes", f)
		}
	}
	// µ-law has two zeros.
	if got := encode(ULaw, decode(ULaw, b...)...); !bytes.Equal(got, bytes.ReplaceAll(b, []byte{0x7F}, []byte{0xFF})) {
		t.Error("uLaw changes")
	}

	b = b[:0]
	for i := int32(-1 << 23); i < 1<<23; i += 5 {
		b = append(b, byte(i), byte(i>>8), byte(i>>16))
	}
	for _, f := range []Format{S24LE, S24BE} {
		if got := encode(f, decode(f, b...)...); !bytes.Equal(got, b) {
			t.Errorf("%v changes", f)
		}
	}
	b = b[:0]
	for i := int32(-1 << 23); i < 1<<23; i += 5 {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	if got := encode(S24In32LE, decode(S24In32LE, b...)...); !bytes.Equal(got, b) {
		t.Error("s24-32le changes")
	}
	for i := range b { // 24 bits of 32, at the top
		if i%4 == 3 {
			b[i-3], b[i-2], b[i-1], b[i] = 0, b[i-3], b[i-2], b[i-1]
		}
	}
	if got := encode(S32LE, decode(S32LE, b...)...); !bytes.Equal(got, b) {
		t.Error("s32le changes")
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	if got := encode(S32BE, decode(S32BE, b...)...); !bytes.Equal(got, b) {
		t.Error("s32be changes")
	}
}

func TestEncodeRoundsToNearest(t *testing.T) {
	const bit = 1. / 32768
	for _, c := range []struct {
		x    float32
		want int16
	}{{.49 * bit, 0}, {.51 * bit, 1}, {-.49 * bit, 0}, {-.51 * bit, -1}, {100.4 * bit, 100}, {-100.6 * bit, -101}, {32766.6 * bit, 32767}, {-32767.6 * bit, -32768}} {
		for n := 1; n < 22; n++ { // alone, and many at once
			le, be := encode(S16LE, slices.Repeat([]float32{c.x}, n)...), encode(S16BE, c.x)
			for i := 0; i < len(le); i += 2 {
				if got := int16(binary.LittleEndian.Uint16(le[i:])); got != c.want {
					t.Errorf("%g bits are %d, want %d", c.x/bit, got, c.want)
				}
			}
			if got := int16(binary.BigEndian.Uint16(be)); got != c.want {
				t.Errorf("%g bits are %d in big endian, want %d", c.x/bit, got, c.want)
			}
		}
	}
}

// G.711 is off by no more than half a step, and the steps grow with the sample.
func TestG711Error(t *testing.T) {
	for _, f := range []Format{ALaw, ULaw} {
		for i := -32768; i < 32768; i++ {
			got := int(decode(f, encode(f, float32(i)/32768)...)[0] * 32768)
			if d := max(i-got, got-i); d > max(i, -i)/32+8 {
				t.Fatalf("%v: %d comes back as %d", f, i, got)
			}
		}
	}
}

func TestDecodeScrubsFloats(t *testing.T) {
	bits := math.Float32bits
	for _, c := range []struct {
		bits uint32
		want float32
	}{
		{bits(.25), .25}, {bits(-1.5), -1.5}, {bits(8), 8}, {bits(8.1), 8}, {bits(-3e38), -8}, {bits(0), 0}, {1 << 31, 0}, {1, 0}, {1<<31 + 7, 0},
		{bits(1e-30), 0}, {bits(1e-10), 1e-10}, {0x7F800000, 0}, {0xFF800000, 0}, {0x7F800001, 0}, {0x7FC00000, 0}, {0xFFFFFFFF, 0},
	} {
		le, be := binary.LittleEndian.AppendUint32(nil, c.bits), binary.BigEndian.AppendUint32(nil, c.bits)
		if got := decode(Float32LE, le...)[0]; got != c.want {
			t.Errorf("%#x is %g, want %g", c.bits, got, c.want)
		}
		many := decode(Float32LE, bytes.Repeat(le, 21)...) // the path for many at once
		if i := slices.IndexFunc(many, func(x float32) bool { return x != c.want || x == 0 && math.Signbit(float64(x)) }); i >= 0 {
			t.Errorf("%#x among many is %g, want %g", c.bits, many[i], c.want)
		}
		if got := decode(Float32BE, be...)[0]; got != c.want {
			t.Errorf("%#x big endian is %g, want %g", c.bits, got, c.want)
		}
	}
}

func TestConvertDoesNotAllocate(t *testing.T) {
	floats, raw := make([]float32, 100), make([]byte, 400)
	for f := range numFormats {
		if n := testing.AllocsPerRun(10, func() { Decode(floats, raw, f); Encode(raw, floats, f) }); n > 0 {
			t.Errorf("%v: %g allocations", f, n)
		}
	}
}

// Whatever the bytes, samples come out that harm no sum, and no slice is too short.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(Float32LE), 3, []byte{0, 0, 0x80, 0x7F, 1, 0, 0, 0, 9})
	f.Add(uint8(S24BE), 1, []byte{1, 2, 3, 4, 5})
	f.Add(uint8(99), 1, []byte{1})
	f.Fuzz(func(t *testing.T, format uint8, n int, src []byte) {
		dst := make([]float32, uint(n)%1000)
		Decode(dst, src, Format(format))
		for _, x := range dst {
			if !(x >= -loud && x <= loud) || x != 0 && x > -quiet && x < quiet {
				t.Fatalf("%v: % x gives %g", Format(format), src, x)
			}
		}
		Encode(make([]byte, len(src)), dst, Format(format))
	})
}
