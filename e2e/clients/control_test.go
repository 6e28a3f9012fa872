package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// desk is a daemon with two sinks, the second silent, on whose first a helper plays a loud tone without end.
type desk struct {
	*rig.Daemon
	people
	t      *testing.T
	stream string // the index of the helper's
}

func newDesk(t *testing.T) *desk {
	need.Packages(t, "pulseaudio-utils", "pulsemixer")
	who := people{owner: need.NewUser(t), helper: need.NewUser(t)}
	d := &desk{Daemon: rig.Start(t, who.owner, "--allow", who.helper.Name, "--device", "null", "--state", "none"), people: who, t: t}
	tone := file(t, sound.Sine(48000, 2, 2*time.Minute, 997, loud))
	background(t, client(t.Context(), who.helper, d.Unix, "paplay", "--latency-msec=100", "--stream-name=the tone", tone))
	need.Eventually(t, time.Minute, func() string {
		list := lines(must(t, who.owner, d.Unix, "pactl", "list", "short", "sink-inputs"))
		if len(list) != 1 {
			return fmt.Sprintf("streams: %q", list)
		}
		d.stream, _, _ = strings.Cut(list[0], "\t")
		return ""
	})
	return d
}

// background runs cmd until t ends.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
}

func (d *desk) pactl(u need.User, args ...string) string {
	d.t.Helper()
	return must(d.t, u, d.Unix, append([]string{"pactl"}, args...)...)
}

func (d *desk) pulsemixer(u need.User, args ...string) string {
	d.t.Helper()
	return strings.TrimSpace(must(d.t, u, d.Unix, append([]string{"pulsemixer"}, args...)...))
}

// hears waits until the first sink plays as loud as dB says; below -100 is silence.
func (d *desk) hears(dB float64) {
	d.t.Helper()
	need.Eventually(d.t, time.Minute, func() string {
		s := d.Heard(d.t)
		s = s.Cut(max(0, s.Frames()-4800), s.Frames())
		if peak := s.Peak(0); math.Abs(peak-dB) < 0.3 || peak < -100 && dB < -100 {
			return ""
		} else {
			return fmt.Sprintf("%.1f dB are heard, not %.1f", peak, dB)
		}
	})
}

// left waits until nobody plays on the first sink.
func (d *desk) left() {
	d.t.Helper()
	need.Eventually(d.t, time.Minute, func() string {
		if k := d.Status(d.t).Devices[0]; k.Open {
			return "somebody still plays on " + k.Sink
		}
		return ""
	})
}

// refused wants a command to fail with the error that pactl prints for it.
func (d *desk) refused(u need.User, why string, args ...string) {
	d.t.Helper()
	out, err := run(d.t, u, d.Unix, append([]string{"pactl"}, args...)...)
	if err == nil || !strings.Contains(out, why) {
		d.t.Errorf("pactl %s as %s: %v: %s; want %q", strings.Join(args, " "), u.Name, err, out, why)
	}
}

const (
	loud   = -2           // dB
	half   = 60 * 0.30103 // what a cubic volume of one half takes away
	silent = -200
)

