package clients_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// remote is a player that a test holds the buttons of.
type remote struct {
	argv     []string // without the file; it listens on the Unix socket whose path follows
	seek     func(r *line, seconds float64)
	pause    func(r *line, on bool)
	position func(r *line) float64 // seconds; whole ones where unit is a second
	quit     func(r *line)
	unit     time.Duration
	bends    bool // it bends pitch, and drops or waits, to keep to a clock of its own
}

var remotes = map[string]remote{
	"mpv": {
		argv:  []string{"mpv", "--no-config", "--no-video", "--really-quiet", "--ao=pulse", "--pulse-buffer=500", "--input-ipc-server="},
		seek:  func(r *line, seconds float64) { r.mpv("seek", seconds, "absolute+exact") },
		pause: func(r *line, on bool) { r.mpv("set_property", "pause", on) },
		position: func(r *line) float64 {
			at, _ := r.mpv("get_property", "time-pos").(float64)
			return at
		},
		quit: func(r *line) { r.say(`{"command":["quit"]}`) },
	},
	"vlc": {
		argv:  []string{"vlc", "--intf=oldrc", "--quiet", "--aout=pulse", "--no-video", "--rc-fake-tty", "--rc-unix="},
		seek:  func(r *line, seconds float64) { r.say(fmt.Sprintf("seek %.0f", seconds)) },
		pause: func(r *line, on bool) { r.say("pause") },
		position: func(r *line) float64 {
			r.say("get_time")
			for {
				if at, err := strconv.ParseFloat(strings.TrimLeft(r.hear(), "> "), 64); err == nil {
					return at
				}
			}
		},
		quit:  func(r *line) { r.say("quit") },
		unit:  time.Second,
		bends: true,
	},
}

// line is a conversation with a player.
type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Scanner
}

func (r *line) say(s string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, s+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *line) hear() string {
	r.t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if !r.in.Scan() {
		r.t.Fatalf("the player says nothing: %v", r.in.Err())
	}
	return strings.TrimSpace(r.in.Text())
}

// mpv has mpv carry out a command and returns the answer's data.
func (r *line) mpv(command ...any) any {
	r.t.Helper()
	b, _ := json.Marshal(map[string]any{"command": command, "request_id": 1})
	r.say(string(b))
	for {
		var answer struct {
			ID    int    `json:"request_id"`
			Event string // answers have none
			Error string
			Data  any
		}
		if err := json.Unmarshal([]byte(r.hear()), &answer); err != nil {
			r.t.Fatal(err)
		}
		if answer.Event != "" || answer.ID != 1 {
			continue
		}
		if answer.Error != "success" {
			r.t.Fatalf("%v: %s", command, answer.Error)
		}
		return answer.Data
	}
}

// TestSeekAndPause has players jump about in a file of three tones and pause: what is heard is the part of the file where they say they are,
// and the pause is silent.
func TestSeekAndPause(t *testing.T) {
	t.Parallel()
	need.Packages(t, "mpv", "vlc-bin", "vlc-plugin-base")
	d, who := start(t)
	for name, r := range remotes {
		t.Run(name, func(t *testing.T) { r.drive(t, d, who.helper, d.TCP) })
	}
}

const toneLevel = -12.0

// threeTones is a file with five seconds each of 440, 700 and 1100 Hz.
func threeTones(t *testing.T) string {
	t.Helper()
	var s sound.Sound
	for i, freq := range []float64{440, 700, 1100} {
		part := sound.Sine(48000, 2, 5*time.Second, freq, toneLevel) // at the device's rate, since VLC resamples by itself, and worse
		if i == 0 {
			s = part
			continue
		}
		for ch := range s.Ch {
			s.Ch[ch] = append(s.Ch[ch], part.Ch[ch]...)
		}
	}
	return file(t, s)
}

