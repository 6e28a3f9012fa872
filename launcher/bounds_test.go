package launcher

import (
	"slices"
	"strings"
	"testing"
)

// The command line goes before the profile, and the profile before what holds without either.
func TestFlagsGoBeforeTheProfile(t *testing.T) {
	x, both := []string{"DISPLAY=:7"}, []string{"DISPLAY=:7", "WAYLAND_DISPLAY=/run/w"}
	for name, test := range map[string]struct {
		env     []string
		req     Request
		profile Bounds
		want    string // a part of what the plan says
		err     string
	}{
		"neither":                              {both, Request{}, Bounds{}, "compositor", ""},
		"the profile has one":                  {both, Request{}, Bounds{Display: DisplayNone}, "none", ""},
		"the command line has another":         {both, Request{Display: DisplayX11}, Bounds{Display: DisplayNone}, "(trusted)", ""},
		"the profile keeps apart":              {x, Request{}, Bounds{X11: X11Untrusted}, "(untrusted)", ""},
		"the command line does not":            {x, Request{X11: X11Trusted}, Bounds{X11: X11Untrusted}, "(trusted)", ""},
		"a profile's level is no wish for X":   {nil, Request{}, Bounds{X11: X11Untrusted}, "none", ""},
		"the command line's is":                {nil, Request{X11: X11Untrusted}, Bounds{}, "", "no X display"},
		"a profile's display is a wish for it": {nil, Request{}, Bounds{Display: DisplayX11}, "", "no X display"},
		"nested, and only a compositor":        {both[1:], Request{}, Bounds{X11: X11Nested}, "compositor", ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.req.Environ = test.env
			d, err := planDisplay(test.req, test.profile)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, without %q", err, test.err)
				}
			} else if err != nil || !strings.Contains(d.String(), test.want) {
				t.Errorf("%v, %v, without %q", d, err, test.want)
			}
		})
	}
}

func TestBoundsInThePlan(t *testing.T) {
	f := machine()
	bounds := Bounds{Network: NetworkOff, NoNewPrivs: true, Nice: 7, Umask: "077", Environment: map[string]string{"LANG": "de_DE", "X": "a=b"}}
	p, err := f.plan(Request{Argv: []string{"mpv"}, Environ: []string{"LANG=C", "DISPLAY=:3"}, Dir: "/"}, Config{Rules: Rules{Bounds: bounds}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LANG=de_DE", "X=a=b", "PULSE_SERVER=unix:/run/sandbox-audio/alice/native"} {
		if !slices.Contains(p.Environ(), want) {
			t.Errorf("no %s in %q", want, p.Environ())
		}
	}
	if slices.Contains(p.Environ(), "LANG=C") {
		t.Error("LANG is there twice")
	}
	if p.request.Umask != 0o077 {
		t.Errorf("umask %o", p.request.Umask)
	}
	text := p.String()
	for _, want := range []string{"held to      no network", "held to      no new privileges", "held to      niceness 7"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Without the network there is one way for sound and one for windows; where it is not there, nothing is run.
func TestNetworkOffNeedsSockets(t *testing.T) {
	off := Config{Rules: Rules{Bounds: Bounds{Network: NetworkOff}}}
	f := machine()
	if _, err := f.plan(Request{Argv: []string{"mpv"}, Environ: []string{"DISPLAY=localhost:10.0"}}, off); err == nil || !strings.Contains(err.Error(), "--display none") {
		t.Errorf("a display over the network: %v", err)
	}
	f.socketDir = false
	if _, err := f.plan(Request{Argv: []string{"mpv"}}, off); err == nil || !strings.Contains(err.Error(), "sandbox-audio setup --profile default") {
		t.Errorf("without the socket's directory: %v", err)
	}
}
