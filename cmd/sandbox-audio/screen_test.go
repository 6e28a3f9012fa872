package main

import (
	"slices"
	"strings"
	"testing"
)

func TestScreenShows(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out}
	s.resize(6, 3)
	s.put(4, 0, "日本", red|bold) // the second has no room
	s.put(-1, 1, "xe\u0301\x1b[2J", 0)
	s.put(0, 7, "nowhere", 0)
	if err := s.show(); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[2J\x1b[1;1H    \x1b[0;1;31m日\x1b[m\x1b[K\x1b[2;1He\u0301[2J\x1b[m\x1b[K"
	if out.String() != want {
		t.Errorf("it writes\n%q, not\n%q", out.String(), want)
	}
	out.Reset()
	s.put(0, 2, "new", 0)
	if err := s.show(); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[3;1Hnew\x1b[m\x1b[K"; out.String() != want {
		t.Errorf("of a line more it writes\n%q, not\n%q", out.String(), want)
	}
	s.plain, s.colourless = true, true
	s.clear()
	s.put(0, 0, "█─ü日", green|dim)
	if line, want := s.line(0), "\x1b[0;2m#-???"; line != want {
		t.Errorf("without Unicode and colours it is %q, not %q", line, want)
	}
}

func TestKeys(t *testing.T) {
	for sent, want := range map[string][]key{
		"\x1b[A\x1bOB\x1b[C\x1b[D": {keyUp, keyDown, keyRight, keyLeft},
		"q\x03\r\n":                {'q', keyCtrlC, keyEnter, keyEnter},
		"\x1b":                     {keyEscape},
		"\x1b[15~+\x1b[1;5A\x1b[":  {'+'},
		"ü\xff-":                   {'ü', '-'},
	} {
		if got := keysOf([]byte(sent)); !slices.Equal(got, want) {
			t.Errorf("%q is %v, not %v", sent, got, want)
		}
	}
}
