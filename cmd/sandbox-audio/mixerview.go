package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
)

// mixerView is what the mixer shows: of the daemon's state a list of all that has a volume, one of it chosen, and what went wrong. A line is
//
//	> name of a device, a helper or, below it, a stream   ████████──  80 %  ████████████────────
//	                                                      volume            level, -60 dB to full scale
type mixerView struct {
	st     session.Status
	chosen target // by kind and index; when it is gone, the first
	top    int    // first row on the screen
	said   string
}

const mixerKeys = "↑↓ choose  ←→ volume  m mute  Enter default  mic: a allow d deny s ask  q quit"

// rows is all there is to show: devices, helpers with their streams, then the owner's own streams.
func (v *mixerView) rows() (rows []target) {
	all := targets(v.st)
	of := func(uid uint32) (streams []target) {
		for _, t := range all {
			if t.Kind == "stream" && t.uid == uid {
				streams = append(streams, t)
			}
		}
		return streams
	}
	for _, t := range all {
		switch {
		case t.Kind == "helper":
			rows = append(append(rows, t), of(t.Index)...)
		case t.Kind == "device" || !v.helper(t.uid):
			rows = append(rows, t)
		}
	}
	return rows
}

func (v *mixerView) helper(uid uint32) bool {
	return slices.ContainsFunc(v.st.Users, func(u session.User) bool { return u.UID == uid && u.Grant != "owner" })
}

// at is where the chosen row is now.
func (v *mixerView) at(rows []target) int {
	return max(0, slices.IndexFunc(rows, func(t target) bool { return t.Kind == v.chosen.Kind && t.Index == v.chosen.Index }))
}

// press is what a key does to the view, and what it asks of the daemon.
func (v *mixerView) press(k key) (do mixerAct, leave bool) {
	rows := v.rows()
	if len(rows) == 0 {
		return nil, quits(k)
	}
	at := v.at(rows)
	t := rows[at]
	turn := func(by float64) mixerAct {
		to := min(max(0, t.Volume+by), max(t.Volume, min(loudest(t), 100)))
		return func(c *native.Client) error { return t.setVolume(c, to) }
	}
	choose := func(by int) { v.chosen = rows[min(max(0, at+by), len(rows)-1)] }
	switch {
	case quits(k):
		return nil, true
	case k == keyUp || k == 'k':
		choose(-1)
	case k == keyDown || k == 'j':
		choose(+1)
	case k == keyLeft || k == 'h' || k == '-':
		return turn(-5), false
	case k == keyRight || k == 'l' || k == '+':
		return turn(+5), false
	case k == 'm':
		return func(c *native.Client) error { return t.setMuted(c, !t.Muted) }, false
	case k == keyEnter && t.Kind == "device":
		return func(c *native.Client) error {
			return c.Call(native.OpSetDefaultSink, &native.ByName{Name: t.Name}, nil)
		}, false
	case t.Kind == "helper":
		if access, ok := map[key]memory.Access{'a': memory.Allow, 'd': memory.Deny, 's': memory.Ask}[k]; ok {
			change := session.MicChange{UID: t.Index, State: access}
			return func(c *native.Client) error { return send(c, session.MessageMic, change, new(session.Mic)) }, false
		}
	}
	return nil, false
}

func quits(k key) bool { return k == 'q' || k == keyEscape || k == keyCtrlC }

// draw shows it all.
func (v *mixerView) draw(s *screen) {
	s.clear()
	d := v.st.Default()
	title := "sandbox-audio  " + d.Sink + ": closed, nothing plays"
	if d.Open {
		title = fmt.Sprintf("sandbox-audio  %s: %s, %.0f ms to the ear, %s", d.Sink, d.Hardware, d.Latency, count(d.Xruns, "xrun"))
	}
	s.put(0, 0, title, bold)

	rows := v.rows()
	at, fits := v.at(rows), max(1, s.height-5)
	v.top = max(0, min(v.top, at, len(rows)-fits), at-fits+1)
	for i, t := range rows[v.top:min(len(rows), v.top+fits)] {
		v.drawRow(s, 2+i, t, v.top+i == at)
	}
	notice, st := v.said, style(0)
	for _, m := range mics(v.st) {
		if m.InUse && notice == "" {
			notice, st = m.use(), red|bold
		}
	}
	s.put(0, s.height-2, notice, st)
	s.put(0, s.height-1, mixerKeys, dim)
}

const (
	volumeBar = 10 // cells
	levelBar  = 20
	rightSide = volumeBar + len(" 100 % muted  ") + levelBar
)

func (v *mixerView) drawRow(s *screen, y int, t target, chosen bool) {
	name, st := t.Name, style(0)
	switch t.Kind {
	case "device":
		if t.Default {
			name += " (default)"
		}
		name += "  " + t.Note
	case "helper":
		for _, m := range mics(v.st) {
			if m.UID == t.Index {
				name += "  mic: " + m.permission()
			}
		}
	case "stream":
		if name = t.Note; v.helper(t.uid) {
			name = "  " + name
		}
	}
	if chosen {
		name, st = "> "+name, reverse
	} else {
		name = "  " + name
	}
	s.put(0, y, name, st)
	x := max(0, s.width-rightSide)
	s.put(x-1, y, strings.Repeat(" ", rightSide+1), 0) // a long name ends here
	volume := fmt.Sprintf(" %3.0f %%", t.Volume)
	if t.Muted {
		volume += " muted"
	}
	bar(s, x, y, volumeBar, t.Volume/100, 0)
	s.put(x+volumeBar, y, volume, st)
	bar(s, s.width-levelBar, y, levelBar, 1+20*math.Log10(max(t.peak, 1e-9))/60, levelStyle(t.peak))
}

// bar draws n cells, a share of them full.
func bar(s *screen, x, y, n int, share float64, st style) {
	full := int(math.Round(float64(n) * min(max(share, 0), 1)))
	s.put(x, y, strings.Repeat("█", full), st)
	s.put(x+full, y, strings.Repeat("─", n-full), dim)
}

func levelStyle(peak float64) style {
	switch {
	case peak >= 1:
		return red
	case peak >= 0.5:
		return yellow
	}
	return green
}
