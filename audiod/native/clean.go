package native

import (
	"strings"
	"unicode"
)

// MaxClean is how many runes Clean leaves.
const MaxClean = 80

// Clean is s safe to show in a terminal, a log line or a mixer: what a client calls itself may hold escape sequences, line
// breaks, marks that turn the writing direction, or simply be long. Control and format characters are dropped, runs of space
// become one blank, invalid UTF-8 becomes U+FFFD, and what exceeds MaxClean runes is cut with an ellipsis.
func Clean(s string) string {
	var b strings.Builder
	runes, blank := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) {
			blank = true
			continue
		}
		if !unicode.IsPrint(r) {
			continue
		}
		need := 1
		if blank = blank && runes > 0; blank {
			need = 2
		}
		if runes+need > MaxClean {
			return cut(b.String())
		}
		if blank {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		runes, blank = runes+need, false
	}
	return b.String()
}

// cut makes room for the ellipsis in a text of at least MaxClean-1 runes.
func cut(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), MaxClean-1)]) + "…"
}
