package device

import (
	"fmt"
	"math"
	"sort"
)

// centibel is a gain in hundredths of a dB, as the kernel tells it. noSound and all below is silence (SNDRV_CTL_TLVD_DB_GAIN_MUTE).
type centibel int32

const noSound centibel = -9999999

// The most that is believed of a card: beyond, its driver, or the USB device that the driver believes, has it wrong. PulseAudio stops at ±200 dB.
const (
	loudest  centibel = 100_00
	quietest centibel = -200_00
)

// scale is how loud each value of a control element is: spans of values, one above the other, as the driver tells in TLV (sound/tlv.h).
type scale []span

type span struct {
	from, to int // values
	kind     uint32
	a, b     centibel // scale: the gain at from, and a step's; otherwise the gains at from and to
	mutes    bool     // from is silence
}

const (
	tlvContainer    = 0 // SNDRV_CTL_TLVT_…
	tlvScale        = 1
	tlvLinear       = 2
	tlvRange        = 3
	tlvMinMax       = 4
	tlvMinMaxMute   = 5
	tlvScaleMute    = 0x10000
	tlvScaleStep    = 0xffff
	maxSpans        = 64
	maxTLVNesting   = 4
	wordsInTLVEntry = 4
)

// parseScale reads the TLV of an element whose values go from low to high. It fails on what it does not know, and on what cannot be: a
// scale that does not rise, is longer than it says, or goes beyond what is believed.
func parseScale(tlv []uint32, low, high int) (scale, error) {
	if low >= high || low < math.MinInt32 || high > math.MaxInt32 {
		return nil, fmt.Errorf("values from %d to %d", low, high)
	}
	s, err := appendSpans(nil, tlv, low, high, 0)
	if err != nil {
		return nil, err
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("nothing about dB in it")
	}
	for i, p := range s {
		if p.from > p.to || i > 0 && p.from <= s[i-1].to {
			return nil, fmt.Errorf("span %d covers values %d to %d", i, p.from, p.to)
		}
		floor, top := p.at(p.from), p.at(p.to)
		if p.kind != tlvScale && p.a > p.b || i > 0 && floor < s[i-1].at(s[i-1].to) {
			return nil, fmt.Errorf("span %d falls", i)
		}
		if top > loudest || floor != noSound && floor < quietest {
			return nil, fmt.Errorf("span %d goes from %v to %v", i, floor, top)
		}
	}
	if s.top() <= s.at(low) || s.top() <= quietest {
		return nil, fmt.Errorf("it is %v all over", s.top())
	}
	return s, nil
}

// appendSpans takes the entries of tlv, each a type, a length in bytes and so much data, for values from low to high.
func appendSpans(s scale, tlv []uint32, low, high, depth int) (scale, error) {
	for len(tlv) >= 2 {
		kind, bytes := tlv[0], tlv[1]
		tlv = tlv[2:]
		if bytes%4 != 0 || int64(bytes)/4 > int64(len(tlv)) {
			return nil, fmt.Errorf("entry of %d bytes in %d", bytes, 4*len(tlv))
		}
		data := tlv[:bytes/4]
		tlv = tlv[bytes/4:]
		var err error
		switch kind {
		case tlvContainer:
			if depth == maxTLVNesting {
				return nil, fmt.Errorf("containers %d deep", depth)
			}
			s, err = appendSpans(s, data, low, high, depth+1)
		case tlvRange:
			s, err = appendRange(s, data, low, high)
		case tlvScale, tlvLinear, tlvMinMax, tlvMinMaxMute:
			var p span
			if p, err = newSpan(kind, data, low, high); err == nil {
				s = append(s, p)
			}
		}
		if err != nil {
			return nil, err
		}
		if len(s) > 0 && kind != tlvContainer {
			return s, nil // the first word on dB counts, as in alsa-lib
		}
	}
	return s, nil
}

// appendRange takes items of lowest value, highest value and an entry for these.
func appendRange(s scale, data []uint32, low, high int) (scale, error) {
	for ; len(data) > 0; data = data[2+wordsInTLVEntry:] {
		if len(data) < 2+wordsInTLVEntry || len(s) == maxSpans || data[3] != 4*(wordsInTLVEntry-2) {
			return nil, fmt.Errorf("range with item %d of %d words", len(s), len(data))
		}
		from, to := int(int32(data[0])), int(int32(data[1]))
		p, err := newSpan(data[2], data[4:6], from, to)
		if err != nil {
			return nil, err
		}
		if to < low || from > high { // a table may be longer than the element
			continue
		}
		s = append(s, p)
	}
	return s, nil
}

func newSpan(kind uint32, data []uint32, from, to int) (span, error) {
	if len(data) < 2 {
		return span{}, fmt.Errorf("entry of %d words", len(data))
	}
	p := span{from: from, to: to, kind: kind, a: centibel(int32(data[0])), b: centibel(int32(data[1]))}
	switch kind {
	case tlvScale:
		p.mutes = data[1]&tlvScaleMute != 0
		p.b = centibel(data[1] & tlvScaleStep)
	case tlvLinear:
		p.mutes = p.a <= noSound
	case tlvMinMaxMute:
		p.mutes = true
	case tlvMinMax:
	default:
		return span{}, fmt.Errorf("entry of type %#x where there must be one about dB", kind)
	}
	return p, nil
}

// at is the gain of a value in the span.
func (p span) at(value int) centibel {
	if p.mutes && value <= p.from {
		return noSound
	}
	switch {
	case p.kind == tlvScale:
		return centibel(max(int64(noSound), min(int64(p.a)+int64(value-p.from)*int64(p.b), math.MaxInt32)))
	case p.from >= p.to:
		return p.b
	}
	part := float64(value-p.from) / float64(p.to-p.from)
	if p.kind == tlvLinear {
		floor := 0.0
		if !p.mutes {
			floor = p.a.linear()
		}
		return centibels(floor + part*(p.b.linear()-floor))
	}
	return centibel(math.Round(float64(p.a) + part*(float64(p.b)-float64(p.a))))
}

// at is the gain of a value; between two spans and outside of all, that of the nearest value below, or else above.
func (s scale) at(value int) centibel {
	i := sort.Search(len(s), func(i int) bool { return s[i].from > value }) - 1
	if i < 0 {
		return s[0].at(s[0].from)
	}
	return s[i].at(min(value, s[i].to))
}

// top is the gain of the highest value.
func (s scale) top() centibel { return s.at(s[len(s)-1].to) }

// least is the lowest value from low to high that is at least as loud as gain; high where none is.
func (s scale) least(gain centibel, low, high int) int {
	return low + sort.Search(high-low, func(i int) bool { return s.at(low+i) >= gain })
}

// linear is the factor on the samples.
func (c centibel) linear() float64 {
	if c <= noSound {
		return 0
	}
	return math.Pow(10, float64(c)/2000)
}

func (c centibel) String() string {
	if c <= noSound {
		return "silence"
	}
	return fmt.Sprintf("%.2f dB", float64(c)/100)
}

// centibels is the gain of a factor.
func centibels(linear float64) centibel {
	if linear <= 0 {
		return noSound
	}
	return centibel(max(float64(noSound), math.Round(2000*math.Log10(linear))))
}
