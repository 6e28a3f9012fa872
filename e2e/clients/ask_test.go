package clients_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// desktop is a process that shows notifications: it prints each, and presses a button that a line of its input names.
func desktop(bus string) {
	conn, err := dbus.Connect(bus)
	if err == nil {
		err = conn.Export(shows{}, "/org/freedesktop/Notifications", "org.freedesktop.Notifications")
	}
	if err == nil {
		_, err = conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := conn.Emit("/org/freedesktop/Notifications", "org.freedesktop.Notifications.ActionInvoked", uint32(1), in.Text()); err != nil {
			fmt.Println(err)
		}
	}
}

type shows struct{}

func (shows) GetCapabilities() ([]string, *dbus.Error) { return []string{"actions"}, nil }

func (shows) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	fmt.Println(body)
	return 1, nil
}

// A helper that records has its owner asked on his desktop; silence turns into sound in the same recording when he allows it.
func TestAsked(t *testing.T) {
	need.Packages(t, "pulseaudio-utils", "dbus-daemon")
	who := people{owner: need.NewUser(t), helper: need.NewUser(t)}
	address := "unix:path=" + who.owner.Home + "/bus"
	bus := who.owner.Command(t.Context(), nil, "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address)
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { bus.Process.Kill(); bus.Wait() }()
	need.Eventually(t, time.Minute, func() string {
		if _, err := os.Stat(who.owner.Home + "/bus"); err != nil {
			return err.Error()
		}
		return ""
	})
	screen := who.owner.Command(t.Context(), nil, "/proc/self/exe", "desktop", address)
	press, _ := screen.StdinPipe()
	out, _ := screen.StdoutPipe()
	if err := screen.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { press.Close(); screen.Wait() }()
	shown := bufio.NewScanner(out)
	if !shown.Scan() || shown.Text() != "ready" {
		t.Fatalf("the desktop says %q", shown.Text())
	}

	d := rig.StartIn(t, who.owner, []string{"XDG_RUNTIME_DIR=" + who.owner.Home}, "--allow", who.helper.Name, "--mic", who.helper.Name+"=ask",
		"--source", "wav:"+file(t, sound.Sine(44100, 1, time.Second, spoken.Freq, spoken.DB)))
	p := parec(t, who.helper, d.Unix)
	if !shown.Scan() || !strings.Contains(shown.Text(), "“parec”, run by user "+who.helper.Name+",") {
		t.Fatalf("the desktop shows %q", shown.Text())
	}
	sound.HearNothing(t, p.since(0, time.Second/2), sound.Silence)
	if mic := micOf(t, d, who); !mic.Asking || mic.Open || mic.State != memory.Ask {
		t.Errorf("while the question is open status tells %+v", mic)
	}
	fmt.Fprintln(press, "hour")
	need.Eventually(t, time.Minute, func() string {
		if mic := micOf(t, d, who); !mic.InUse || mic.By != "parec" || mic.Until == nil || mic.Answer != "allowed for an hour" {
			return fmt.Sprintf("status tells %+v", mic)
		}
		return ""
	})
	sound.Hear(t, p.settled(time.Second), 0, -80, spoken)
	if log := d.Log(); !strings.Contains(log, fmt.Sprintf("may uid %d hear the microphone? allowed for an hour", who.helper.UID)) {
		t.Errorf("the log has no word of it:\n%s", log)
	}
}

// Where there is no desktop the answer is no, and the log says why.
func TestNobodyToAsk(t *testing.T) {
	d, who := microphone(t)
	say(t, d, who, memory.Ask)
	p := parec(t, who.helper, d.Unix)
	need.Eventually(t, time.Minute, func() string {
		if mic := micOf(t, d, who); mic.Answer != "there is nobody to ask" || mic.Open {
			return fmt.Sprintf("status tells %+v", mic)
		}
		return ""
	})
	sound.HearNothing(t, p.settled(time.Second/2), sound.Silence)
	if log := d.Log(); !strings.Contains(log, "cannot be asked: there is no session bus") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}
