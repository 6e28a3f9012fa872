package native

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPropListUpdate(t *testing.T) {
	for _, test := range []struct {
		mode UpdateMode
		want PropList
	}{
		{UpdateSet, Text("b", "new", "c", "new")},
		{UpdateMerge, Text("a", "old", "b", "old", "c", "new")},
		{UpdateReplace, Text("a", "old", "b", "new", "c", "new")},
	} {
		p := Text("a", "old", "b", "old")
		before := p
		if err := p.Update(test.mode, Text("b", "new", "c", "new")); err != nil || !reflect.DeepEqual(p, test.want) {
			t.Errorf("mode %d: %q, %v", test.mode, p, err)
		}
		if b, _ := before.Get("b"); b != "old" {
			t.Errorf("mode %d changed a list that someone else may hold", test.mode)
		}
	}
	p := Text("a", "old")
	if err := p.Update(3, nil); !errors.Is(err, ErrInvalid) || len(p) != 1 {
		t.Errorf("mode 3: %q, %v", p, err)
	}
}

// A client cannot grow a list beyond what can be sent, neither at once nor bit by bit.
func TestPropListLimits(t *testing.T) {
	var p PropList
	n := 0
	for p.Set(fmt.Sprint("key", n), "x") == nil {
		n++
	}
	if n != MaxProps {
		t.Errorf("%d properties fit", n)
	}
	if err := p.Set("key0", "other"); err != nil {
		t.Errorf("a full list takes no new value: %v", err)
	}
	p = nil
	for n = 0; p.Set(fmt.Sprint("key", n), strings.Repeat("x", MaxPropValue-1)) == nil; n++ {
	}
	if n != MaxPropTotal/MaxPropValue-1 {
		t.Errorf("%d large properties fit", n)
	}
	if len(AppendPacket(nil, Version, OpSetClientName, 1, &SetClientName{p})) == 0 {
		t.Error("the largest list cannot be sent")
	}
	for _, err := range []error{p.Set("large", strings.Repeat("x", MaxPropValue)), p.Set("", "x"), p.Set("ünfug", "x")} {
		if err == nil || len(p) != n {
			t.Errorf("%d properties, %v", len(p), err)
		}
	}
}

func TestPropListGetRemove(t *testing.T) {
	p := Text("a", "1", "none", "", "b", "2")
	if v, ok := p.Get("b"); v != "2" || !ok || len(p) != 2 {
		t.Errorf("%q %v of %q", v, ok, p)
	}
	if !p.Remove("a") || p.Remove("a") || len(p) != 1 {
		t.Errorf("%q", p)
	}
	if v, ok := p.Get("a"); ok {
		t.Errorf("%q", v)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"Firefox":                          "Firefox",
		"":                                 "",
		"  a \t\r\n b  ":                   "a b",
		"\x1b[31mred\x1b]0;title\x07":      "[31mred]0;title",
		"evil\u202Egpj.exe":                "evilgpj.exe",
		"\u2066a\u2069\u200b\u200f\ufeff":  "a",
		"line\u2028next\u0085next":         "line next next",
		"bad \xff\xfe bytes":               "bad \uFFFD\uFFFD bytes",
		"Björk – Jóga 🎵":                   "Björk – Jóga 🎵",
		"c1 \u009b31m csi":                 "c1 31m csi",
		"\U000E0041tags":                   "tags",
		strings.Repeat("ä", MaxClean):      strings.Repeat("ä", MaxClean),
		strings.Repeat("ä", MaxClean+1):    strings.Repeat("ä", MaxClean-1) + "…",
		strings.Repeat("a ", 100):          strings.Repeat("a ", MaxClean/2-1) + "a…",
		strings.Repeat("\x1b", 9000) + "x": "x",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%.40q became %q (%d runes), want %q", in, got, utf8.RuneCountInString(got), want)
		}
	}
}
