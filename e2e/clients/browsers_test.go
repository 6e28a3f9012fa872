package clients_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// visit is a page of ours in a browser that runs until the test ends. The page posts reports.
type visit struct {
	t       *testing.T
	browser string
	reports chan []byte
}

// browse has u's browser of that name show a page.
func browse(t *testing.T, browser string, u need.User, addr, page string) *visit {
	t.Helper()
	v := &visit{t: t, browser: browser, reports: make(chan []byte, 1000)}
	site := http.NewServeMux()
	site.HandleFunc("GET /"+page, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/"+page) })
	tones := threeTones(t)
	site.HandleFunc("GET /tones.wav", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, tones) })
	site.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil {
			v.reports <- b
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: site}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })

	argv := browsers[browser](t, u)
	var said bytes.Buffer
	cmd := client(t.Context(), u, addr, append(argv, "http://"+l.Addr().String()+"/"+page)...)
	cmd.Env = append(cmd.Env, admit(t, need.Xvfb(t), u)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, -10) // it keeps little ahead, and the machine may be shared
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", browser, &said)
		}
	})
	return v
}

// report is the page's next one.
func (v *visit) report(into any) {
	v.t.Helper()
	select {
	case b := <-v.reports:
		if err := json.Unmarshal(b, into); err != nil {
			v.t.Fatalf("%v in %.200s", err, b)
		}
	case <-time.After(time.Minute):
		v.t.Fatalf("the page in %s has said nothing for a minute", v.browser)
	}
}

// browsers are the commands that start one with a new profile of u's, which needs no click before a page may play and asks nobody whether
// it may record.
var browsers = map[string]func(t *testing.T, u need.User) []string{
	"firefox": func(t *testing.T, u need.User) []string {
		profile := rig.Folder(t, u)
		prefs := `user_pref("media.autoplay.default", 0);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.cubeb_latency_mtg_frames", 9600); // of WebAudio, which takes no hint from the page
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
`
		if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"firefox-esr", "--no-remote", "--profile", profile}
	},
	"chromium": func(t *testing.T, u need.User) []string {
		return []string{"chromium", "--no-first-run", "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream", "--user-data-dir=" + rig.Folder(t, u)}
	},
}

// admit is the environment in which u's programs get into x.
func admit(t *testing.T, x need.X, u need.User) []string {
	t.Helper()
	key, err := os.ReadFile(x.Authority)
	if err != nil {
		t.Fatal(err)
	}
	x.Authority = filepath.Join(rig.Folder(t, u), "Xauthority")
	if err := os.WriteFile(x.Authority, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(x.Authority, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	return x.Environ()
}

// TestBrowsersPlay has Firefox and Chromium play a tone of WebAudio's, and an HTML audio element that jumps about in a file: what is heard is
// what the page says it plays, and the page's clocks go as far as the sound did.
func TestBrowsersPlay(t *testing.T) {
	need.Packages(t, "firefox-esr", "chromium", "chromium-sandbox")
	need.Packages(t, need.XPackages...)
	d, who := start(t)
	for browser, addr := range map[string]string{"firefox": d.TCP, "chromium": d.Unix} {
		t.Run(browser, func(t *testing.T) {
			before := frames(d)
			var report struct {
				Parts []struct {
					Name string
					Seen [][2]float64 // milliseconds passed, seconds of the clock
				}
				Error string
			}
			browse(t, browser, who.helper, addr, "play.html").report(&report)
			if report.Error != "" {
				t.Fatalf("the page failed: %s", report.Error)
			}
			s := d.Heard(t)
			s = s.Cut(before, s.Frames())
			heard := melody(t, s, 997, 440, 1100, 700)
			for _, p := range heard { // a browser that the machine keeps waiting has nothing to give for a while
				pure(t, s, p, 0.5)
			}
			if len(report.Parts) != len(heard) {
				t.Fatalf("the page reports %+v", report.Parts)
			}
			for i, p := range report.Parts {
				for k := range p.Seen[1:] {
					if p.Seen[k+1][1] < p.Seen[k][1] {
						t.Errorf("%s: the clock went back from %.3f s to %.3f s", p.Name, p.Seen[k][1], p.Seen[k+1][1])
					}
				}
				last := len(p.Seen) - 1
				clock, played := p.Seen[last][1]-p.Seen[0][1], heard[i].Seconds(s.Rate)
				if played < clock-0.1 || played > clock+0.6 {
					t.Errorf("%s: the clock went on for %.2f s, the sound for %.2f s", p.Name, clock, played)
				}
			}
		})
	}
}

// TestBrowsersRecord has a page hear the microphone through getUserMedia: silence while it is closed, the tone when the owner opens it, and
// silence again; and an error where there is none.
func TestBrowsersRecord(t *testing.T) {
	need.Packages(t, "firefox-esr", "chromium", "chromium-sandbox")
	need.Packages(t, need.XPackages...)
	for browser := range browsers {
		t.Run(browser, func(t *testing.T) {
			d, who := microphone(t)
			v := browse(t, browser, who.helper, d.TCP, "record.html")
			v.until("silence", func(s sound.Sound) bool { return s.Peak(0) == sound.Silence })
			say(t, d, who, memory.Allow)
			v.until("the tone without a break", func(s sound.Sound) bool { // the browser loses some when the machine keeps it waiting
				tones, rest := s.Tones(0, 1)
				return len(tones) == 1 && math.Abs(tones[0].Freq-spoken.Freq) < 0.1 && math.Abs(tones[0].DB-spoken.DB) < 0.3 && rest < -70 && len(s.Breaks(0, 1)) == 0
			})
			say(t, d, who, memory.Deny)
			v.until("silence", func(s sound.Sound) bool { return s.Peak(0) == sound.Silence })
		})
	}
	t.Run("none", func(t *testing.T) {
		owner, helper := need.NewUser(t), need.NewUser(t)
		d := rig.Start(t, owner, "--allow", helper.Name, "--mic", helper.Name+"=none")
		var report struct{ Error string }
		if browse(t, "firefox", helper, d.Unix, "record.html").report(&report); report.Error != "NotFoundError" {
			t.Errorf("the page was told %q", report.Error)
		}
	})
}

// until waits until half a second of what record.html hears is as it should be.
func (v *visit) until(what string, is func(sound.Sound) bool) {
	v.t.Helper()
	for range 40 {
		var report struct {
			Rate    int
			Samples []float64
			Error   string
		}
		if v.report(&report); report.Error != "" {
			v.t.Fatalf("the page failed: %s", report.Error)
		}
		if is(sound.Sound{Rate: report.Rate, Ch: [][]float64{report.Samples}}) {
			return
		}
	}
	v.t.Fatalf("the page never hears %s", what)
}
