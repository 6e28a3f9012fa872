package clients_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// TestRefused wants nobody without a grant to be heard or answered: a stranger, and root where its uid could be anybody's.
func TestRefused(t *testing.T) {
	d, who := start(t)
	tone := file(t, sound.Sine(48000, 2, 300*time.Millisecond, 997, -6))
	refused := 0
	for _, c := range []struct {
		name, addr, transport string
		user                  need.User
	}{
		{"stranger", d.Unix, "unix", who.stranger},
		{"stranger", d.TCP, "tcp", who.stranger},
		{"root", d.TCP, "tcp", need.RootUser()},
	} {
		t.Run(c.name+"/"+c.transport, func(t *testing.T) {
			for _, argv := range [][]string{{"pactl", "info"}, {"paplay", tone}, {"pactl", "exit"}} {
				if out, err := run(t, c.user, c.addr, argv...); err == nil {
					t.Errorf("%v succeeded:\n%s", argv, out)
				}
			}
			st := d.Status(t)
			if st.Refused.Total < uint64(refused+3) || len(st.Refused.Newest) < 3 {
				t.Fatalf("%d refused, %d before", st.Refused.Total, refused)
			}
			refused = int(st.Refused.Total)
			for _, r := range st.Refused.Newest[:3] {
				if r.UID == nil || int(*r.UID) != c.user.UID || r.Transport != c.transport || r.Reason == "" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	if n := frames(d); n != 0 {
		t.Errorf("%d frames were played", n)
	}
	must(t, who.helper, d.TCP, "paplay", tone) // those with a grant are served on
	lasts(t, heard(t, d, 0), 48000, 300*time.Millisecond)
}

// TestInfo asks what pactl asks, as somebody who may play.
func TestInfo(t *testing.T) {
	d, who := start(t)
	for _, addr := range []string{d.Unix, d.TCP} {
		has(t, must(t, who.helper, addr, "pactl", "info"), "Server Protocol Version: 35", "Is Local: ", "Server Name: ", "Default Sink: ", "Default Sample Specification: ")
		sinks := lines(must(t, who.helper, addr, "pactl", "list", "short", "sinks"))
		if len(sinks) != 1 || len(strings.Split(sinks[0], "\t")) != 5 || !strings.Contains(sinks[0], "48000Hz") {
			t.Errorf("sinks: %q", sinks)
		}
		has(t, must(t, who.helper, addr, "pactl", "list", "sinks"), "Mute: no", "100%", "Channel Map: front-left,front-right")
		if info := must(t, who.helper, addr, "pactl", "--format=json", "info"); !strings.HasPrefix(info, "{") {
			t.Errorf("not JSON: %s", info)
		}
	}
}

// TestOwnStreamsOnly has owner, helper and member play at once: the owner sees all streams, the others each his own, and nobody can reach
// another's.
func TestOwnStreamsOnly(t *testing.T) {
	d, who := start(t)
	tone := file(t, sound.Sine(48000, 2, 20*time.Second, 997, -30))
	for name, u := range map[string]need.User{"owner": who.owner, "helper": who.helper, "member": who.member} {
		cmd := client(t.Context(), u, d.Unix, "paplay", "--stream-name=stream of "+name, tone)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() }()
	}
	var all []string
	need.Eventually(t, time.Minute, func() string {
		if all = lines(must(t, who.owner, d.Unix, "pactl", "list", "short", "sink-inputs")); len(all) == 3 {
			return ""
		}
		return "the owner sees " + strings.Join(all, "; ")
	})
	has(t, must(t, who.owner, d.TCP, "pactl", "list", "sink-inputs"), "stream of owner", "stream of helper", "stream of member")

	for name, u := range map[string]need.User{"helper": who.helper, "member": who.member} {
		own := lines(must(t, u, d.TCP, "pactl", "list", "short", "sink-inputs"))
		if len(own) != 1 {
			t.Fatalf("%s sees %q", name, own)
		}
		listed := must(t, u, d.Unix, "pactl", "list", "sink-inputs")
		has(t, listed, "stream of "+name)
		if n := strings.Count(listed, "stream of "); n != 1 {
			t.Errorf("%s sees the names of %d streams", name, n)
		}
		if clients := lines(must(t, u, d.Unix, "pactl", "list", "short", "clients")); len(clients) != 2 { // the player and pactl itself
			t.Errorf("%s sees the clients %q", name, clients)
		}
		mine, _, _ := strings.Cut(own[0], "\t")
		must(t, u, d.Unix, "pactl", "set-sink-input-volume", mine, "90%")
		for _, line := range all {
			index, _, _ := strings.Cut(line, "\t")
			if index == mine {
				continue
			}
			for _, argv := range [][]string{{"pactl", "set-sink-input-volume", index, "10%"}, {"pactl", "set-sink-input-mute", index, "1"}} {
				if out, err := run(t, u, d.Unix, argv...); err == nil {
					t.Errorf("%s did %v:\n%s", name, argv, out)
				}
			}
		}
		for _, argv := range [][]string{{"pactl", "set-sink-volume", "wav", "10%"}, {"pactl", "load-module", "module-null-sink"}, {"pactl", "exit"}} {
			if out, err := run(t, u, d.Unix, argv...); err == nil {
				t.Errorf("%s did %v:\n%s", name, argv, out)
			}
		}
	}
	if left := lines(must(t, who.owner, d.Unix, "pactl", "list", "short", "sink-inputs")); len(left) != 3 {
		t.Errorf("left of three streams: %q", left)
	}
}
