package clients_test

import (
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// TestPrograms has a helper play through what programs have between themselves and PulseAudio: ALSA's plug-in, sox, GStreamer, SDL 2.
func TestPrograms(t *testing.T) {
	need.Packages(t, "alsa-utils", "libasound2-plugins", "sox", "libsox-fmt-pulse", "gstreamer1.0-tools", "gstreamer1.0-plugins-good", "gstreamer1.0-pulseaudio", "mpv")
	d, who := start(t)
	left, right := sound.Tone{Freq: 997, DB: -6}, sound.Tone{Freq: 440, DB: -20}
	const long = 900 * time.Millisecond
	tones := sound.Sines(44100, long, []sound.Tone{left}, []sound.Tone{right})
	path := file(t, tones)
	for ch := range tones.Ch { // mpv ends when its clock says so, with the rest in SDL's buffer
		tones.Ch[ch] = append(tones.Ch[ch], make([]float64, tones.Rate)...)
	}
	padded := file(t, tones)

	for program, argv := range map[string][]string{
		"aplay": {"aplay", "-q", "--buffer-time=2000000", "-D", "pulse", path},
		"play":  {"env", "PULSE_LATENCY_MSEC=2000", "AUDIODRIVER=pulseaudio", "play", "-q", path},
		"sox":   {"env", "PULSE_LATENCY_MSEC=2000", "sox", "-q", path, "-t", "pulseaudio", "default"},
		"gst":   {"gst-launch-1.0", "-q", "filesrc", "location=" + path, "!", "wavparse", "!", "audioconvert", "!", "pulsesink", "buffer-time=2000000"},
		"sdl":   {"env", "SDL_AUDIODRIVER=pulseaudio", "mpv", "--no-config", "--no-video", "--really-quiet", "--ao=sdl", "--sdl-buflen=0.2", padded},
	} {
		for transport, addr := range map[string]string{"unix": d.Unix, "tcp": d.TCP} {
			t.Run(program+"/"+transport, func(t *testing.T) {
				before := frames(d)
				must(t, who.helper, addr, argv...)
				s := heard(t, d, before)
				lasts(t, s, 44100, long)
				sound.Hear(t, inner(s), 0, -80, left)
				sound.Hear(t, inner(s), 1, -80, right)
			})
		}
	}

	t.Run("speaker-test", func(t *testing.T) { // a sine of 80 % in each channel's turn
		before := frames(d)
		must(t, who.helper, d.Unix, "speaker-test", "-D", "pulse", "-r", "48000", "-c", "2", "-t", "sine", "-f", "997", "-l", "1", "-p", "20000", "-b", "2000000")
		s := heard(t, d, before)
		for ch := range 2 {
			parts := s.Parts(ch, 997)
			if len(parts) != 1 {
				t.Fatalf("channel %d: %v", ch, parts)
			}
			sound.Hear(t, inner(s.Cut(parts[0].From, parts[0].To)), ch, -80, sound.Tone{Freq: 997, DB: -1.94})
		}
	})
	if n := d.Status(t).Default().Xruns; n != 0 {
		t.Errorf("%d xruns", n)
	}
}