func (c remote) drive(t *testing.T, d *rig.Daemon, u need.User, addr string) {
	socket := rig.Folder(t, u) + "/remote"
	argv := append(append([]string(nil), c.argv...), threeTones(t))
	argv[len(c.argv)-1] += socket
	before := frames(d)
	var said bytes.Buffer
	cmd := client(t.Context(), u, addr, argv...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", argv[0], &said)
		}
	})
	played := func(from int, long time.Duration) { // waits until so much has been played since
		t.Helper()
		need.Eventually(t, time.Minute, func() string {
			if n := frames(d) - from; n < int(long.Seconds()*48000) {
				return fmt.Sprintf("%d frames have been played", n)
			}
			return ""
		})
	}
	played(before, 800*time.Millisecond)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &line{t: t, conn: conn, in: bufio.NewScanner(conn)}

	c.seek(r, 11)
	played(frames(d), 1500*time.Millisecond)
	c.pause(r, true)
	paused := 0
	need.Eventually(t, time.Minute, func() string { // the rest that was with the device is played, then nothing for a while
		paused = frames(d)
		time.Sleep(300 * time.Millisecond)
		if n := frames(d); n != paused {
			return fmt.Sprintf("in the pause %d frames were played", n-paused)
		}
		return ""
	})
	at := c.position(r)
	c.pause(r, false)
	played(paused, 500*time.Millisecond)
	c.seek(r, 6)
	played(frames(d), 1500*time.Millisecond)
	c.quit(r)
	if err := wait(cmd, time.Minute); err != nil {
		t.Errorf("the player ended with %v", err)
	}

	s := d.Heard(t)
	s = s.Cut(before, s.Frames())
	first := melody(t, s.Cut(0, paused-before), 440, 1100)
	second := melody(t, s.Cut(paused-before, s.Frames()), 1100, 700)
	if !c.bends {
		for _, p := range first {
			pure(t, s, p, p.Seconds(s.Rate))
		}
		for _, p := range second {
			pure(t, s.Cut(paused-before, s.Frames()), p, p.Seconds(s.Rate))
		}
	}
	if off := first[1].Seconds(s.Rate) + 11 - at; off < -0.3 || off > 0.3+c.unit.Seconds() {
		t.Errorf("the player was at %.2f s in the pause, after %.2f s of sound from 11 s on", at, first[1].Seconds(s.Rate))
	}
}

// wait waits for a program's end, and ends it after a while.
func wait(cmd *exec.Cmd, within time.Duration) error {
	timer := time.AfterFunc(within, func() { cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}

// melody fails t unless s is the tones of freqs one after another, whatever interrupts them, and returns where each is.
func melody(t *testing.T, s sound.Sound, freqs ...float64) (tones []sound.Part) {
	t.Helper()
	parts := s.Parts(0, 440, 700, 997, 1100)
	for _, p := range parts {
		if n := len(tones); n > 0 && tones[n-1].Freq == p.Freq {
			tones[n-1].To = p.To
			continue
		}
		tones = append(tones, p)
	}
	ok := len(tones) == len(freqs)
	for i := range tones {
		ok = ok && tones[i].Freq == freqs[i]
	}
	if !ok {
		t.Fatalf("heard %v, want %v Hz", parts, freqs)
	}
	return tones
}

// pure fails t unless the tone of p is heard for at least so many seconds without a break, as loud as it was made.
func pure(t *testing.T, s sound.Sound, p sound.Part, least float64) {
	t.Helper()
	s = s.Cut(p.From, p.To)
	parts := s.Parts(0, p.Freq)
	longest := slices.MaxFunc(parts, func(a, b sound.Part) int { return (a.To - a.From) - (b.To - b.From) })
	if longest.Seconds(s.Rate) < least {
		t.Fatalf("heard %v, want %.2f s without a break", parts, least)
	}
	n := int(least * float64(s.Rate))
	for from := longest.From; ; from += n / 2 { // a break may be shorter than parts are told apart by
		part, last := inner(s.Cut(from, from+n)), from+n/2+n > longest.To
		if !last && len(part.Breaks(0, 1)) > 0 {
			continue
		}
		for ch := range part.Ch {
			sound.Hear(t, part, ch, -60, sound.Tone{Freq: p.Freq, DB: toneLevel})
		}
		return
	}
}
