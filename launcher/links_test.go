package launcher

import (
	"net"
	"path/filepath"
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

// A link has been passed on when the entry program hangs up without a word.
func TestPassLink(t *testing.T) {
	const link = "https://example.org/"
	for name, answer := range map[string]string{"nothing": "", "a byte": "x"} {
		path := filepath.Join(t.TempDir(), "links")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(linkSocket, path)
		sent := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				sent <- err.Error()
				return
			}
			var o outcome
			readMessage(conn, &o, maxOutcome)
			conn.Write([]byte(answer))
			conn.Close()
			sent <- o.Link
		}()
		err = passLink(link)
		if got := <-sent; got != link {
			t.Errorf("%q was sent", got)
		}
		if answer == "" && err != nil {
			t.Errorf("answered with nothing: %v", err)
		}
		if answer != "" && (err == nil || strings.Contains(err.Error(), "nil")) {
			t.Errorf("answered with %s: %v", name, err)
		}
		l.Close()
	}
}
