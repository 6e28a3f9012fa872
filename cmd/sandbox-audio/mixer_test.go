package main

import (
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/session"
)

// terminal is a screen of 80 columns and 24 lines, and what stands on it.
type terminal struct {
	tcell.SimulationScreen
	t *testing.T
}

func newTerminal(t *testing.T) terminal {
	s := tcell.NewSimulationScreen("UTF-8")
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Fini)
	s.SetSize(80, 24)
	return terminal{s, t}
}

func (s terminal) line(y int) string {
	cells, width, _ := s.GetContents()
	var b strings.Builder
	for _, c := range cells[y*width : (y+1)*width] {
		b.WriteString(string(c.Runes))
	}
	return strings.TrimRight(b.String(), " ")
}

func (s terminal) wants(y int, want string) {
	s.t.Helper()
	if got := s.line(y); got != want {
		s.t.Errorf("line %d is\n%q, not\n%q", y, got, want)
	}
}

func mixerState() session.Status {
	return session.Status{
		Devices: []session.Device{{Index: 3, Sink: "alsa_output.PCH", Default: true, Description: "HDA Intel PCH, a very long name of a card that does not fit", Open: true,
			Hardware: "s32 2ch 48000Hz", Latency: 40, Xruns: 1, Volume: 50, Peak: 0.001}},
		Users:       []session.User{{UID: 0, Grant: "owner"}, {UID: 4242, Grant: "playback", Volume: 100, Muted: true, Mic: &session.Mic{State: memory.Deny}}},
		Connections: []session.Connection{{Index: 7, UID: 4242, Program: "firefox"}, {Index: 8, UID: 0, Program: "mpv"}},
		Streams: []session.Stream{
			{Index: 20, Connection: 8, UID: 0, Name: "film", Volume: 80},
			{Index: 21, Connection: 7, UID: 4242, Name: "日本", Volume: 30, Peak: 1},
		},
	}
}

func TestMixerShows(t *testing.T) {
	s := newTerminal(t)
	v := mixerView{st: mixerState()}
	v.draw(s)
	s.wants(0, "sandbox-audio  alsa_output.PCH: s32 2ch 48000Hz, 40 ms to the ear, 1 xrun")
	s.wants(2, "> alsa_output.PCH (default)  HDA In █████─────  50 %        "+strings.Repeat("─", 20))
	s.wants(3, "  4242  mic: deny                   ██████████ 100 % muted  "+strings.Repeat("█", 20))
	if got := s.line(4); !strings.HasPrefix(got, "    firefox of 4242, “日") || !strings.HasSuffix(got, "███───────  30 %        "+strings.Repeat("█", 20)) {
		t.Errorf("a stream of the helper's is %q", got)
	}
	if got := s.line(5); !strings.HasPrefix(got, "  mpv of root, “film” ") {
		t.Errorf("a stream of the owner's is %q", got)
	}
	s.wants(23, mixerKeys)
	v.said = "no answer"
	v.draw(s)
	s.wants(22, "no answer")
}

func key(r rune) *tcell.EventKey { return tcell.NewEventKey(tcell.KeyRune, r, 0) }

func TestMixerKeys(t *testing.T) {
	s := newTerminal(t)
	v := mixerView{st: mixerState()}
	marked := func() (y int) {
		v.draw(s)
		for y = range 24 {
			if strings.HasPrefix(s.line(y), "> ") {
				break
			}
		}
		return y
	}
	for _, step := range []struct {
		key  *tcell.EventKey
		line int  // that is chosen then
		acts bool // asks something of the daemon
	}{
		{key('k'), 2, false},
		{key('a'), 2, false}, // a device has no microphone's permission
		{key('+'), 2, true},
		{tcell.NewEventKey(tcell.KeyEnter, 0, 0), 2, true},
		{tcell.NewEventKey(tcell.KeyDown, 0, 0), 3, false},
		{key('a'), 3, true},
		{key('m'), 3, true},
		{key('x'), 3, false},
		{tcell.NewEventKey(tcell.KeyEnter, 0, 0), 3, false},
		{key('j'), 4, false},
		{key('j'), 5, false},
		{key('j'), 5, false},
		{tcell.NewEventKey(tcell.KeyLeft, 0, 0), 5, true},
	} {
		do, leave := v.press(step.key)
		if line := marked(); leave || (do != nil) != step.acts || line != step.line {
			t.Errorf("%v: acts %v, leaves %v, line %d chosen", step.key.Name(), do != nil, leave, line)
		}
	}
	v.st.Streams = v.st.Streams[1:] // what was chosen is gone, then everything
	if line := marked(); line != 2 {
		t.Errorf("line %d is chosen", line)
	}
	v.st = session.Status{}
	v.draw(s)
	for _, k := range []*tcell.EventKey{key('q'), tcell.NewEventKey(tcell.KeyEscape, 0, 0), tcell.NewEventKey(tcell.KeyCtrlC, 0, 0)} {
		if _, leave := v.press(k); !leave {
			t.Errorf("%v does not leave", k.Name())
		}
	}
	if do, leave := v.press(key('m')); do != nil || leave {
		t.Error("a key does something to nothing")
	}
}

// More than fits: what is chosen is always on the screen, also on the smallest.
func TestMixerScrolls(t *testing.T) {
	s := newTerminal(t)
	v := mixerView{st: mixerState()}
	for i := range 40 {
		v.st.Streams = append(v.st.Streams, session.Stream{Index: uint32(100 + i), Volume: 10})
	}
	for _, size := range [][2]int{{80, 24}, {30, 8}, {1, 1}, {200, 60}} {
		s.SetSize(size[0], size[1])
		for i := range 90 {
			press := 'j'
			if i > 45 {
				press = 'k'
			}
			v.press(key(press))
			v.draw(s)
			if at := v.at(v.rows()) - v.top; at < 0 || at >= max(1, size[1]-5) {
				t.Fatalf("%v: what is chosen is on row %d", size, at)
			}
		}
	}
}
