package clients_test

import (
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// TestSamples has two users keep a sample of the same name: each hears his own, whole, though pactl leaves as soon as it has asked for it.
func TestSamples(t *testing.T) {
	d, who := start(t)
	const long = 400 * time.Millisecond
	for _, one := range []struct {
		u    need.User
		freq float64
	}{{who.owner, 440}, {who.helper, 997}} {
		must(t, one.u, d.Unix, "pactl", "upload-sample", file(t, sound.Sine(44100, 2, long, one.freq, -6)), "bell")
	}
	for _, one := range []struct {
		u    need.User
		freq float64
	}{{who.owner, 440}, {who.helper, 997}} {
		if list := must(t, one.u, d.TCP, "pactl", "list", "short", "samples"); strings.Count(list, "\n") != 1 || !strings.Contains(list, "bell") {
			t.Errorf("%s has the samples %q", one.u.Name, list)
		}
		before := frames(d)
		must(t, one.u, d.TCP, "pactl", "play-sample", "bell")
		need.Eventually(t, time.Minute, func() string {
			if len(d.Status(t).Streams) > 0 {
				return "the sample plays on"
			}
			return ""
		})
		s := heard(t, d, before)
		lasts(t, s, 44100, long)
		for ch := range 2 {
			sound.Hear(t, inner(s), ch, -80, sound.Tone{Freq: one.freq, DB: -6})
		}
	}
	must(t, who.helper, d.Unix, "pactl", "remove-sample", "bell")
	if _, err := run(t, who.helper, d.Unix, "pactl", "play-sample", "bell"); err == nil {
		t.Error("a sample that was removed is played")
	}
	must(t, who.owner, d.Unix, "pactl", "play-sample", "bell")
}