// TestOwnersPactl has the owner list and change everything with pactl, and listens to what that does.
func TestOwnersPactl(t *testing.T) {
	d := newDesk(t)
	owner := d.owner
	has(t, d.pactl(owner, "info"), "User Name: "+owner.Name, "Default Sink: wav")
	if sinks := lines(d.pactl(owner, "list", "short", "sinks")); len(sinks) != 2 || !strings.HasPrefix(sinks[0], "0\twav\t") || !strings.HasPrefix(sinks[1], "1\tnull\t") {
		t.Errorf("sinks: %q", sinks)
	}
	var sinks []struct {
		Index uint32 `json:"index"`
		Name  string `json:"name"`
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(d.pactl(owner, "--format=json", "list", "sinks")), &sinks); err != nil || len(sinks) != 2 || sinks[1].Name != "null" {
		t.Errorf("sinks as JSON: %v, %+v", err, sinks)
	}
	has(t, d.pactl(owner, "list"), "Name: wav", "Name: null", "the tone", `application.name = "paplay (`+d.helper.Name+`)"`, `application.process.user = "`+d.helper.Name+`"`)
	has(t, d.pactl(owner, "list", "message-handlers"), "Message Handler /sandbox-audio")
	for _, kind := range []string{"modules", "sinks", "sources", "sink-inputs", "source-outputs", "clients", "samples", "cards", "message-handlers"} {
		if !json.Valid([]byte(d.pactl(owner, "--format=json", "list", kind))) {
			t.Errorf("%s are no JSON", kind)
		}
		d.pactl(owner, "list", "short", kind)
	}
	d.pactl(owner, "stat")
	d.hears(loud)

	d.pactl(owner, "set-sink-volume", "wav", "50%")
	d.hears(loud - half)
	has(t, d.pactl(owner, "get-sink-volume", "0"), " 50%")
	d.pactl(owner, "set-sink-volume", "@DEFAULT_SINK@", "+50%")
	d.hears(loud)
	d.pactl(owner, "set-sink-mute", "0", "1")
	d.hears(silent)
	has(t, d.pactl(owner, "get-sink-mute", "@DEFAULT_SINK@"), "Mute: yes")
	d.pactl(owner, "set-sink-mute", "wav", "toggle")
	d.pactl(owner, "set-sink-input-volume", d.stream, "50%")
	d.hears(loud - half)
	d.pactl(owner, "set-sink-input-volume", d.stream, "100%")
	d.pactl(owner, "set-sink-input-mute", d.stream, "1")
	d.hears(silent)
	d.pactl(owner, "set-sink-input-mute", d.stream, "0")
	d.hears(loud)

	d.pactl(owner, "move-sink-input", d.stream, "null")
	d.left()
	d.pactl(owner, "move-sink-input", d.stream, "wav")
	d.hears(loud)
	d.pactl(owner, "set-default-sink", "null")
	d.left()
	if got := d.pactl(owner, "get-default-sink"); got != "null\n" {
		t.Errorf("the default sink is %q", got)
	}
	d.pactl(owner, "set-default-sink", "wav")
	d.hears(loud)
	d.pactl(owner, "suspend-sink", "wav", "1")
	has(t, d.pactl(owner, "list", "short", "sinks"), "SUSPENDED")
	stopped := frames(d.Daemon)
	d.pactl(owner, "suspend-sink", "wav", "0")
	need.Eventually(t, time.Minute, func() string {
		if n := frames(d.Daemon); n > stopped {
			return ""
		}
		return "it plays no more"
	})
	d.hears(loud)

	has(t, d.pactl(owner, "send-message", "/sandbox-audio", "user", fmt.Sprintf(`{"uid":%d,"volume_percent":50}`, d.helper.UID)), `"volume_percent":50`)
	d.hears(loud - half)
	has(t, d.pactl(d.helper, "get-sink-volume", "@DEFAULT_SINK@"), " 50%")
	has(t, d.pactl(owner, "send-message", "/sandbox-audio", "devices"), `"sink":"wav"`)

	d.refused(owner, "Access denied", "load-module", "module-null-sink")
	d.refused(owner, "Access denied", "exit")
	d.refused(owner, "No such entity", "set-card-profile", "0", "off")
	d.refused(owner, "No such entity", "set-sink-port", "wav", "speaker")
	d.refused(owner, "No such entity", "move-sink-input", d.stream, "none")
}

// TestHelpersPactl has a helper try all of it: it sees one sink and its own, and turns nothing but its own.
func TestHelpersPactl(t *testing.T) {
	d := newDesk(t)
	helper := d.helper
	background(t, client(t.Context(), d.owner, d.Unix, "pacat", "--stream-name=of the owner", "/dev/zero"))
	mine := ""
	need.Eventually(t, time.Minute, func() string {
		for _, line := range lines(d.pactl(d.owner, "list", "short", "sink-inputs")) {
			if index, _, _ := strings.Cut(line, "\t"); index != d.stream {
				mine = index
				return ""
			}
		}
		return "the owner does not play"
	})
	all := d.pactl(helper, "list") + d.pactl(helper, "info") + d.pactl(helper, "--format=json", "list")
	has(t, all, "sandbox-audio", "the tone", "User Name: sandbox\n", "Host Name: localhost\n")
	for _, secret := range []string{"wav", "null", "of the owner", d.owner.Name} {
		if strings.Contains(strings.ReplaceAll(all, "PULSE_SERVER", ""), secret+"\n") || strings.Contains(all, `"`+secret) {
			t.Errorf("the helper learns of %q", secret)
		}
	}
	if n := len(lines(d.pactl(helper, "list", "short", "sinks"))); n != 1 {
		t.Errorf("%d sinks", n)
	}

	d.hears(loud)
	d.pactl(helper, "set-sink-volume", "@DEFAULT_SINK@", "50%")
	d.hears(loud - half)
	d.pactl(helper, "set-sink-volume", "sandbox-audio", "150%") // no louder than it was sent
	d.hears(loud)
	has(t, d.pactl(helper, "get-sink-volume", "0"), "100%")
	has(t, d.pactl(d.owner, "get-sink-volume", "wav"), "100%")

	for _, args := range [][]string{{"set-default-sink", "sandbox-audio"}, {"move-sink-input", d.stream, "0"}, {"move-sink-input", mine, "0"}, {"suspend-sink", "0", "1"},
		{"suspend-sink", "1"}, {"load-module", "module-null-sink"}, {"unload-module", "0"}, {"exit"}, {"set-card-profile", "0", "off"}, {"set-sink-port", "0", "speaker"},
		{"set-port-latency-offset", "0", "speaker", "1"}} {
		d.refused(helper, "Access denied", args...)
	}
	for _, args := range [][]string{{"set-sink-input-volume", mine, "10%"}, {"set-sink-input-mute", mine, "1"}, {"set-sink-volume", "wav", "10%"}, {"set-sink-volume", "1", "10%"},
		{"set-sink-mute", "null", "1"}, {"get-sink-volume", "wav"}, {"send-message", "/sandbox-audio", "status"}} {
		d.refused(helper, "No such entity", args...)
	}
	d.hears(loud)
}

