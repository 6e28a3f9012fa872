package clients_test

import (
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// TestPlayers has every player play as everybody who may, over both transports. The players keep some hundred milliseconds ahead, since a
// machine that is shared may stand still for most of one.
func TestPlayers(t *testing.T) {
	need.Packages(t, "ffmpeg", "mpv")
	d, who := start(t)
	left, right := sound.Tone{Freq: 997, DB: -6}, sound.Tone{Freq: 440, DB: -20}
	const long = 700 * time.Millisecond
	at44, at48 := file(t, sound.Sines(44100, long, []sound.Tone{left}, []sound.Tone{right})), file(t, sound.Sines(48000, long, []sound.Tone{left}, []sound.Tone{right}))

	for client, c := range map[string]struct {
		argv []string
		lost time.Duration // what a player leaves in the buffer, since it does not wait until that has played
	}{
		"paplay": {[]string{"paplay", at44}, 0},
		"pacat":  {[]string{"pacat", "--file-format", at48}, 0},
		"ffmpeg": {[]string{"ffmpeg", "-nostdin", "-loglevel", "error", "-i", at48, "-f", "pulse", "-buffer_duration", "400", "material"}, 450 * time.Millisecond},
		"mpv":    {[]string{"mpv", "--no-config", "--no-video", "--really-quiet", "--ao=pulse", "--pulse-buffer=2000", at44}, 0},
	} {
		for name, u := range map[string]need.User{"owner": who.owner, "helper": who.helper, "member": who.member} {
			for transport, addr := range map[string]string{"unix": d.Unix, "tcp": d.TCP} {
				t.Run(client+"/"+name+"/"+transport, func(t *testing.T) {
					before := frames(d)
					must(t, u, addr, c.argv...)
					s := heard(t, d, before)
					if c.lost == 0 || s.Duration() < long-c.lost {
						lasts(t, s, 44100, long)
					}
					sound.Hear(t, inner(s), 0, -80, left)
					sound.Hear(t, inner(s), 1, -80, right)
				})
			}
		}
	}
	if st := d.Status(t); st.Refused.Total != 0 || st.Default().Xruns != 0 {
		t.Errorf("%d refused, %d xruns", st.Refused.Total, st.Default().Xruns)
	}
}

// TestSilence wants silence where the material has it, down to the last bit.
func TestSilence(t *testing.T) {
	d, who := start(t)
	s := sound.Sine(48000, 2, 1200*time.Millisecond, 997, -6)
	clear(s.Ch[0][19200:38400])
	clear(s.Ch[1])
	must(t, who.helper, d.Unix, "paplay", file(t, s))
	got := heard(t, d, 0)
	lasts(t, got, 48000, s.Duration())
	if spans := got.Silences(100*time.Millisecond, -80); len(spans) != 1 || spans[0].To-spans[0].From < 19200 || spans[0].To-spans[0].From > 19210 {
		t.Errorf("silent in %v of %d frames, want 19200 from 19200", spans, got.Frames())
	} else {
		sound.HearNothing(t, got.Cut(spans[0].From+10, spans[0].To-10), sound.Silence)
	}
	sound.HearNothing(t, sound.Sound{Rate: got.Rate, Ch: got.Ch[1:]}, sound.Silence)
	sound.Hear(t, got.Cut(1000, 19000), 0, -80, sound.Tone{Freq: 997, DB: -6})
	sound.Hear(t, got.Cut(39000, 57000), 0, -80, sound.Tone{Freq: 997, DB: -6})
}

// TestTogether plays as owner and as helper at once: both tones, each as loud as alone.
func TestTogether(t *testing.T) {
	d, who := start(t)
	low, high := sound.Tone{Freq: 440, DB: -12}, sound.Tone{Freq: 997, DB: -9}
	one := file(t, sound.Sine(44100, 2, 2*time.Second, low.Freq, low.DB))
	two := file(t, sound.Sine(48000, 1, 2*time.Second, high.Freq, high.DB))
	first := client(t.Context(), who.owner, d.Unix, "paplay", one)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	must(t, who.helper, d.TCP, "paplay", two)
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	s := heard(t, d, 0)
	if s.Duration() > 3*time.Second {
		t.Fatalf("%v: the two did not sound together", s.Duration())
	}
	both := s.Cut(s.Frames()/3, s.Frames()*2/3)
	for ch := range 2 {
		sound.Hear(t, both, ch, -80, low, high)
	}
}
