package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"

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
func (v *mixerView) press(key *tcell.EventKey) (do mixerAct, leave bool) {
	rows := v.rows()
	if len(rows) == 0 {
		return nil, quits(key)
	}
	at := v.at(rows)
	t := rows[at]
	turn := func(by float64) mixerAct {
		to := min(max(0, t.Volume+by), max(t.Volume, min(loudest(t), 100)))
		return func(c *native.Client) error { return t.setVolume(c, to) }
	}
	choose := func(by int) { v.chosen = rows[min(max(0, at+by), len(rows)-1)] }
	switch {
	case quits(key):
		return nil, true
	case key.Key() == tcell.KeyUp || key.Rune() == 'k':
		choose(-1)
	case key.Key() == tcell.KeyDown || key.Rune() == 'j':
		choose(+1)
	case key.Key() == tcell.KeyLeft || key.Rune() == 'h' || key.Rune() == '-':
		return turn(-5), false
	case key.Key() == tcell.KeyRight || key.Rune() == 'l' || key.Rune() == '+':
		return turn(+5), false
	case key.Rune() == 'm':
		return func(c *native.Client) error { return t.setMuted(c, !t.Muted) }, false
	case key.Key() == tcell.KeyEnter && t.Kind == "device":
		return func(c *native.Client) error {
			return c.Call(native.OpSetDefaultSink, &native.ByName{Name: t.Name}, nil)
		}, false
	case key.Key() == tcell.KeyRune:
		if access, ok := map[rune]memory.Access{'a': memory.Allow, 'd': memory.Deny, 's': memory.Ask}[key.Rune()]; ok && t.Kind == "helper" {
			change := session.MicChange{UID: t.Index, State: access}
			return func(c *native.Client) error { return send(c, session.MessageMic, change, new(session.Mic)) }, false
		}
	}
	return nil, false
}

func quits(key *tcell.EventKey) bool {
	return key.Rune() == 'q' || key.Key() == tcell.KeyEscape || key.Key() == tcell.KeyCtrlC
}

// draw shows it all.
func (v *mixerView) draw(s tcell.Screen) {
	width, height := s.Size()
	s.Clear()
	d := v.st.Default()
	title := "sandbox-audio  " + d.Sink + ": closed, nothing plays"
	if d.Open {
		title = fmt.Sprintf("sandbox-audio  %s: %s, %.0f ms to the ear, %s", d.Sink, d.Hardware, d.Latency, count(d.Xruns, "xrun"))
	}
	s.PutStrStyled(0, 0, title, tcell.StyleDefault.Bold(true))

	rows := v.rows()
	at, fits := v.at(rows), max(1, height-5)
	v.top = max(0, min(v.top, at, len(rows)-fits), at-fits+1)
	for i, t := range rows[v.top:min(len(rows), v.top+fits)] {
		v.drawRow(s, 2+i, width, t, v.top+i == at)
	}
	notice, style := v.said, tcell.StyleDefault
	for _, m := range mics(v.st) {
		if m.InUse && notice == "" {
			notice, style = m.use(), style.Foreground(tcell.ColorRed).Bold(true)
		}
	}
	s.PutStrStyled(0, height-2, notice, style)
	s.PutStrStyled(0, height-1, mixerKeys, tcell.StyleDefault.Dim(true))
	s.Show()
}

const (
	volumeBar = 10 // cells
	levelBar  = 20
	rightSide = volumeBar + len(" 100 % muted  ") + levelBar
)

func (v *mixerView) drawRow(s tcell.Screen, y, width int, t target, chosen bool) {
	name, style := t.Name, tcell.StyleDefault
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
		name, style = "> "+name, style.Reverse(true)
	} else {
		name = "  " + name
	}
	s.PutStrStyled(0, y, name, style)
	x := max(0, width-rightSide)
	s.PutStrStyled(x-1, y, strings.Repeat(" ", rightSide+1), tcell.StyleDefault) // a long name ends here
	volume := fmt.Sprintf(" %3.0f %%", t.Volume)
	if t.Muted {
		volume += " muted"
	}
	bar(s, x, y, volumeBar, t.Volume/100, tcell.StyleDefault)
	s.PutStrStyled(x+volumeBar, y, volume, style)
	bar(s, width-levelBar, y, levelBar, 1+20*math.Log10(max(t.peak, 1e-9))/60, levelStyle(t.peak))
}

// bar draws n cells, a share of them full. Both characters have a stand-in where the terminal has no Unicode.
func bar(s tcell.Screen, x, y, n int, share float64, style tcell.Style) {
	full := int(math.Round(float64(n) * min(max(share, 0), 1)))
	s.PutStrStyled(x, y, strings.Repeat(string(tcell.RuneBlock), full), style)
	s.PutStrStyled(x+full, y, strings.Repeat(string(tcell.RuneHLine), n-full), tcell.StyleDefault.Dim(true))
}

func levelStyle(peak float64) tcell.Style {
	switch {
	case peak >= 1:
		return tcell.StyleDefault.Foreground(tcell.ColorRed)
	case peak >= 0.5:
		return tcell.StyleDefault.Foreground(tcell.ColorYellow)
	}
	return tcell.StyleDefault.Foreground(tcell.ColorGreen)
}
