package vm

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/sound"
)

// TestGuest boots once and asks all that other tests rely on.
func TestGuest(t *testing.T) {
	host := t.TempDir() + "/tool"
	if err := os.WriteFile(host, []byte("#!/bin/sh\necho \"from the host\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tone := []sound.Tone{{Freq: 997, DB: -6}}
	other := []sound.Tone{{Freq: 440, DB: -20}}
	written := rootWritten(t)
	g := Boot(t, Options{Cards: []Card{HDA, AC97, USB}, Modules: []string{"snd-aloop"}, Files: map[string]string{"/opt/some where/tool": host}})

	t.Run("output and status", func(t *testing.T) {
		if r := g.Run(t, "echo out; echo err >&2; exit 37"); r.ExitCode != 37 || r.Output != "out\nerr\n" {
			t.Errorf("%+v", r)
		}
		if r := g.Run(t, "kill -TERM $$"); r.ExitCode != 143 || r.Output != "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("files", func(t *testing.T) {
		if out := g.Must(t, "'/opt/some where/tool'; echo late >/job/late"); out != "from the host\n" {
			t.Error(out)
		}
		if b, err := os.ReadFile(g.Shared("late")); string(b) != "late\n" {
			t.Error(string(b), err)
		}
	})
	t.Run("a system", func(t *testing.T) {
		g.Must(t, `set -e
			touch /etc/written-by-a-guest
			useradd --system --create-home someone && runuser -u someone -- id && userdel --remove someone
			grep -q landlock /sys/kernel/security/lsm
			ss --tcp --listening --processes
			visudo -c`)
	})
	t.Run("the root stays as it was", func(t *testing.T) {
		g.Must(t, "! dd if=/dev/zero of=/dev/pmem0 bs=4096 count=1 conv=fsync")
		if after := rootWritten(t); after != written {
			t.Error("a guest wrote to what all have as their root, at ", after)
		}
	})
	t.Run("monitor", func(t *testing.T) {
		g.Monitor(t, "device_add", map[string]any{"driver": "usb-kbd", "id": "keyboard", "bus": "xhci.0"})
		g.Must(t, "for try in $(seq 100); do grep -qs Keyboard /sys/bus/usb/devices/*/product && exit; sleep 0.1; done; exit 1")
		if status := g.Monitor(t, "query-status", nil); !strings.Contains(string(status), "running") {
			t.Errorf("%s", status)
		}
	})
	t.Run("go tests", func(t *testing.T) {
		g.Test(t, "sandbox-audio/e2e/vm", "TestSources|TestQuote")
	})

	for name, tones := range map[string][]sound.Tone{"tone.wav": tone, "other.wav": other} {
		if err := sound.Sines(48000, 2*time.Second, tones, other).WriteWAV(g.Shared(name)); err != nil {
			t.Fatal(err)
		}
	}
	// A player whose sound depends on what nobody has read so far loses none by that. Silence is behind the tone of the last, since snd-aloop
	// plays a moment of it when a buffer begins to drain.
	g.Must(t, `cd /job
		sox tone.wav padded.wav pad 0 1
		aplay -q -D hw:Intel tone.wav && aplay -q -D hw:Audio tone.wav &&
		{ head -c 200000 tone.wav; echo 3 >/proc/sys/vm/drop_caches; cat /usr/sbin/* >/dev/null; tail -c +200001 tone.wav; } | aplay -q -D hw:I82801AAICH &&
		{ arecord -q -D hw:Loopback,1 -f S16_LE -r 48000 -c 2 -d 6 --buffer-time 1000000 loop.wav & } && recorder=$! &&
		until grep -q RUNNING /proc/asound/Loopback/pcm1c/sub0/status; do sleep 0.02; done && aplay -q -D hw:Loopback,0 --buffer-time 1000000 padded.wav && wait $recorder`)
	g.Close()
	for file, card := range map[string]string{g.CardWAV(0): "HDA", g.CardWAV(1): "AC97", g.CardWAV(2): "USB", g.Shared("loop.wav"): "Loopback"} {
		t.Run(card, func(t *testing.T) {
			s, err := sound.ReadWAV(file)
			if err != nil {
				t.Fatal(err)
			}
			s, _ = s.Trim(-50)
			t.Logf("%s: %v of 2 s", card, s.Duration())
			if s.Duration() < 1900*time.Millisecond {
				t.Errorf("only %v of sound", s.Duration())
			}
			sound.Hear(t, s, 0, -80, tone...)
			sound.Hear(t, s, 1, -80, other...)
		})
	}
}

// rootWritten is when the root that all guests share was written.
func rootWritten(t *testing.T) time.Time {
	t.Helper()
	r, err := cached()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.image)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func TestSources(t *testing.T) {
	for name, file := range map[string]string{
		"one line": "# deb http://a/debian trixie main\ndeb [arch=amd64 signed-by=/x.gpg] http://mirror/debian trixie main contrib\ndeb http://mirror/debian trixie-updates main\n",
		"deb822":   "Types: deb\n# URIs: http://a/debian\nURIs: http://mirror/debian\nSuites: trixie trixie-updates\nComponents: main\n\nTypes: deb\nURIs: http://security/debian\nSuites: trixie-security\nComponents: main\n",
	} {
		if uris := sources(file, "trixie"); len(uris) != 1 || uris[0] != "http://mirror/debian" {
			t.Errorf("%s: %q", name, uris)
		}
	}
}

func TestQuote(t *testing.T) {
	out, err := exec.Command("sh", "-c", "printf %s, "+quote(`it's "$HOME"`, "", "*")).Output()
	if string(out) != `it's "$HOME",,*,` || err != nil {
		t.Errorf("%s %v", out, err)
	}
}
