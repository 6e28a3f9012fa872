package clients_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// coarse is what a format that is no better leaves beside a tone of -6 dB.
var coarse = map[string]float64{"u8": -45, "alaw": -36, "ulaw": -36}

// rates are the usual ones, and both ends of what is served.
var rates = []int{4000, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000, 384000}

// TestFormats plays every sample format at a low, two usual and a high rate.
func TestFormats(t *testing.T) {
	t.Parallel()
	sweep(t, sound.Formats, []int{8000, 44100, 48000, 192000})
}

// TestRates plays every rate in the most usual formats of either byte order.
func TestRates(t *testing.T) {
	t.Parallel()
	sweep(t, []string{"s16le", "float32be"}, rates)
}

func sweep(t *testing.T, formats []string, rates []int) {
	need.Packages(t, "pulseaudio-utils")
	owner := need.NewUser(t)
	d := rig.Start(t, owner)
	left, right := sound.Tone{Freq: 997, DB: -6}, sound.Tone{Freq: 440, DB: -9}
	const long = 400 * time.Millisecond
	for _, rate := range rates {
		s := sound.Sines(rate, long, []sound.Tone{left}, []sound.Tone{right})
		for _, format := range formats {
			t.Run(fmt.Sprintf("%s/%d", format, rate), func(t *testing.T) {
				before := frames(d)
				must(t, owner, d.Unix, "pacat", "--raw", "--format="+format, fmt.Sprintf("--rate=%d", rate), "--channels=2", raw(t, s, format))
				rest, ok := coarse[format]
				if !ok {
					rest = -80
				}
				got := heard(t, d, before)
				lasts(t, got, rate, long)
				sound.Hear(t, inner(got), 0, rest, left)
				sound.Hear(t, inner(got), 1, rest, right)
			})
		}
	}
}

// raw is a file of s in a format, that everybody may read.
func raw(t *testing.T, s sound.Sound, format string) string {
	t.Helper()
	b, err := s.Encode(format)
	if err != nil {
		t.Fatal(err)
	}
	path := rig.Folder(t, need.RootUser()) + "/material"
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// gain is what a channel gives to the left and the right, in dB.
type gain struct{ left, right float64 }

const none = sound.Silence

// TestMaps plays a tone of its own in each channel of 1 to 8, and wants each where PulseAudio 16.1 has it when it plays the same file to a
// stereo sink: the gains were measured there.
func TestMaps(t *testing.T) {
	t.Parallel()
	need.Packages(t, "pulseaudio-utils")
	owner := need.NewUser(t)
	d := rig.Start(t, owner)
	const long, level = 600 * time.Millisecond, -16.0
	for _, c := range []struct {
		channels string
		gains    []gain
	}{
		{"mono", []gain{{0, 0}}},
		{"front-left,front-right", []gain{{0, none}, {none, 0}}},
		{"front-right,front-left", []gain{{none, 0}, {0, none}}},
		{"front-left,front-right,front-center", []gain{{-3.52, none}, {none, -3.52}, {-9.54, -9.54}}},
		{"front-center,front-left,front-right", []gain{{-9.54, -9.54}, {-3.52, none}, {none, -3.52}}},
		{"front-left,front-right,lfe", []gain{{0, none}, {none, 0}, {none, none}}},
		{"front-left,front-right,rear-left,rear-right", []gain{{-0.92, none}, {none, -0.92}, {-20, none}, {none, -20}}},
		{"front-left,front-right,rear-left,rear-right,front-center", []gain{{-4.14, none}, {none, -4.14}, {-23.25, none}, {none, -23.25}, {-10.17, -10.17}}},
		{"front-left,front-right,rear-left,rear-right,front-center,lfe", []gain{{-4.14, none}, {none, -4.14}, {-23.25, none}, {none, -23.25}, {-10.17, -10.17}, {none, none}}},
		{"front-left,front-right,front-center,lfe,rear-left,rear-right", []gain{{-4.14, none}, {none, -4.14}, {-10.17, -10.17}, {none, none}, {-23.25, none}, {none, -23.25}}},
		{"front-left,front-right,rear-left,rear-right,front-center,side-left,side-right",
			[]gain{{-4.14, none}, {none, -4.14}, {-29.26, none}, {none, -29.26}, {-10.17, -10.17}, {-29.26, none}, {none, -29.26}}},
		{"front-left,front-right,rear-left,rear-right,front-center,lfe,side-left,side-right",
			[]gain{{-4.14, none}, {none, -4.14}, {-29.26, none}, {none, -29.26}, {-10.17, -10.17}, {none, none}, {-29.26, none}, {none, -29.26}}},
	} {
		t.Run(c.channels, func(t *testing.T) {
			var material [][]sound.Tone
			var want [2][]sound.Tone
			for i, g := range c.gains {
				freq := 300 + 211*float64(i)
				material = append(material, []sound.Tone{{Freq: freq, DB: level}})
				for ch, dB := range []float64{g.left, g.right} {
					if dB != none {
						want[ch] = append(want[ch], sound.Tone{Freq: freq, DB: level + dB})
					}
				}
			}
			s := sound.Sines(44100, long, material...)
			before := frames(d)
			must(t, owner, d.TCP, "pacat", "--raw", "--format=s24be", "--rate=44100", fmt.Sprintf("--channels=%d", len(s.Ch)), "--channel-map="+c.channels, raw(t, s, "s24be"))
			got := heard(t, d, before)
			for ch := range want {
				sound.Hear(t, inner(got), ch, -80, want[ch]...)
			}
		})
	}
}

// TestSpecsRefused wants what lies outside of the table refused, with the daemon serving on.
func TestSpecsRefused(t *testing.T) {
	d, who := start(t)
	path := raw(t, sound.Sine(48000, 2, 100*time.Millisecond, 997, -6), "s16le")
	for _, spec := range []string{"--rate=3999", "--rate=384001", "--channels=9", "--channels=32"} {
		if out, err := run(t, who.helper, d.Unix, "pacat", "--raw", "--format=s16le", spec, path); err == nil || !strings.Contains(out, "Invalid argument") && !strings.Contains(out, "Not supported") {
			t.Errorf("%s: %v, %s", spec, err, out)
		}
	}
	must(t, who.helper, d.Unix, "pacat", "--raw", "--format=s16le", "--rate=48000", "--channels=2", path)
	lasts(t, heard(t, d, 0), 48000, 100*time.Millisecond)
}
