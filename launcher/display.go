package launcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sandbox-audio/launcher/x11"
)

// display is what the helper's program gets to show its windows on, decided before anything is lent.
type display struct {
	asked     bool // the person named the display: without it nothing is run
	x11       *xServer
	untrusted bool
}

var (
	displayKinds = []string{"auto", "x11", "none"}
	x11Levels    = []string{X11Trusted, X11Untrusted}
)

// x11File is the helper's authority file for a display, in its runtime directory.
func (d display) x11File() string {
	level := X11Trusted
	if d.untrusted {
		level = X11Untrusted
	}
	return d.x11.file("xauthority", level)
}

func planDisplay(req Request) (d display, err error) {
	kind, level := req.Display, req.X11
	if kind == "" {
		kind = "auto"
	}
	if level == "" {
		level = X11Trusted
	}
	if !slices.Contains(displayKinds, kind) {
		return d, fmt.Errorf("display %q is none of %s", kind, strings.Join(displayKinds, ", "))
	}
	if !slices.Contains(x11Levels, level) {
		return d, fmt.Errorf("x11 %q is none of %s", level, strings.Join(x11Levels, ", "))
	}
	d.asked, d.untrusted = kind != "auto" || req.X11 != "", level == X11Untrusted
	getenv := func(name string) string { return lookup(req.Environ, name) }
	name := getenv("DISPLAY")
	switch {
	case kind == "none":
	case name == "" && d.asked:
		return d, errors.New("there is no X display: DISPLAY is not set")
	case name != "":
		d.x11 = &xServer{Display: name, Authority: x11.AuthorityPath(getenv)}
	}
	return d, nil
}

// lookup is the value of a variable in an environment.
func lookup(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func (d display) String() string {
	switch {
	case d.x11 == nil:
		return "none"
	case d.untrusted:
		return "X server " + d.x11.Display + ", by an untrusted key that lapses with the program"
	}
	return "X server " + d.x11.Display + ", by a key that lapses with the program"
}

// prepare adds to the request what says where the display is.
func (d display) prepare(req *request) {
	if d.x11 == nil {
		return
	}
	req.Env = append(req.Env, "DISPLAY="+d.x11.Display, "XAUTHORITY="+req.RuntimeDir+"/"+d.x11File())
}

// lend lets the helper onto the display, as far as that can be done, and completes the plan's request.
func (d display) lend(l *lender, p *Plan, say func(string)) error {
	if d.x11 == nil {
		return nil
	}
	authority, err := l.lendX11(*d.x11, p.Helper.UID, !d.untrusted)
	switch {
	case err != nil && d.asked:
		return err
	case err != nil:
		say("note: the program gets no display: " + err.Error())
		p.request.Env = without(p.request.Env, "DISPLAY", "XAUTHORITY")
	case authority == nil:
		p.request.Env = without(p.request.Env, "XAUTHORITY")
	default:
		p.request.Files = map[string][]byte{d.x11File(): authority}
	}
	return nil
}
