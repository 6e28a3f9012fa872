package clients_test

import (
	"bytes"
	"context"
	"image"
	"regexp"
	"strconv"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// TestPavucontrol has the owner's pavucontrol show a helper's stream, and mute and turn down the stream and the device, by keyboard.
func TestPavucontrol(t *testing.T) {
	d, who := start(t)
	x, empty := pavucontrol(t, d, who.owner)
	xdotool := func(args ...string) { t.Helper(); xdotool(t, x, args...) }

	player := client(t.Context(), who.helper, d.TCP, "paplay", "--stream-name=Song", file(t, sound.Sine(48000, 2, time.Minute, 997, toneLevel)))
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { player.Process.Kill(); player.Wait() })
	appears(t, x, empty)
	playback := settled(t, x)
	need.Keep(t, "playback", playback)

	stream := func() string { return must(t, who.owner, d.Unix, "pactl", "list", "sink-inputs") }
	device := func() string { return must(t, who.owner, d.Unix, "pactl", "list", "sinks") }
	until := func(list func() string, want string) {
		t.Helper()
		need.Eventually(t, time.Minute, func() string {
			if out := list(); !regexp.MustCompile(want).MatchString(out) {
				return "no " + want + " in:\n" + out
			}
			return ""
		})
	}
	press := func(keys ...string) { t.Helper(); xdotool(append([]string{"key", "--delay", "60"}, keys...)...) }

	press("Tab", "Right", "Right", "Tab", "space") // the tab of output devices, and there the button that mutes
	until(device, "Mute: yes")
	quiet(t, d)
	need.Keep(t, "output devices", settled(t, x))
	press("space")
	until(device, "Mute: no")
	press("shift+Tab", "Left", "Left", "Tab", "Tab", "Tab", "space") // back to playback: system sounds' two controls, the stream's
	until(stream, "Mute: yes")
	quiet(t, d)
	press("space")
	until(stream, "Mute: no")
	press("Tab", "Tab", "Left", "Left", "Left", "Left", "Left", "Left", "Left", "Left", "Left", "Left") // its volume
	until(stream, `front-left: \d+ /  90% `)
	need.Keep(t, "turned down", settled(t, x))

	_, dB, _ := bytes.Cut([]byte(stream()), []byte("/  90% / "))
	level, err := strconv.ParseFloat(string(dB[:bytes.IndexByte(dB, ' ')]), 64)
	if err != nil || level > -2 || level < -4 {
		t.Fatalf("90%% are %.10s dB (%v)", dB, err)
	}
	loud := latest(t, d, 500*time.Millisecond)
	for ch := range loud.Ch {
		sound.Hear(t, loud, ch, -80, sound.Tone{Freq: 997, DB: toneLevel + level})
	}
	has(t, must(t, who.owner, d.Unix, "pactl", "list", "clients"), "PulseAudio Volume Control")
}

// TestPavucontrolOfAHelper has a helper's pavucontrol show its own stream, and nothing of the owner's.
func TestPavucontrolOfAHelper(t *testing.T) {
	d, who := start(t)
	x, empty := pavucontrol(t, d, who.helper)
	play := func(u need.User) {
		t.Helper()
		player := client(t.Context(), u, d.Unix, "paplay", file(t, sound.Sine(48000, 2, time.Minute, 997, toneLevel)))
		if err := player.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { player.Process.Kill(); player.Wait() })
	}
	play(who.owner)
	latest(t, d, 2*time.Second) // in which an event would have come
	if n := differ(empty, settled(t, x)); n >= 1000 {
		need.Keep(t, "owner plays", x.Screenshot(t))
		t.Errorf("%d pixels changed when the owner began to play", n)
	}
	play(who.helper)
	appears(t, x, empty)
	need.Keep(t, "of a helper", settled(t, x))
	has(t, must(t, who.helper, d.Unix, "pactl", "list", "clients"), "PulseAudio Volume Control")
}

// pavucontrol starts one of u's on a screen of its own, until t ends, and returns that with what it shows while nothing plays.
func pavucontrol(t *testing.T, d *rig.Daemon, u need.User) (need.X, *image.RGBA) {
	t.Helper()
	need.Packages(t, "pavucontrol", "xdotool")
	need.Packages(t, need.XPackages...)
	x := need.Xvfb(t)
	var said bytes.Buffer
	window := client(context.Background(), u, d.Unix, "pavucontrol", "--tab=1")
	window.Env = append(window.Env, admit(t, x, u)...)
	window.Stdout, window.Stderr = &said, &said
	if err := window.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		window.Process.Kill()
		window.Wait()
		if t.Failed() {
			t.Logf("pavucontrol said:\n%s", &said)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			need.Keep(t, "failed", x.Screenshot(t))
		}
	})
	xdotool(t, x, "search", "--sync", "--onlyvisible", "--name", "^Volume Control$", "windowfocus")
	empty := settled(t, x)
	if colours(empty) < 20 {
		t.Fatal("pavucontrol shows nothing")
	}
	return x, empty
}

func xdotool(t *testing.T, x need.X, args ...string) {
	t.Helper()
	if out, err := x.Client("xdotool", args...).CombinedOutput(); err != nil {
		t.Fatalf("xdotool %v: %v\n%s", args, err, out)
	}
}

// appears waits until a stream is shown where there was none.
func appears(t *testing.T, x need.X, empty *image.RGBA) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		if differ(empty, x.Screenshot(t)) < 2000 { // a row's worth of letters and controls
			return "pavucontrol does not show the stream"
		}
		return ""
	})
}

// latest is the sound of the next so and so long.
func latest(t *testing.T, d *rig.Daemon, long time.Duration) sound.Sound {
	t.Helper()
	from := frames(d) + 4800 // what was mixed before the last change has been written by then
	to := from + int(long.Seconds()*48000)
	need.Eventually(t, time.Minute, func() string {
		if n := frames(d); n < to {
			return strconv.Itoa(n) + " frames have been played"
		}
		return ""
	})
	return d.Heard(t).Cut(from, to)
}

// quiet fails t unless nothing is heard for a while.
func quiet(t *testing.T, d *rig.Daemon) {
	t.Helper()
	sound.HearNothing(t, latest(t, d, 300*time.Millisecond), sound.Silence)
}

// settled is what X shows when no more of that changes than meters do.
func settled(t *testing.T, x need.X) *image.RGBA {
	t.Helper()
	before := x.Screenshot(t)
	need.Eventually(t, time.Minute, func() string {
		time.Sleep(200 * time.Millisecond)
		now := x.Screenshot(t)
		same := differ(before, now) < 1000
		if before = now; !same {
			return "the screen keeps changing"
		}
		return ""
	})
	return before
}

// differ counts the pixels that are not the same in two pictures of the same size.
func differ(a, b *image.RGBA) (n int) {
	for i := 0; i < len(a.Pix); i += 4 {
		if !bytes.Equal(a.Pix[i:i+4], b.Pix[i:i+4]) {
			n++
		}
	}
	return n
}

// colours counts those of a picture.
func colours(picture *image.RGBA) int {
	seen := map[[4]byte]bool{}
	for i := 0; i < len(picture.Pix); i += 4 {
		seen[[4]byte(picture.Pix[i:])] = true
	}
	return len(seen)
}