// listener gathers what pactl subscribe prints.
type listener struct {
	mu    sync.Mutex
	lines []string
}

func (d *desk) subscribe(u need.User) *listener {
	d.t.Helper()
	cmd := client(d.t.Context(), u, d.Unix, "stdbuf", "-oL", "pactl", "subscribe")
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	background(d.t, cmd)
	l := &listener{}
	go func() {
		for s := bufio.NewScanner(io.Reader(out)); s.Scan(); {
			l.mu.Lock()
			l.lines = append(l.lines, s.Text())
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (d *desk) told(l *listener, want ...string) {
	d.t.Helper()
	need.Eventually(d.t, time.Minute, func() string {
		for _, w := range want {
			if !strings.Contains(l.said(), w) {
				return fmt.Sprintf("no %q in:\n%s", w, l.said())
			}
		}
		return ""
	})
}

// TestSubscriptions has pactl subscribe tell owner and helper, each of what he may know.
func TestSubscriptions(t *testing.T) {
	d := newDesk(t)
	owner, helper := d.subscribe(d.owner), d.subscribe(d.helper)
	need.Eventually(t, time.Minute, func() string { // both are listening
		d.pactl(d.owner, "set-sink-input-mute", d.stream, "toggle")
		d.pactl(d.helper, "set-sink-input-mute", d.stream, "toggle")
		if !strings.Contains(owner.said(), "sink-input") || !strings.Contains(helper.said(), "sink-input") {
			return "nothing is told"
		}
		return ""
	})
	d.pactl(d.owner, "set-sink-volume", "null", "30%")
	d.pactl(d.owner, "set-default-sink", "null")
	d.pactl(d.owner, "set-default-sink", "wav")
	d.pactl(d.helper, "set-sink-volume", "0", "40%")
	d.told(owner, "'change' on sink #1", "'change' on server", "'change' on sink-input #"+d.stream, "'new' on client", "'remove' on client")
	d.told(helper, "'change' on sink #0", "'change' on sink-input #"+d.stream, "'new' on client", "'remove' on client")
	for _, line := range strings.Split(helper.said(), "\n") {
		if strings.Contains(line, "sink #1") || strings.Contains(line, "server") || strings.Contains(line, "sink-input") && !strings.HasSuffix(line, "#"+d.stream) {
			t.Errorf("the helper is told %q", line)
		}
	}
}

// TestPulsemixer has pulsemixer list and change, as owner and as helper.
func TestPulsemixer(t *testing.T) {
	d := newDesk(t)
	all := d.pulsemixer(d.owner, "--list")
	has(t, all, "ID: sink-0", "ID: sink-1", "ID: sink-input-"+d.stream, "Default")
	own := d.pulsemixer(d.helper, "--list")
	has(t, own, "ID: sink-0, Name: Sandbox audio", "ID: sink-input-"+d.stream)
	if n := strings.Count(own, "ID: sink-"); n != 2 {
		t.Errorf("the helper sees %d sinks and streams:\n%s", n, own)
	}
	for _, c := range []struct {
		who  need.User
		id   string
		want float64
	}{{d.owner, "sink-0", loud - half}, {d.owner, "sink-input-" + d.stream, loud - 2*half}, {d.helper, "sink-0", loud - 3*half}} {
		d.pulsemixer(c.who, "--id", c.id, "--set-volume", "50")
		d.hears(c.want)
		if got := d.pulsemixer(c.who, "--id", c.id, "--get-volume"); got != "50 50" {
			t.Errorf("%s of %s is at %q", c.id, c.who.Name, got)
		}
	}
	if got := d.pulsemixer(d.owner, "--id", "sink-0", "--get-volume"); got != "50 50" {
		t.Errorf("the helper's sink turned the owner's to %q", got)
	}
	d.pulsemixer(d.helper, "--mute")
	d.hears(silent)
	if got := d.pulsemixer(d.owner, "--get-mute"); got != "0" {
		t.Errorf("the helper's mute is the owner's, too: %q", got)
	}
	d.pulsemixer(d.helper, "--unmute")
	d.pulsemixer(d.owner, "--id", "sink-0", "--change-volume", "+50")
	d.hears(loud - 2*half)
	d.pulsemixer(d.owner, "--id", "sink-1", "--set-volume-all", "20:30")
	if got := d.pulsemixer(d.owner, "--id", "sink-1", "--get-volume"); got != "20 30" {
		t.Errorf("channels of their own: %q", got)
	}
}
