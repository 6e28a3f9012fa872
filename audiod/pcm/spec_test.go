package pcm

import (
	"slices"
	"testing"
	"time"
)

func TestFormatNames(t *testing.T) {
	for f := range numFormats {
		if got, ok := ParseFormat(f.String()); !ok || got != f || !f.Valid() || f.Size() < 1 {
			t.Errorf("%v: parsed as %v, %d bytes", f, got, f.Size())
		}
	}
	if _, ok := ParseFormat("invalid"); ok || numFormats.Valid() || FormatInvalid.Valid() || FormatInvalid.Size() != 0 || FormatInvalid.String() != "invalid" {
		t.Error("what is no format passes for one")
	}
}

func TestSpec(t *testing.T) {
	s := Spec{S24LE, 2, 48000}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if s.FrameSize() != 6 || s.BytesPerSecond() != 288000 || s.Duration(288000*100+144000) != 100500*time.Millisecond || s.Bytes(25*time.Millisecond) != 7200 {
		t.Errorf("%v: frame %d, second %d", s, s.FrameSize(), s.BytesPerSecond())
	}
	for _, s := range []Spec{{}, {FormatInvalid, 2, 48000}, {S16LE, 0, 48000}, {S16LE, MaxChannels + 1, 48000}, {S16LE, 2, MinRate - 1}, {S16LE, 2, MaxRate + 1}} {
		if s.Check() == nil {
			t.Errorf("%v passes", s)
		}
	}
	if d := (Spec{}).Duration(100); d != 0 {
		t.Errorf("nothing lasts %v", d)
	}
}

func TestChannelMaps(t *testing.T) {
	for n := range MaxChannels + 2 {
		m := DefaultMap(n)
		if ok := n >= 1 && n <= MaxChannels; ok != (m != nil) || ok && m.Check(uint8(n)) != nil {
			t.Errorf("%d channels: %v", n, m)
		}
	}
	if got := (ChannelMap{Mono, LFE, SideRight, Aux0 + 31, TopRearCenter}).String(); got != "mono,lfe,side-right,aux31,top-rear-center" {
		t.Error(got)
	}
	if StereoMap.Check(3) == nil || (ChannelMap{numPositions}).Check(1) == nil || numPositions.String() != "invalid" {
		t.Error("what is no map passes for one")
	}
	for _, s := range []string{"", ",", "front-left,", "surround", "mono,mono,mono,mono,mono,mono,mono,mono,mono"} {
		if m, err := ParseChannelMap(s); err == nil {
			t.Errorf("%q is %v", s, m)
		}
	}
	if m, err := ParseChannelMap("stereo"); err != nil || !slices.Equal(m, StereoMap) {
		t.Errorf("stereo is %v, %v", m, err)
	}
}

// What is read as a map is one, and is read so again.
func FuzzParseChannelMap(f *testing.F) {
	for _, s := range []string{"mono", "stereo", "front-left,front-right,rear-left,rear-right,front-center,lfe", "aux0,aux31", ",,", "top-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseChannelMap(s)
		if err != nil {
			return
		}
		if err := m.Check(uint8(len(m))); err != nil || len(m) < 1 || len(m) > MaxChannels {
			t.Fatalf("%q is %v: %v", s, m, err)
		}
		if again, err := ParseChannelMap(m.String()); err != nil || !slices.Equal(m, again) {
			t.Fatalf("%q is %v, then %v: %v", s, m, again, err)
		}
	})
}
