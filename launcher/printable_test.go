package launcher

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ü and “quoted”\n":           "plain, ü and “quoted” ",
		"\x1b[2J \x9b2J \u009b2J\x7f":       " [2J ?2J  2J ",
		"invoice\u202efdp.exe":              "invoice fdp.exe",
		strings.Repeat("x", 399) + "ü more": strings.Repeat("x", 399) + "?",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}
