package pcm

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

//go:embed testdata/matrices.txt
var pulseMatrices string

func (m *Matrix) String() string {
	var rows []string
	for o := range m.out {
		var gains []string
		for _, g := range m.row(o) {
			gains = append(gains, fmt.Sprintf("%.3f", g))
		}
		rows = append(rows, strings.Join(gains, " "))
	}
	return strings.Join(rows, " | ")
}

// Every stream sounds in the loudspeakers where PulseAudio would make it sound.
func TestNewMatrixIsPulseAudios(t *testing.T) {
	n := 0
	for line := range strings.Lines(pulseMatrices) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		maps, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
		in, out, _ := strings.Cut(maps, " > ")
		from, err := ParseChannelMap(in)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ParseChannelMap(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewMatrix(from, to).String(); got != want {
			t.Errorf("%s:\n  %s, PulseAudio has\n  %s", maps, got, want)
		}
		n++
	}
	if n < 100 {
		t.Errorf("only %d matrices to compare with", n)
	}
}

func TestMatch(t *testing.T) {
	five := ChannelMap{FrontLeft, FrontRight, FrontCenter, RearLeft, RearRight}
	for _, c := range []struct {
		got  *Matrix
		want string
	}{
		{MatchName(five, ChannelMap{RearRight, FrontLeft}), "0.000 0.000 0.000 0.000 1.000 | 1.000 0.000 0.000 0.000 0.000"},
		{MatchName(MonoMap, StereoMap), "0.000 | 0.000"},
		{MatchName(ChannelMap{FrontLeft, FrontLeft}, MonoMap), "0.000 0.000"},
		{MatchName(ChannelMap{Aux0, Aux0}, ChannelMap{Aux0}), "0.500 0.500"},
		{MatchIndex(five, StereoMap), "1.000 0.000 0.000 0.000 0.000 | 0.000 1.000 0.000 0.000 0.000"},
		{MatchIndex(MonoMap, StereoMap), "1.000 | 0.000"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	twice := ChannelMap{Aux0, Aux0}
	for _, m := range []*Matrix{NewMatrix(StereoMap, StereoMap), NewMatrix(twice, twice), MatchName(twice, twice),
		MatchIndex(StereoMap, twice), NewMatrix(DefaultMap(8), DefaultMap(8))} {
		if !m.Identity() {
			t.Errorf("%v is an identity", m)
		}
	}
	for _, m := range []*Matrix{NewMatrix(MonoMap, StereoMap), NewMatrix(StereoMap, ChannelMap{FrontRight, FrontLeft}),
		MatchIndex(MonoMap, StereoMap), NewMatrix(StereoMap, twice)} {
		if m.Identity() {
			t.Errorf("%v is no identity", m)
		}
	}
}

// Each path through Apply is the matrix times the frame, stops with the shorter slice, and does not allocate.
func TestApply(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for in := 1; in <= MaxChannels; in++ {
		for out := 1; out <= MaxChannels; out++ {
			m := emptyMatrix(make(ChannelMap, in), make(ChannelMap, out))
			for i := range m.gain {
				m.gain[i] = float32(rng.IntN(8)) / 8
			}
			const frames = 10
			src, dst := make([]float32, frames*in+in-1), make([]float32, (frames+1)*out)
			for i := range src {
				src[i] = float32(rng.IntN(64)-32) / 32
			}
			m.Apply(dst, src)
			for f := range frames {
				for o := range out {
					var want float32
					for i, g := range m.row(o) {
						want += g * src[f*in+i]
					}
					if got := dst[f*out+o]; got != want {
						t.Fatalf("%d to %d channels, frame %d, output %d: %g, want %g", in, out, f, o, got, want)
					}
				}
			}
			if Peak(dst[frames*out:]) != 0 {
				t.Errorf("%d to %d channels: half a frame was mapped", in, out)
			}
			if n := testing.AllocsPerRun(5, func() { m.Apply(dst, src) }); n > 0 {
				t.Errorf("%d to %d channels: %g allocations", in, out, n)
			}
		}
	}
}

// No map makes a sound louder than it was, and none breaks the arithmetic.
func TestNewMatrixNeverClips(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	random := func() ChannelMap {
		m := make(ChannelMap, 1+rng.IntN(MaxChannels))
		for i := range m {
			m[i] = Position(rng.IntN(int(numPositions)))
			if m[i] >= Aux0+3 && m[i] < TopCenter {
				m[i] = LFE
			}
		}
		return m
	}
	for range 20000 {
		from, to := random(), random()
		m := NewMatrix(from, to)
		for o := range to {
			var sum float32
			for _, g := range m.row(o) {
				sum += g
				if !(g >= 0) {
					t.Fatalf("%v > %v: %v", from, to, m)
				}
			}
			if sum > 1.00001 {
				t.Fatalf("%v > %v: %v", from, to, m)
			}
		}
	}
}
