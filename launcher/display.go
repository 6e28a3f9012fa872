package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"sandbox-audio/launcher/wayland"
	"sandbox-audio/launcher/x11"
)

// display is what the helper's program gets to show its windows on, decided before anything is lent.
type display struct {
	asked   bool     // the person named the display: without it nothing is run
	wayland string   // the compositor's socket; empty for none
	x11     *xServer // nil for none
	level   string   // how far the program may go there; empty without
	look    look
	nested  string // the program that is the helper's own X server; on the compositor where x11 is nil
}

// What a program shows its windows on, as --display says it.
const (
	DisplayAuto    = "auto"    // whatever the owner's own programs have
	DisplayWayland = "wayland" // the owner's compositor
	DisplayX11     = "x11"     // the owner's X server
	DisplayNone    = "none"
)

// How far a helper's programs may go on the owner's X server, as --x11 says it.
const (
	X11Trusted   = "trusted"   // as far as any program of the owner's: they can read the screen and every key
	X11Untrusted = "untrusted" // their own windows only; without GPU and shared memory, some programs fail
	X11Nested    = "nested"    // an X server of their own, in one window of the owner's server, where it is untrusted, or compositor
)

// planDisplay decides by what was asked for, or else by the profile. What a profile says of X servers is no wish for one.
func planDisplay(req Request, profile Bounds) (d display, err error) {
	kind, level := cmp.Or(req.Display, profile.Display, DisplayAuto), cmp.Or(req.X11, profile.X11)
	if !slices.Contains([]string{DisplayAuto, DisplayWayland, DisplayX11, DisplayNone}, kind) {
		return d, fmt.Errorf("display %q is none of auto, wayland, x11, none", kind)
	}
	if !slices.Contains([]string{"", X11Trusted, X11Untrusted, X11Nested}, level) {
		return d, fmt.Errorf("x11 %q is none of trusted, untrusted, nested", level)
	}
	d.asked = kind != DisplayAuto || req.X11 != ""
	getenv := func(name string) string { return lookup(req.Environ, name) }
	if kind == DisplayAuto && (level != X11Nested || getenv("DISPLAY") == "") || kind == DisplayWayland {
		d.wayland = wayland.SocketPath(getenv)
	}
	if name := getenv("DISPLAY"); name != "" && (kind == DisplayAuto || kind == DisplayX11) {
		d.x11 = &xServer{Display: name, Authority: x11.AuthorityPath(getenv)}
		d.level = X11Trusted
		if level != "" {
			d.level = level
		}
	}
	switch {
	case kind == DisplayWayland && d.wayland == "":
		return d, errors.New("there is no compositor: WAYLAND_DISPLAY is not set")
	case d.x11 == nil && d.wayland != "" && req.X11 == X11Nested:
		d.level = X11Nested
		d.nested, err = tool("Xwayland")
	case d.x11 == nil && (kind == DisplayX11 || kind == DisplayAuto && req.X11 != ""):
		return d, errors.New("there is no X display: DISPLAY is not set")
	case d.level == X11Nested:
		d.nested, err = tool("Xephyr")
	}
	return d, err
}

// any reports whether the program gets anything to show its windows on.
func (d display) any() bool { return d.wayland != "" || d.x11 != nil }

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
	var all []string
	if d.wayland != "" {
		all = append(all, "compositor "+d.wayland+", by a socket of the helper's own")
	}
	if d.wayland != "" && d.nested != "" {
		all = append(all, "there an X server of the helper's own, "+d.nested)
	}
	if d.x11 != nil {
		all = append(all, fmt.Sprintf("X server %s, by a key that lapses with the program (%s)", d.x11.Display, d.level))
	}
	if len(all) == 0 {
		return DisplayNone
	}
	return strings.Join(all, "; ")
}

// x11File is the helper's authority file for the X server, in its runtime directory.
func (d display) x11File() string { return d.x11.file("xauthority", d.level == X11Trusted) }

// prepare adds to the request what says where the display is.
func (d display) prepare(req *request) {
	if d.wayland != "" {
		req.Wayland = waylandPrefix + strconv.Itoa(os.Getpid())
		req.Env = append(req.Env, "WAYLAND_DISPLAY="+req.Wayland)
	}
	if d.any() {
		req.Env = append(req.Env, d.look.environ(req.RuntimeDir)...)
	}
	if d.x11 != nil {
		req.Env = append(req.Env, "DISPLAY="+d.x11.Display, "XAUTHORITY="+req.RuntimeDir+"/"+d.x11File())
	}
	if d.nested != "" {
		req.Nested = &nestedRequest{Program: d.nested}
	}
}

// lend lets the helper onto the display, as far as that can be done, and completes the plan's request. The door, which
// may be nil, is to serve what the entry program listens on.
func (d display) lend(l *lender, p *Plan, say func(string)) (*door, error) {
	var opened *door
	if d.any() {
		p.request.Files = d.look.files(p.request.RuntimeDir)
		var notes []string
		p.carriage, notes = collect(d.look.trees)
		for _, note := range notes {
			say("note: " + note)
		}
		p.request.Look = p.carriage.stamps()
	}
	if d.wayland != "" {
		compositor, err := wayland.Connect(context.Background(), d.wayland)
		if err := d.give(err, p, say, "WAYLAND_DISPLAY"); err != nil {
			return nil, err
		}
		if err != nil {
			p.request.Wayland = ""
		} else {
			opened = &door{compositor: compositor, uid: p.Helper.UID, who: wayland.Context{
				Engine: EngineName, App: p.Helper.Name, Instance: p.Helper.Name + "-" + strconv.Itoa(os.Getpid()),
			}}
		}
	}
	if d.x11 == nil {
		return opened, nil
	}
	authority, err := l.lendX11(*d.x11, p.Helper.UID, d.level == X11Trusted)
	if err := d.give(err, p, say, "DISPLAY", "XAUTHORITY"); err != nil {
		return nil, err
	}
	switch {
	case err != nil:
		p.request.Nested = nil
	case authority == nil:
		p.request.Env = without(p.request.Env, "XAUTHORITY")
	default:
		p.request.Files[d.x11File()] = authority
	}
	if p.request.Nested != nil {
		d.x11.describe(p.request.Nested)
	}
	return opened, nil
}

// give looks whether a display can be had. When it cannot and was not asked for, the program does without.
func (d display) give(err error, p *Plan, say func(string), variables ...string) error {
	if err == nil || d.asked {
		return err
	}
	say("note: the program gets no display: " + err.Error())
	p.request.Env = without(p.request.Env, variables...)
	return nil
}
