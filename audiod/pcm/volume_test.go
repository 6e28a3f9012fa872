package pcm

import (
	"math"
	"testing"
)

func TestVolumeLinear(t *testing.T) {
	for v, want := range map[Volume]float64{Muted: 0, VolumeNorm: 1, VolumeNorm / 2: .125, VolumeNorm * 2: 8, MaxVolume: 3.518e13} {
		if got := float64(v.Linear()); math.Abs(got-want) > want*1e-3 {
			t.Errorf("%#x: %g, want %g", uint32(v), got, want)
		}
	}
	if got := Volume(0x8000).Linear(); got != .125 { // pactl's 50 %, -18.06 dB
		t.Errorf("50 %% is %g", got)
	}
	if !MaxVolume.Valid() || VolumeInvalid.Valid() || Volume(1<<31).Valid() {
		t.Error("the valid volumes end at MaxVolume")
	}
}

func TestMixInto(t *testing.T) {
	for _, c := range []struct {
		name     string
		channels int
		from, to []float32
	}{
		{"unity", 2, []float32{1, 1}, []float32{1, 1}},
		{"even", 2, []float32{.5, .5}, []float32{.5, .5}},
		{"silent", 2, []float32{0, 0}, []float32{0, 0}},
		{"left of right", 2, []float32{.5, .25}, []float32{.5, .25}},
		{"three", 3, []float32{.5, 0, 2}, []float32{.5, 0, 2}},
		{"mono ramp", 1, []float32{0}, []float32{1}},
		{"stereo ramp", 2, []float32{0, 1}, []float32{1, 1}},
		{"crossing", 2, []float32{0, 1}, []float32{1, 0}},
		{"six ramps", 6, []float32{0, 1, 2, 3, 4, 5}, []float32{1, 1, 1, 1, 1, 1}},
	} {
		const frames = 480
		src := sine(frames, c.channels, 997, 48000)
		dst := sine(frames, c.channels, 333, 48000)
		before := append([]float32(nil), dst...)
		MixInto(dst, append(src, 1e6), c.channels, c.from, c.to) // half a frame more is not mixed
		for i := range dst {
			ch := i % c.channels
			part := float64(i/c.channels+1) / frames
			gain := float64(c.from[ch])*(1-part) + float64(c.to[ch])*part
			if want := float64(before[i]) + gain*float64(src[i]); math.Abs(float64(dst[i])-want) > 1e-5 {
				t.Errorf("%s: sample %d is %g, want %g", c.name, i, dst[i], want)
				break
			}
		}
	}
}

// A gain that changes from block to block leaves no step larger than the slope of the ramps.
func TestMixIntoDoesNotClick(t *testing.T) {
	src := make([]float32, 480)
	for i := range src {
		src[i] = 1
	}
	gains := []float32{0, 1, 1, .3, 0, 0, .7}
	last := float32(0)
	for i := range gains[1:] {
		dst := make([]float32, len(src))
		MixInto(dst, src, 1, gains[i:i+1], gains[i+1:i+2])
		for k, x := range dst {
			if d := math.Abs(float64(x - last)); d > 1.01/480 {
				t.Fatalf("block %d: a step of %g before frame %d", i, d, k)
			}
			last = x
		}
	}
}

func TestPeakAndClip(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		in   []float32
		peak float32
		out  []float32
	}{
		{nil, 0, nil},
		{[]float32{.5, -.75, .25}, .75, []float32{.5, -.75, .25}},
		{[]float32{1, -1}, 1, []float32{1, -1}},
		{[]float32{1.5, -2, .5}, 2, []float32{1, -1, .5}},
		{[]float32{-inf, inf}, inf, []float32{-1, 1}},
	} {
		for pad := range 40 { // wherever it is
			long := append(make([]float32, pad, 99), c.in...)
			if got := Peak(long[:len(long)+40-pad]); got != c.peak {
				t.Errorf("peak of %v is %g, want %g", long, got, c.peak)
			}
		}
		if got := Peak(c.in); got != c.peak {
			t.Errorf("peak of %v is %g, want %g", c.in, got, c.peak)
		}
		Clip(c.in)
		for i := range c.in {
			if c.in[i] != c.out[i] {
				t.Errorf("clipped to %v, want %v", c.in, c.out)
				break
			}
		}
	}
}

func TestClipSilencesNaN(t *testing.T) {
	buf := []float32{.5, float32(math.NaN()), 2}
	if Clip(buf); buf[0] != .5 || buf[1] != 0 || buf[2] != 1 {
		t.Errorf("clipped to %v", buf)
	}
}

func TestMixDoesNotAllocate(t *testing.T) {
	buf, src, gains := make([]float32, 960), make([]float32, 960), []float32{.1, .2, .3, .4}
	if n := testing.AllocsPerRun(10, func() {
		MixInto(buf, src, 2, gains[:2], gains[2:])
		MixInto(buf, src, 2, gains[:2], gains[:2])
		Peak(buf)
		Clip(buf)
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
