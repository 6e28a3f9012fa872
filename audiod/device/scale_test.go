package device

import (
	"math"
	"slices"
	"testing"
)

func words(v ...int) (tlv []uint32) {
	for _, x := range v {
		tlv = append(tlv, uint32(x))
	}
	return tlv
}

// What drivers of Linux tell, in the words that sound/tlv.h makes of it.
func TestScales(t *testing.T) {
	const mute = tlvScaleMute
	none := int(noSound)
	for _, c := range []struct {
		name      string
		tlv       []uint32
		low, high int
		gains     map[int]centibel
	}{
		{"HDA Master: steps of 1 dB up to 0", words(1, 8, -7400, 100), 0, 74, map[int]centibel{0: -7400, 1: -7300, 73: -100, 74: 0}},
		{"AC97 PCM: up to +12 dB", words(1, 8, -3450, 150), 0, 31, map[int]centibel{0: -3450, 23: 0, 31: 1200}},
		{"a lowest step that is silent", words(1, 8, -6300, 100|mute), 0, 63, map[int]centibel{0: noSound, 1: -6200, 63: 0}},
		{"values that do not begin at 0", words(1, 8, -1000, 100), -10, 0, map[int]centibel{-10: -1000, 0: 0}},
		{"USB: ends only", words(4, 8, -12700, 0), 0, 127, map[int]centibel{0: -12700, 64: -6300, 127: 0}},
		{"USB: ends, and silence at the bottom", words(5, 8, -5000, 0), 0, 100, map[int]centibel{0: noSound, 1: -4950, 100: 0}},
		{"a factor from silence on", words(2, 8, none, 0), 0, 256, map[int]centibel{0: noSound, 128: -602, 256: 0}},
		{"a factor between two gains", words(2, 8, -2000, 0), 0, 9, map[int]centibel{0: -2000, 1: -1398, 9: 0}},
		{"a range of two spans", words(3, 48, 0, 3, 1, 8, -8000, 1000, 4, 31, 1, 8, -4000, 150), 0, 31, map[int]centibel{0: -8000, 3: -5000, 4: -4000, 31: 50}},
		{"a range in a container, after a channel map", words(0x101, 8, 3, 4, 0, 32, 3, 24, 0, 15, 4, 8, -3000, 0), 0, 15, map[int]centibel{0: -3000, 15: 0}},
		{"a table longer than the element", words(3, 48, 0, 3, 1, 8, -8000, 1000, 4, 31, 1, 8, -4000, 150), 0, 3, map[int]centibel{0: -8000, 3: -5000}},
	} {
		s, err := parseScale(c.tlv, c.low, c.high)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for value, want := range c.gains {
			if got := s.at(value); got != want {
				t.Errorf("%s: value %d is %v, want %v", c.name, value, got, want)
			}
		}
		last := c.low
		for gain := -130_00; gain <= 20_00; gain += 7 {
			value := s.least(centibel(gain), c.low, c.high)
			if value < last || value > c.high {
				t.Fatalf("%s: %v is value %d, and a little less is %d", c.name, centibel(gain), value, last)
			}
			if value > c.low && s.at(value-1) >= centibel(gain) || value < c.high && s.at(value) < centibel(gain) {
				t.Fatalf("%s: value %d (%v) for %v", c.name, value, s.at(value), centibel(gain))
			}
			last = value
		}
	}
}

func TestScalesThatCannotBe(t *testing.T) {
	for name, tlv := range map[string][]uint32{
		"nothing":                          nil,
		"half an entry":                    words(1),
		"no data":                          words(1, 8),
		"data cut short":                   words(1, 8, -7400),
		"a length that is no whole word":   words(1, 7, -7400, 100),
		"a length of 4 GiB":                words(1, -4, -7400, 100),
		"too little data":                  words(1, 4, -7400),
		"a channel map":                    words(0x101, 8, 3, 4),
		"an empty container":               words(0, 0),
		"a container longer than all":      words(0, 400, 1, 8, -7400, 100),
		"containers all the way down":      words(0, 64, 0, 56, 0, 48, 0, 40, 0, 32, 0, 24, 0, 16, 1, 8, -7400, 100),
		"an empty range":                   words(3, 0),
		"half an item":                     words(3, 12, 0, 15, 1),
		"an item of unknown kind":          words(3, 24, 0, 15, 77, 8, -3000, 100),
		"an item that says it is longer":   words(3, 24, 0, 15, 1, 80, -3000, 100),
		"a range in a range":               words(3, 24, 0, 15, 3, 8, -3000, 100),
		"items that overlap":               words(3, 48, 0, 8, 1, 8, -3000, 100, 8, 15, 1, 8, -2000, 100),
		"an item that ends where it began": words(3, 24, 15, 0, 1, 8, -3000, 100),
		"items that fall":                  words(3, 48, 0, 7, 1, 8, -1000, 100, 8, 15, 1, 8, -3000, 100),
		"no step":                          words(1, 8, -7400, 0),
		"ends the wrong way round":         words(4, 8, 0, -5000),
		"ends that are the same":           words(4, 8, -100, -100),
		"a linear one that falls":          words(2, 8, 0, -600),
		"far too loud":                     words(1, 8, 0, 60000),
		"far too quiet":                    words(4, 8, -25600_00, 0),
		"the loudest number there is":      words(4, 8, 0, math.MaxInt32),
	} {
		if s, err := parseScale(tlv, 0, 15); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s, err := parseScale(words(1, 8, -7400, 100), 5, 5); err == nil {
		t.Errorf("an element with one value: %+v", s)
	}
	var many []int
	for i := range 1000 {
		many = append(many, i, i, 1, 8, i, 1)
	}
	if s, err := parseScale(words(append([]int{3, 24000}, many...)...), 0, 999); err == nil {
		t.Error("a thousand spans: ", len(s))
	}
}

func FuzzScale(f *testing.F) {
	f.Add(uint32(1), uint32(8), uint32(1<<32-7400), uint32(100), uint32(0), uint32(0), uint32(0), uint32(0), 0, 74)
	f.Add(uint32(3), uint32(24), uint32(0), uint32(15), uint32(4), uint32(8), uint32(1<<32-3000), uint32(0), 0, 15)
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i uint32, low, high int) {
		s, err := parseScale([]uint32{a, b, c, d, e, g, h, i}, low, high)
		if err != nil {
			return
		}
		var gains []centibel
		for _, value := range []int{low, low + (high-low)/3, low + (high-low)/2, high} {
			gains = append(gains, s.at(value))
		}
		if !slices.IsSorted(gains) {
			t.Errorf("%+v: %v", s, gains)
		}
	})
}
