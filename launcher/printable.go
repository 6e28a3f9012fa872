package launcher

import (
	"strings"
	"unicode"
)

// printable is text from elsewhere as it may be shown on a terminal: bounded, and with nothing in it that steers one or turns the
// direction of writing.
func printable(text string) string {
	const most = 400
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
