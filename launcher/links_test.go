package launcher

import (
	"strings"
	"testing"
	"time"
)

func TestCheckLink(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.org/a?b=c&d#e":  "https://example.org/a?b=c&d#e",
		"HTTP://[::1]:80/~x":             "HTTP://[::1]:80/~x",
		"mailto:ann@example.org?subject": "mailto:ann@example.org?subject",
		"https://x/$(id)`id`'\"\\;|<>":   "https://x/%24%28id%29%60id%60%27%22%5C%3B%7C%3C%3E",
		"https://x/ü y":                  "https://x/%C3%BC%20y",
		"https://x/%41":                  "https://x/%41",
	} {
		if got, err := checkLink(text); got != want || err != nil {
			t.Errorf("%q became %q, %v, not %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "--help", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)", "https:", "https:///x", "http://:80/", "mailto:", "x-scheme:y", "https://x/\n", "https://x\x00",
		"ssh://x", "https://%zz/", "https://" + strings.Repeat("x", maxLink),
	} {
		if got, err := checkLink(text); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestLinksAreCounted(t *testing.T) {
	var o linkOpener
	now := time.Unix(1000, 0)
	n := 0
	for range 100 {
		if o.allowed(now) {
			n++
		}
	}
	if n != linkBurst {
		t.Errorf("%d at once", n)
	}
	if !o.allowed(now.Add(linkEvery)) || o.allowed(now.Add(linkEvery)) {
		t.Error("not one more after a while")
	}
}
