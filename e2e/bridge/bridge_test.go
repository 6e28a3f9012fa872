// Package bridge_test has the daemon play at a real sound server of its owner's, as on a desktop, and listens to what that one plays.
package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

func TestMain(m *testing.M) {
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}

func TestPulseAudio(t *testing.T) { desktop(t, rig.PulseAudio) }
func TestPipeWire(t *testing.T)   { desktop(t, rig.PipeWire) }

// desktop is an owner whose sound server has the card, the daemon, and a helper.
func desktop(t *testing.T, start func(testing.TB, need.User) *rig.Peer) {
	need.Root(t)
	owner, helper := need.NewUser(t), need.NewUser(t)
	peer := start(t, owner)
	d := rig.Start(t, owner, "--allow", helper.Name, "--device", "pulse:"+peer.Unix, "--mic", helper.Name+"=allow")
	tone := sound.Tone{Freq: 997, DB: -12}
	short, long := file(t, sound.Sine(44100, 2, 2*time.Second, tone.Freq, tone.DB)), file(t, sound.Sine(48000, 2, 12*time.Second, tone.Freq, tone.DB))

	awake := background(t, owner, peer.Unix, "pacat", "--latency-msec=50", "/dev/zero") // an idle sink of PulseAudio's has played silence for seconds to come
	need.Eventually(t, 10*time.Second, func() string {
		var latency int
		out := must(t, owner, peer.Unix, "pactl", "list", "sinks")
		if _, after, ok := strings.Cut(out, "Latency: "); !ok || !strings.Contains(out, "State: RUNNING") {
			return "the sink does not run: " + out
		} else if _, err := fmt.Sscan(after, &latency); err != nil || latency > 200000 {
			return "the sink is " + after[:20] + " ahead"
		}
		return ""
	})
	t.Run("plays", func(t *testing.T) {
		ear := listen(t, peer, owner)
		must(t, helper, d.Unix, "paplay", short)
		s := ear()
		if s.Duration() < 1900*time.Millisecond {
			t.Errorf("%v of 2 s were heard", s.Duration())
		}
		s = s.Cut(s.Rate/10, s.Frames()-s.Rate/10)
		sound.Hear(t, s, 0, -70, tone)
		sound.Hear(t, s, 1, -70, tone)
	})
	t.Run("is shown", func(t *testing.T) {
		done := background(t, helper, d.TCP, "paplay", short)
		defer done()
		need.Eventually(t, 5*time.Second, func() string {
			out := must(t, owner, peer.Unix, "pactl", "list", "sink-inputs")
			for _, stream := range strings.Split(out, "Sink Input #") {
				if strings.Contains(stream, helper.Name) && strings.Contains(stream, "Corked: no") {
					return ""
				}
			}
			return "the server shows no stream of " + helper.Name + ": " + out
		})
	})
	need.Eventually(t, 5*time.Second, func() string {
		if n := len(d.Status(t).Streams); n > 0 {
			return "the last player's stream is still there"
		}
		return ""
	})
	t.Run("records", func(t *testing.T) { // the server's default source is its sink's monitor
		done := background(t, owner, peer.Unix, "paplay", long)
		s := record(t, helper, d.Unix, "parec", 2*time.Second)
		done()
		s = s.Cut(s.Rate/2, s.Frames()-s.Rate/10)
		sound.Hear(t, s, 0, -70, tone)
	})
	t.Run("restarts", func(t *testing.T) {
		done := background(t, helper, d.Unix, "paplay", long)
		playing := func() string {
			for _, dev := range d.Status(t).Devices {
				if dev.Name == "pulse:"+helper.Name && dev.Trouble == "" && dev.Peak > 0.1 {
					return ""
				}
			}
			return "nothing plays at the server"
		}
		need.Eventually(t, 5*time.Second, playing)
		awake()
		peer.Stop()
		need.Eventually(t, 5*time.Second, func() string {
			if playing() == "" {
				return "without the server it plays on"
			}
			return ""
		})
		peer.Start()
		need.Eventually(t, 5*time.Second, playing)
		ear := listen(t, peer, owner)
		need.Eventually(t, 5*time.Second, playing)
		time.Sleep(time.Second) // of sound to listen to
		s := ear()
		done()
		if s.Duration() < 500*time.Millisecond {
			t.Fatalf("%v of sound in a second after the server was back", s.Duration())
		}
		if tones, _ := s.Tones(0, 1); len(tones) != 1 || tones[0].Freq < tone.Freq-1 || tones[0].Freq > tone.Freq+1 {
			t.Errorf("heard %v, want %v", tones, tone)
		}
	})
	if log := d.Log(); strings.Contains(log, "panic") {
		t.Error("the daemon crashed")
	}
}

// file is s in a WAV file that everybody may read.
func file(t *testing.T, s sound.Sound) string {
	t.Helper()
	f, err := os.CreateTemp("/var/tmp", "sa-tone-*.wav")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	t.Cleanup(func() { os.Remove(f.Name()) })
	if err := s.WriteWAV(f.Name()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func client(ctx context.Context, u need.User, addr string, argv ...string) *exec.Cmd {
	cmd := u.Command(ctx, []string{"PULSE_SERVER=" + addr, "PULSE_CLIENTCONFIG=/dev/null"}, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func must(t *testing.T, u need.User, addr string, argv ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	out, err := client(ctx, u, addr, argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// background runs a client until done is called.
func background(t *testing.T, u need.User, addr string, argv ...string) (done func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := client(ctx, u, addr, argv...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		stop()
		cmd.Wait()
	}
}

// listen records what the server's sink plays until ear is called, which returns it without the silence around.
func listen(t *testing.T, peer *rig.Peer, owner need.User) (ear func() sound.Sound) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := client(ctx, owner, peer.Unix, "parec", "-d", "out.monitor", "--raw", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=50")
	var raw, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &raw, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	need.Eventually(t, 10*time.Second, func() string {
		if strings.Contains(must(t, owner, peer.Unix, "pactl", "list", "source-outputs"), "parec") {
			return ""
		}
		return "parec does not record: " + said.String()
	})
	return func() sound.Sound {
		time.Sleep(500 * time.Millisecond) // what was played last is on its way to parec, which does not tell
		stop()
		cmd.Wait()
		return decode(t, raw.Bytes())
	}
}

// record is what a client hears of its microphone in a while.
func record(t *testing.T, u need.User, addr, name string, d time.Duration) sound.Sound {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	cmd := client(ctx, u, addr, name, "--raw", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=50")
	var raw bytes.Buffer
	cmd.Stdout = &raw
	cmd.Run()
	return decode(t, raw.Bytes())
}

func decode(t *testing.T, raw []byte) sound.Sound {
	t.Helper()
	s, err := sound.Decode(raw[:len(raw)/4*4], "s16le", 48000, 2)
	if err != nil {
		t.Fatal(err)
	}
	s, _ = s.Trim(-50)
	return s
}
