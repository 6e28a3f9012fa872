package launcher

import "strings"

// printable is text from elsewhere as it may be shown on a terminal: bounded, and without control characters.
func printable(text string) string {
	const most = 400
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
