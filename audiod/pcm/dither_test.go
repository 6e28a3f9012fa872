package pcm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// in16 is s as it is heard from a 16-bit card.
func in16(s []float32, d *Dither) []float32 {
	s = slices.Clone(s)
	raw := make([]byte, 2*len(s))
	for rest := s; len(rest) > 0; rest = rest[min(960, len(rest)):] {
		d.Add(rest[:min(960, len(rest))])
	}
	Encode(raw, s, S16LE)
	Decode(s, raw, S16LE)
	return s
}

// tone16 is a tone of 997 Hz at so many dB, five seconds of it at 48 kHz.
func tone16(level float64) []float32 {
	s := make([]float32, 240000)
	for i := range s {
		s[i] = float32(math.Pow(10, level/20) * math.Sin(2*math.Pi*997*float64(i)/48000))
	}
	return s
}

// Down to 30 dB below the least step a tone is there as loud as it was, without overtones, over noise that does not depend on it.
func TestDither(t *testing.T) {
	for _, level := range []float64{-20, -60, -80, -90, -100, -110, -120} {
		heard := in16(tone16(level), NewDither(16))
		amplitude, residual := fit(heard, 997, 48000)
		noise := db(amplitude) - 3.01 + residual // against the power of a square wave at full scale
		third, _ := fit(heard, 3*997, 48000)
		fifth, _ := fit(heard, 5*997, 48000)
		rounded := in16(tone16(level), nil)
		bare, left := fit(rounded, 997, 48000)
		bareThird, _ := fit(rounded, 3*997, 48000)
		t.Logf("%4.0f dBFS: %8.2f dB, overtones %6.1f and %6.1f dBFS, noise %6.2f dBFS; without %7.2f dB, overtone %6.1f, beside it %6.2f dBFS", level, db(amplitude),
			db(third), db(fifth), noise, db(bare), db(bareThird), db(bare)-3.01+left)
		if off := amplitude / math.Pow(10, level/20); math.Abs(off-1)*math.Pow(10, level/20) > 3e-7 {
			t.Errorf("%v dBFS is heard at %.2f", level, db(amplitude))
		}
		if third > 3e-7 || fifth > 3e-7 {
			t.Errorf("%v dBFS: overtones at %.1f and %.1f", level, db(third), db(fifth))
		}
		if math.Abs(noise+96.33) > 0.1 {
			t.Errorf("%v dBFS: noise at %.2f dBFS, not half a step: -96.33", level, noise)
		}
	}
	if p := Peak(in16(tone16(-100), nil)); p != 0 {
		t.Error("what is softer than half a step is there without noise, so this test shows nothing")
	}
}

// The noise is as loud, and its mean the same, wherever between two steps sound stands still.
func TestDitherIsEven(t *testing.T) {
	for k := range 16 {
		offset := (float64(k) + 0.5) / 16
		s := slices.Repeat([]float32{float32(offset / 32768)}, 240000)
		var sum, square float64
		for _, x := range in16(s, NewDither(16)) {
			e := float64(x)*32768 - offset
			sum, square = sum+e, square+e*e
		}
		if mean, power := sum/240000, square/240000; math.Abs(mean) > 0.004 || math.Abs(power-0.25) > 0.002 {
			t.Errorf("%.2f of a step: off by %.4f, %.4f squared: want 0 and 0.25", offset, mean, power)
		}
	}
}

// What has 16 bits keeps them, for all sums of it too; so has what has 8, and 24 bits and floats get no noise.
func TestDitherLeavesExactSound(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 5))
	for _, bits := range []int{8, 16} {
		s := make([]float32, 9600)
		full := 1 << (bits - 1)
		for i := range s {
			s[i] = float32(rnd.IntN(2*full)-full) / float32(full)
		}
		s[0], s[1] = -1, float32(full-1)/float32(full)
		before := slices.Clone(s)
		if NewDither(bits).Add(s); !slices.Equal(s, before) {
			t.Errorf("%d bits are changed", bits)
		}
		s[9599] += 0.25 / float32(full)
		if NewDither(bits).Add(s); slices.Equal(s[:9000], before[:9000]) {
			t.Errorf("%d bits and a quarter are not", bits)
		}
	}
	for f := range numFormats {
		if few := f == U8 || f == S16LE || f == S16BE; few != (NewDither(f.Bits()) != nil) {
			t.Errorf("%v of %d bits: a Dither: %v", f, f.Bits(), !few)
		}
	}
	d, noise := NewDither(16), []float32{0.1, 0.2, 0.3, 0.4}
	if n := testing.AllocsPerRun(100, func() { d.Add(noise) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
