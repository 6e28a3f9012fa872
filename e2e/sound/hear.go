package sound

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// Hear fails t unless channel ch of s holds exactly the wanted tones, by rising frequency, without a break: each within
// 0.1 Hz and 0.3 dB, and all else below rest dB. It says whether it was so.
func Hear(t testing.TB, s Sound, ch int, rest float64, want ...Tone) bool {
	t.Helper()
	if ch >= len(s.Ch) {
		t.Errorf("no channel %d: there are %d", ch, len(s.Ch))
		return false
	}
	tones, noise := s.Tones(ch, len(want))
	ok := len(tones) == len(want)
	for i := range tones {
		ok = ok && math.Abs(tones[i].Freq-want[i].Freq) <= 0.1 && math.Abs(tones[i].DB-want[i].DB) <= 0.3
	}
	if !ok {
		t.Errorf("channel %d: heard %s, want %s", ch, names(tones), names(want))
		return false
	}
	if noise > rest {
		t.Errorf("channel %d: %.1f dB beside the tones, want at most %.1f dB", ch, noise, rest)
		ok = false
	}
	if breaks := s.Breaks(ch, len(want)); len(breaks) > 0 {
		t.Errorf("channel %d of %d frames is broken %d times: %v", ch, s.Frames(), len(breaks), breaks[:min(len(breaks), 5)])
		ok = false
	}
	return ok
}

func names(tones []Tone) string {
	if len(tones) == 0 {
		return "no tone"
	}
	var b strings.Builder
	for i, tone := range tones {
		if i > 0 {
			b.WriteString(" and ")
		}
		fmt.Fprintf(&b, "%.2f Hz at %.2f dB", tone.Freq, tone.DB)
	}
	return b.String()
}

// HearNothing fails t unless every channel of s stays below dB from its first frame to its last.
func HearNothing(t testing.TB, s Sound, dB float64) {
	t.Helper()
	for ch := range s.Ch {
		if peak := s.Peak(ch); peak > dB {
			t.Errorf("channel %d: %.1f dB where there should be silence below %.1f dB", ch, peak, dB)
		}
	}
}
