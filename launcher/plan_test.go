package launcher

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// machine is what setup leaves for alice, on a system without login sessions.
func machine() facts {
	return facts{
		owner: Account{Name: "alice", UID: 1000, GID: 1000, Home: "/home/alice", Shell: "/bin/bash"},
		profile: &Profile{
			Name: "default", Owner: "alice", OwnerUID: 1000, Helper: "alice-sandbox", HelperUID: 997, HelperGID: 996,
			Home: "/home/alice-sandbox", Port: 4714, Socket: "/run/sandbox-audio/alice/native",
			RuntimeDir: "/run/sandbox-audio/alice-sandbox", Entry: entryPath,
		},
		helper:    Account{Name: "alice-sandbox", UID: 997, GID: 996, Home: "/home/alice-sandbox", Shell: "/usr/sbin/nologin"},
		daemonUID: 1000, helpers: []string{"alice-bank", "alice-sandbox"},
		self: "/usr/bin/sandbox-audio", sudo: "/usr/bin/sudo", su: "/usr/bin/su",
		socketDir: true, runtimeDir: true, bus: "/usr/bin/dbus-daemon", umask: 0o022,
	}
}

func TestPlan(t *testing.T) {
	f := machine()
	f.rules = []string{"--max-volume", "alice-bank=-6"}
	got, err := f.plan(
		Request{Argv: []string{"mpv", "a b.ogg"}, Environ: []string{"LANG=C", "SSH_AUTH_SOCK=/run/x"}, Dir: "/srv/music"},
		Config{Device: "alsa:PCH", Allow: []string{"@kids"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	servers := "unix:/run/sandbox-audio/alice/native tcp:127.0.0.1:4714"
	want := &Plan{
		Owner: f.owner, Helper: f.helper, Method: "sudo",
		Enter: []string{"/usr/bin/sudo", "-n", "-u", "alice-sandbox", "--", entryPath},
		Daemon: []string{
			"/usr/bin/sandbox-audio", "daemon", "--listen", "unix:/run/sandbox-audio/alice/native", "--listen", "tcp:127.0.0.1:4714",
			"--allow", "alice-bank", "--allow", "alice-sandbox", "--allow", "@kids", "--max-volume", "alice-bank=-6", "--idle-exit", "1m", "--device", "alsa:PCH",
		},
		Addresses: strings.Fields(servers), DaemonUID: 1000,
		request: request{
			Argv: []string{"mpv", "a b.ogg"}, Dir: "/srv/music", Home: "/home/alice-sandbox", RuntimeDir: "/run/sandbox-audio/alice-sandbox", Bus: "/usr/bin/dbus-daemon", Umask: 0o022, Profile: "default",
			Env: []string{
				"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/sandbox-audio/alice-sandbox/bus",
				"HOME=/home/alice-sandbox", "LANG=C", "LOGNAME=alice-sandbox", "PATH=" + helperPath, "PULSE_SERVER=" + servers,
				"QT_X11_NO_MITSHM=1", "SHELL=/bin/sh", "USER=alice-sandbox", "XDG_RUNTIME_DIR=/run/sandbox-audio/alice-sandbox",
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// After a reboot without systemd nothing below /run is left: sound over TCP alone, a runtime directory in the home, and
// a word on how to repair it.
func TestPlanAfterReboot(t *testing.T) {
	f := machine()
	f.socketDir, f.runtimeDir = false, false
	p, err := f.plan(Request{Argv: []string{"mpv"}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tcp:127.0.0.1:4714"}; !slices.Equal(p.Addresses, want) {
		t.Errorf("addresses %q", p.Addresses)
	}
	if slices.ContainsFunc(slices.Concat(p.Daemon, p.request.Env), func(s string) bool { return strings.Contains(s, "unix:/run") }) {
		t.Errorf("a socket is named that cannot be: %q %q", p.Daemon, p.request.Env)
	}
	if want := "/home/alice-sandbox/.cache/sandbox-audio/run"; p.request.RuntimeDir != want || !slices.Contains(p.request.Env, "XDG_RUNTIME_DIR="+want) {
		t.Errorf("runtime directory %q", p.request.RuntimeDir)
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "sandbox-audio setup --profile default") {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestPlanPrefersTheLoginsRuntimeDirectory(t *testing.T) {
	f := machine()
	f.loginDir = true
	p, err := f.plan(Request{Argv: []string{"mpv"}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p.request.RuntimeDir != "/run/user/997" || len(p.Notes) > 0 {
		t.Errorf("runtime directory %q, notes %q", p.request.RuntimeDir, p.Notes)
	}
}

func TestMethod(t *testing.T) {
	su := []string{"/usr/bin/su", "-s", entryPath, "--", "alice-sandbox"}
	sudo := []string{"/usr/bin/sudo", "-n", "-u", "alice-sandbox", "--", entryPath}
	tests := []struct {
		name              string
		owner             int
		asked, configured string
		without           string // what is not installed
		want              []string
		err               string
	}{
		{"a user", 1000, "", "", "", sudo, ""},
		{"a user, auto", 1000, "auto", "su", "", sudo, ""},
		{"a user, su", 1000, "su", "", "", nil, "helper's password"},
		{"a user, su configured", 1000, "", "su", "", nil, "helper's password"},
		{"a user without sudo", 1000, "", "", "sudo", nil, "apt install sudo"},
		{"root", 0, "", "", "", su, ""},
		{"root, sudo", 0, "sudo", "", "", sudo, ""},
		{"root, sudo configured", 0, "", "sudo", "", sudo, ""},
		{"root, sudo configured, su asked", 0, "su", "sudo", "", su, ""},
		{"root without sudo", 0, "", "", "sudo", su, ""},
		{"root without su", 0, "", "", "su", sudo, ""},
		{"root without su, su asked", 0, "su", "", "su", nil, ""},
		{"a user, doas", 1000, "doas", "", "", []string{"/usr/bin/doas", "-n", "-u", "alice-sandbox", entryPath}, ""},
		{"a user without sudo, auto, with doas", 1000, "", "", "sudo+doas", []string{"/usr/bin/doas", "-n", "-u", "alice-sandbox", entryPath}, ""},
		{"a user, run0", 1000, "run0", "", "", []string{"/usr/bin/run0", "--user=alice-sandbox", "--background=", "--", entryPath}, ""},
		{"root, run0", 0, "run0", "", "", []string{"/usr/bin/run0", "--user=alice-sandbox", "--background=", "--", entryPath}, ""},
		{"nonsense", 1000, "ksu", "", "", nil, `"ksu"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := machine()
			f.owner.UID = test.owner
			f.run0 = "/usr/bin/run0"
			if strings.Contains(test.name, "doas") {
				f.doas = "/usr/bin/doas"
			}
			switch test.without {
			case "sudo", "sudo+doas":
				f.sudo = ""
			case "su":
				f.su = ""
			}
			_, got, err := f.become(test.asked, test.configured)
			if test.without == "" && test.want == nil && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, not about %s", err, test.err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNoProgram(t *testing.T) {
	f := machine()
	for _, argv := range [][]string{nil, {""}} {
		if _, err := f.plan(Request{Argv: argv}, Config{}); err == nil {
			t.Errorf("%q was planned", argv)
		}
	}
}

// What a plan prints can be pasted, and holds nothing that a terminal would obey.
func TestPlanAsText(t *testing.T) {
	f := machine()
	p, err := f.plan(Request{Argv: []string{"sh", "-c", "it's $x", "\x1b[2J"}, Environ: []string{"LC_ALL=\x1b]0;x\x07"}, Dir: "/"}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	text := p.String()
	if !strings.Contains(text, `program      sh -c 'it'\''s $x' ' [2J'`) {
		t.Errorf("program not as a shell takes it:\n%s", text)
	}
	if strings.ContainsAny(text, "\x1b\x07") {
		t.Error("control characters reach the terminal")
	}
}
