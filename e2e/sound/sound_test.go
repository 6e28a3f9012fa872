package sound

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// listener is a testing.TB that remembers whether Hear complained.
type listener struct {
	testing.TB
	complaints []string
}

func (l *listener) Helper() {}
func (l *listener) Errorf(format string, args ...any) {
	l.complaints = append(l.complaints, fmt.Sprintf(format, args...))
}

// played is s after a trip through 16 bits, as a device would have it.
func played(t *testing.T, s Sound) Sound {
	t.Helper()
	path := filepath.Join(t.TempDir(), "played.wav")
	if err := s.WriteWAV(path); err != nil {
		t.Fatal(err)
	}
	s, err := ReadWAV(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHear(t *testing.T) {
	for _, tones := range [][]Tone{
		{{Freq: 997, DB: -6}},
		{{Freq: 440.03, DB: -40}},
		{{Freq: 60, DB: 0}},
		{{Freq: 17999.97, DB: -20}},
		{{Freq: 440, DB: -12}, {Freq: 997, DB: -20}},
		{{Freq: 300, DB: -9.5}, {Freq: 450, DB: -9.5}},
	} {
		s := played(t, Sines(48000, 2*time.Second, tones))
		Hear(t, s, 0, -90, tones...)
		got, _ := s.Tones(0, len(tones))
		for i, tone := range tones {
			if math.Abs(got[i].Freq-tone.Freq) > 0.01 || math.Abs(got[i].DB-tone.DB) > 0.01 {
				t.Errorf("%v measured as %v", tone, got[i])
			}
		}
	}
	for _, frames := range []int{600, 1200, 2400, 9600} { // short sounds
		Hear(t, played(t, Sine(48000, 1, time.Second, 997, -6).Cut(0, frames)), 0, -60, Tone{Freq: 997, DB: -6})
	}
}

// TestSpoiled gives every fault that Hear is there to find, on two kinds of sound, and wants it found, at its place.
func TestSpoiled(t *testing.T) {
	const at = 30011
	drop := func(n int) func([]float64) []float64 {
		return func(x []float64) []float64 { return slices.Delete(x, at, at+n) }
	}
	repeat := func(n int) func([]float64) []float64 {
		return func(x []float64) []float64 { return slices.Insert(x, at, slices.Clone(x[at:at+n])...) }
	}
	faults := map[string]struct {
		spoil func([]float64) []float64
		place int // where it shows; 0: everywhere
	}{
		"a frame dropped":             {drop(1), at},
		"a frame repeated":            {repeat(1), at},
		"ten milliseconds dropped":    {drop(480), at},
		"ten milliseconds repeated":   {repeat(480), at + 480},
		"an odd number dropped":       {drop(1023), at},
		"dropped near a period":       {drop(48), at},
		"a click":                     {func(x []float64) []float64 { x[at] += 0.02; return x }, at},
		"a frame of silence":          {func(x []float64) []float64 { x[at-1], x[at], x[at+1] = 0, 0, 0; return x }, at},
		"a dropout":                   {func(x []float64) []float64 { clear(x[at : at+200]); return x }, at},
		"one channel's sample behind": {func(x []float64) []float64 { copy(x[at+1:], x[at:]); return x }, at},
		"half a decibel louder":       {func(x []float64) []float64 { return scale(x, 0.5) }, 0},
		"half a decibel softer":       {func(x []float64) []float64 { return scale(x, -0.5) }, 0},
		"a step in level":             {func(x []float64) []float64 { scale(x[at:], -0.5); return x }, at},
		"a slow fade":                 {fade, 0},
		"hum":                         {func(x []float64) []float64 { return add(x, 50, -50) }, 0},
		"clipping":                    {func(x []float64) []float64 { return clip(x, 0.2) }, 0},
		"another pitch":               {func(x []float64) []float64 { return retune(x, 1.0003) }, 0},
		"silence":                     {func(x []float64) []float64 { clear(x); return x }, 0},
	}
	for _, tones := range [][]Tone{{{Freq: 997, DB: -6}}, {{Freq: 440, DB: -12}, {Freq: 997, DB: -15}}} {
		for name, fault := range faults {
			s := Sines(48000, 2*time.Second, tones)
			s.Ch[0] = fault.spoil(s.Ch[0])
			s = played(t, s)
			var l listener
			if Hear(&l, s, 0, -90, tones...) || len(l.complaints) == 0 {
				t.Errorf("%s in %s was not heard", name, names(tones))
			}
			if fault.place == 0 {
				continue
			}
			breaks := s.Breaks(0, len(tones))
			if len(breaks) != 1 || breaks[0].Frame < fault.place-20 || breaks[0].Frame > fault.place+60 {
				t.Errorf("%s in %s at frame %d: found %v", name, names(tones), fault.place, breaks)
			}
		}
	}
}

func scale(x []float64, dB float64) []float64 {
	for i := range x {
		x[i] *= math.Pow(10, dB/20)
	}
	return x
}

func fade(x []float64) []float64 {
	for i := range x {
		x[i] *= 1 - 0.1*float64(i)/float64(len(x))
	}
	return x
}

func add(x []float64, freq, dB float64) []float64 {
	for i, v := range Sine(48000, 1, 2*time.Second, freq, dB).Ch[0] {
		x[i] += v
	}
	return x
}

func clip(x []float64, at float64) []float64 {
	for i := range x {
		x[i] = min(at, max(-at, x[i]))
	}
	return x
}

// retune plays x faster.
func retune(x []float64, by float64) []float64 {
	for i := range x {
		at := min(float64(i)*by, float64(len(x)-2))
		x[i] += (x[int(at)]*(1-at+math.Floor(at)) + x[int(at)+1]*(at-math.Floor(at))) - x[i]
	}
	return x
}

// TestCoarse says that a dropped frame is heard through the coarsest formats too.
func TestCoarse(t *testing.T) {
	for _, format := range Formats {
		s := Sine(48000, 2, 2*time.Second, 997, -6)
		b, err := s.Encode(format)
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Decode(b, format, 48000, 2); err != nil {
			t.Fatal(err)
		}
		noise := map[string]float64{"u8": -45, "alaw": -38, "ulaw": -38}[format]
		if noise == 0 {
			noise = -95
		}
		Hear(t, s, 1, noise, Tone{Freq: 997, DB: -6})
		s.Ch[1] = slices.Delete(s.Ch[1], 30011, 30012)
		if breaks := s.Breaks(1, 1); len(breaks) != 1 || breaks[0].Frame < 27000 || breaks[0].Frame > 33000 {
			t.Errorf("%s: a frame dropped at 30011 shows as %v", format, breaks)
		}
		if breaks := s.Breaks(0, 1); len(breaks) != 0 {
			t.Errorf("%s: nothing dropped shows as %v", format, breaks)
		}
	}
}

func TestLimitsOfFormats(t *testing.T) {
	for _, format := range Formats {
		s := Sound{Rate: 8000, Ch: [][]float64{{-1, 0, 1, 2}}}
		b, _ := s.Encode(format)
		got, _ := Decode(b, format, 8000, 1)
		for i, want := range []float64{-1, 0, 1, 1} {
			if v := got.Ch[0][i]; math.Abs(v-want) > 0.02 && !(s.Ch[0][i] == 2 && v == 2) { // G.711 and u8 are coarse; float holds 2
				t.Errorf("%s: %v became %v", format, s.Ch[0][i], v)
			}
		}
	}
}

func TestTrimAndSilence(t *testing.T) {
	s := Sound{Rate: 1000, Ch: [][]float64{make([]float64, 1000), make([]float64, 1000)}}
	for i := 200; i < 300; i++ {
		s.Ch[0][i] = 0.5
	}
	s.Ch[1][900] = -0.5
	trimmed, from := s.Trim(-60)
	if from != 200 || trimmed.Frames() != 701 {
		t.Errorf("trimmed to %d frames from %d", trimmed.Frames(), from)
	}
	if got, want := s.Silences(50*time.Millisecond, -60), []Span{{0, 200}, {300, 900}, {901, 1000}}; !slices.Equal(got, want) {
		t.Errorf("silences %v, want %v", got, want)
	}
	if empty, _ := s.Cut(400, 500).Trim(-60); empty.Frames() != 0 {
		t.Errorf("silence trimmed to %d frames", empty.Frames())
	}
	var l listener
	if HearNothing(&l, s, -60); len(l.complaints) != 2 {
		t.Errorf("HearNothing complains %q", l.complaints)
	}
	HearNothing(t, s.Cut(300, 900), -60)
}

// TestLiveWAV reads files whose sizes are not filled in, or promise more than is there.
func TestLiveWAV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.wav")
	if err := Sine(48000, 2, 100*time.Millisecond, 997, -6).WriteWAV(path); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	for _, size := range [][]byte{{0, 0, 0, 0}, {255, 255, 255, 255}} {
		live := slices.Clone(b[:len(b)-3])
		copy(live[40:], size)
		s, err := parseWAV(live)
		if err != nil || s.Frames() != 4799 {
			t.Errorf("data size % x: %d frames, %v", size, s.Frames(), err)
		}
	}
	for n := range 45 { // no part of a header makes it panic
		if s, err := parseWAV(b[:n]); err == nil && s.Frames() > 0 {
			t.Errorf("%d bytes of header hold %d frames", n, s.Frames())
		}
	}
}

func TestParts(t *testing.T) {
	var s Sound
	for _, p := range []struct {
		freq float64
		long time.Duration
	}{{440, 500 * time.Millisecond}, {0, 100 * time.Millisecond}, {440, 300 * time.Millisecond}, {700, 400 * time.Millisecond}, {1900, 200 * time.Millisecond}, {1100, time.Second}} {
		dB := -12.0
		if p.freq == 0 {
			dB = Silence
		}
		part := Sine(48000, 1, p.long, p.freq, dB)
		if s.Rate == 0 {
			s = part
			continue
		}
		s.Ch[0] = append(s.Ch[0], part.Ch[0]...)
	}
	want := []Part{{Span{0, 24000}, 440}, {Span{28800, 43200}, 440}, {Span{43200, 62400}, 700}, {Span{72000, 120000}, 1100}}
	for shift := 0; shift < 480; shift += 59 {
		got := s.Cut(shift, s.Frames()).Parts(0, 440, 700, 1100)
		if len(got) != len(want) {
			t.Fatalf("heard %v", got)
		}
		for i, p := range got {
			if p.Freq != want[i].Freq || math.Abs(float64(p.From+shift-want[i].From)) > 480 || math.Abs(float64(p.To+shift-want[i].To)) > 480 {
				t.Errorf("%v, want %v less %d frames", p, want[i], shift)
			}
		}
	}
}
