// Package desktop_test has an owner and a helper, two real accounts, use a desktop: browsers that show a page and play its sound, on
// an X server and on a Wayland compositor of the owner's, through the real sudo, session and daemon. All of it happens on a copy of
// the system (launchertest). Screenshots are kept in build/.
package desktop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
	"sandbox-audio/launcher/launchertest"
)

var packages = append([]string{"chromium", "chromium-sandbox", "dbus-bin", "dbus-daemon", "firefox-esr", "grim", "pulseaudio-utils", "strace", "sudo", "sway", "wayland-utils"}, need.XPackages...)

// whyNot is empty where tests may change the system.
var whyNot string

func TestMain(m *testing.M) {
	if os.Getuid() == 0 {
		if err := need.Install(packages...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	whyNot = launchertest.Isolate()
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}

// desk is an owner whose helper is set up and whose sound goes into a file.
type desk struct {
	owner  need.User
	helper string
	wav    string
	from   int // the frame of it where listening begins
	site   *site
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	if whyNot != "" {
		t.Skip(whyNot)
	}
	d := &desk{owner: need.NewUser(t)}
	d.helper = d.owner.Name + "-sandbox"
	dir := rig.Folder(t, d.owner)
	d.wav = filepath.Join(dir, "heard.wav")
	config := filepath.Join(d.owner.Home, ".config/sandbox-audio/config.toml")
	d.asOwner(t, "mkdir -p $(dirname "+config+"); echo 'device = \"wav:"+d.wav+"\"' >"+config)
	d.asRoot(t, "setup")
	t.Cleanup(func() { d.asRoot(t, "teardown", "--purge") })
	d.site = newSite(t)
	return d
}

// asRoot runs a command of ours as the owner's administrator does.
func (d *desk) asRoot(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command(rig.Binary(t), args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SUDO_UID=%d", d.owner.UID))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", args, err, out)
	}
}

func (d *desk) asOwner(t testing.TB, script string) {
	t.Helper()
	if out, err := d.owner.Command(t.Context(), nil, "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// run is a program on its way.
type run struct {
	*exec.Cmd
	said  bytes.Buffer
	ended chan error
}

// start starts a program as the helper; it is ended when t ends, if it still runs then.
func (d *desk) start(t testing.TB, env []string, args ...string) *run {
	t.Helper()
	r := &run{ended: make(chan error, 1)}
	r.Cmd = d.owner.Command(context.Background(), env, rig.Binary(t), append([]string{"run"}, args...)...)
	r.Stdout, r.Stderr = &r.said, &r.said
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.Wait() }()
	t.Cleanup(func() {
		r.end(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", args, &r.said)
		}
	})
	return r
}

// end ends the program as ^C does, and waits.
func (r *run) end(t testing.TB) {
	t.Helper()
	_ = r.Process.Signal(os.Interrupt)
	select {
	case err := <-r.ended:
		r.ended <- err
	case <-time.After(time.Minute):
		t.Errorf("run does not end")
		r.Process.Kill()
		r.ended <- <-r.ended
	}
}

// listen forgets what has been played so far.
func (d *desk) listen() {
	if s, err := sound.ReadWAV(d.wav); err == nil {
		d.from = s.Frames()
	}
}

// heard waits until a second of the tone has been played, all in all: the machine may be slow.
func (d *desk) heard(t *testing.T, freq float64) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		s, err := sound.ReadWAV(d.wav)
		if err != nil {
			return err.Error()
		}
		s, seconds := s.Cut(d.from, s.Frames()), 0.0
		for _, p := range s.Parts(0, freq) {
			seconds += p.Seconds(s.Rate)
		}
		if seconds >= 1 {
			return ""
		}
		return fmt.Sprintf("%.0f Hz is heard for %.2f s in %v", freq, seconds, s.Duration())
	})
}

// site is what browsers are sent to: pages that fill the window with a colour, play a tone for two seconds and tell that they are there.
type site struct {
	address string
	shown   chan string
}

const page = `<!doctype html><title>%[1]s</title><body style="background:%[3]s"><script>
const audio = new AudioContext(), tone = audio.createOscillator(), level = audio.createGain();
tone.frequency.value = %[2]s; level.gain.value = 0.25;
tone.connect(level).connect(audio.destination); tone.start(); tone.stop(audio.currentTime + 2);
requestAnimationFrame(() => requestAnimationFrame(() => fetch("/shown", {method: "POST", body: "%[1]s"})));
</script>`

// colour is that of every page, which nothing else on a screen has.
const colour = "#1b998b"

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{shown: make(chan string, 8)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tone/{freq}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, page, "tone "+r.PathValue("freq"), r.PathValue("freq"), colour)
	})
	mux.HandleFunc("POST /shown", func(w http.ResponseWriter, r *http.Request) {
		title, _ := io.ReadAll(r.Body)
		s.shown <- string(title)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	s.address = "http://" + l.Addr().String()
	return s
}

// tone is the address of a page.
func (s *site) tone(freq string) string { return s.address + "/tone/" + freq }

// await waits until a page is shown.
func (s *site) await(t *testing.T, freq string) {
	t.Helper()
	select {
	case title := <-s.shown:
		if title != "tone "+freq {
			t.Fatalf("the page %q is shown", title)
		}
	case <-time.After(90 * time.Second):
		t.Fatalf("the page with %s Hz is not shown", freq)
	}
}

// browsers are the arguments that make one of the helper's start with a page, which may play without a click, and with a profile of its own.
var browsers = map[string]func(t *testing.T, d *desk, name string) []string{
	"firefox": func(t *testing.T, d *desk, name string) []string {
		profile := "/home/" + d.helper + "/" + name
		prefs := `user_pref("media.autoplay.default", 0);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
`
		d.asHelper(t, "mkdir -p "+profile+"; printf '%s' '"+prefs+"' >"+profile+"/user.js")
		return []string{"firefox-esr", "--profile", profile}
	},
	"chromium": func(t *testing.T, d *desk, name string) []string {
		return []string{"chromium", "--no-first-run", "--autoplay-policy=no-user-gesture-required", "--user-data-dir=/home/" + d.helper + "/" + name}
	},
}

// asHelper prepares something in the helper's home.
func (d *desk) asHelper(t *testing.T, script string) {
	t.Helper()
	if out, err := d.owner.Command(t.Context(), nil, rig.Binary(t), "run", "--display=none", "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// keep keeps a screenshot for people to look at.
func keep(t *testing.T, name string, png []byte) {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "build")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "screenshot-"+name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
