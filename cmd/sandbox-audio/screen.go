package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/term"
)

// screen is a whole terminal, as cells. What is put there is seen after show, which writes the lines that have changed:
//
//	put ─► cells ─ show ─► escape sequences (ECMA-48) ─► terminal ─► keys
//
// Any terminal of the last thirty years will do. No library, since those for this prepare tables for all others at every
// start of every program of ours.
type screen struct {
	width, height int
	cells         []cell // by line
	shown         []string
	out           io.Writer
	plain         bool // no Unicode
	colourless    bool

	keys    chan key       // that are pressed; closed when the terminal is gone
	resized chan os.Signal // then fit, and draw it all
	before  *term.State
}

// cell holds one character as people count them; one that is two cells wide leaves the second empty.
type cell struct {
	text  string
	style style
}

// style is how a cell looks: the parameters of SGR, in the order 1 2 7 31 32 33.
type style uint8

const (
	bold style = 1 << iota
	dim
	reverse
	red
	green
	yellow
)

var styleCodes = []string{"1", "2", "7", "31", "32", "33"}

func (s *screen) resize(width, height int) {
	s.width, s.height = max(1, width), max(1, height)
	s.shown = nil
	s.clear()
}

func (s *screen) clear() { s.cells = slices.Repeat([]cell{{text: " "}}, s.width*s.height) }

// put writes text from a cell on, as far as the line goes.
func (s *screen) put(x, y int, text string, st style) {
	if y < 0 || y >= s.height {
		return
	}
	for state := -1; text != ""; {
		var char string
		var width int
		char, text, width, state = uniseg.FirstGraphemeClusterInString(text, state)
		if width == 0 || char[0] < ' ' || x < 0 || x+width > s.width {
			x += width
			continue
		}
		if s.plain {
			char = plainText(char, width)
		}
		s.cells[y*s.width+x] = cell{char, st}
		for n := 1; n < width; n++ {
			s.cells[y*s.width+x+n] = cell{style: st}
		}
		x += width
	}
}

// plainText stands in for a character where there is no Unicode.
func plainText(char string, width int) string {
	switch {
	case len(char) == 1:
		return char
	case char == "█":
		return "#"
	case char == "─":
		return "-"
	}
	return strings.Repeat("?", width)
}

// show brings the terminal up to date.
func (s *screen) show() error {
	var b bytes.Buffer
	if s.shown == nil {
		s.shown = make([]string, s.height)
		b.WriteString("\x1b[2J")
	}
	for y := range s.shown {
		if line := s.line(y); line != s.shown[y] {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[m\x1b[K", y+1, line)
			s.shown[y] = line
		}
	}
	_, err := s.out.Write(b.Bytes())
	return err
}

// line is a line with its styles, without the spaces at its end.
func (s *screen) line(y int) string {
	cells := s.cells[y*s.width : (y+1)*s.width]
	for len(cells) > 0 && cells[len(cells)-1] == (cell{text: " "}) {
		cells = cells[:len(cells)-1]
	}
	var b strings.Builder
	var now style
	for _, c := range cells {
		if c.style != now {
			b.WriteString("\x1b[0")
			for i, code := range styleCodes {
				if c.style>>i&1 != 0 && !(s.colourless && len(code) > 1) {
					b.WriteString(";" + code)
				}
			}
			b.WriteString("m")
			now = c.style
		}
		b.WriteString(c.text)
	}
	return b.String()
}

// key is what a person pressed: a character, or one of these.
type key rune

const (
	keyEnter  key = '\r'
	keyEscape key = 0x1b
	keyCtrlC  key = 0x03
	keyUp     key = -1 - iota
	keyDown
	keyRight
	keyLeft
)

// keysOf takes what a terminal sent apart. A key's sequence comes in one piece, so that escape alone is the key of that
// name; keys that are not known are left out.
func keysOf(sent []byte) (keys []key) {
	for len(sent) > 0 {
		if sent[0] == byte(keyEscape) && len(sent) > 1 && (sent[1] == '[' || sent[1] == 'O') {
			end := 2 + slices.IndexFunc(sent[2:], func(c byte) bool { return c >= '@' && c <= '~' })
			if end < 2 {
				return keys
			}
			if at := strings.IndexByte("ABCD", sent[end]); at >= 0 && end == 2 {
				keys = append(keys, keyUp-key(at))
			}
			sent = sent[end+1:]
			continue
		}
		r, n := utf8.DecodeRune(sent)
		if r == '\n' {
			r = rune(keyEnter)
		}
		if r != utf8.RuneError {
			keys = append(keys, key(r))
		}
		sent = sent[n:]
	}
	return keys
}

// openScreen takes the terminal over until close gives it back.
func openScreen(getenv func(string) string) (*screen, error) {
	if name := getenv("TERM"); name == "" || name == "dumb" {
		return nil, fmt.Errorf("one of the kind %q has no cursor to move", name)
	}
	locale := getenv("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = getenv(name)
		}
	}
	locale = strings.ToLower(strings.ReplaceAll(locale, "-", ""))
	s := &screen{
		out: os.Stdout, plain: !strings.Contains(locale, "utf8"), colourless: getenv("NO_COLOR") != "",
		keys: make(chan key), resized: make(chan os.Signal, 1),
	}
	err := s.fit()
	if err == nil {
		s.before, err = term.MakeRaw(int(os.Stdin.Fd()))
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprint(s.out, "\x1b[?1049h\x1b[?25l") // the other screen, no cursor
	signal.Notify(s.resized, syscall.SIGWINCH)
	go s.read()
	return s, nil
}

func (s *screen) read() {
	defer close(s.keys)
	buf := make([]byte, 256)
	for {
		n, err := os.Stdin.Read(buf)
		for _, k := range keysOf(buf[:n]) {
			s.keys <- k
		}
		if err != nil {
			return
		}
	}
}

// fit makes the screen as large as the terminal.
func (s *screen) fit() error {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err == nil {
		s.resize(width, height)
	}
	return err
}

// close gives the terminal back. Nobody reads keys any more.
func (s *screen) close() {
	signal.Stop(s.resized)
	fmt.Fprint(s.out, "\x1b[?25h\x1b[?1049l")
	_ = term.Restore(int(os.Stdin.Fd()), s.before)
}
