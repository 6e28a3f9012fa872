// Package quality_test plays the same sound at the daemon and at a real PulseAudio, records what each makes of it from the sink's monitor, and
// compares: how loud each channel comes out where, and what is left beside a tone whose rate was converted.
package quality_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
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

// server is where sound is played, by its owner.
type server struct {
	name, addr, sink, monitor string
	owner                     need.User
}

func pulseAudio(t *testing.T, owner need.User) server {
	peer := rig.PulseAudio(t, owner)
	s := server{peer.Name, peer.Unix, "fine", "fine.monitor", owner}
	s.run(t, "pactl", "load-module", "module-null-sink", "sink_name=fine", "format=float32le", "rate=48000", "channels=2")
	return s
}

func ours(t *testing.T, owner need.User, args ...string) server {
	d := rig.Start(t, owner, args...)
	return server{strings.Join(append([]string{"daemon"}, args...), " "), d.Unix, "@DEFAULT_SINK@", "@DEFAULT_MONITOR@", owner}
}

func (s server) command(t *testing.T, argv ...string) *exec.Cmd {
	return s.owner.Command(t.Context(), []string{"PULSE_SERVER=" + s.addr, "PULSE_CLIENTCONFIG=/dev/null"}, argv[0], argv[1:]...)
}

func (s server) run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := s.command(t, argv...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// longestStall is how long a machine may stand still while sound goes through three of its processes, none of which is told of that.
const longestStall = 50 * time.Millisecond

// hear plays what at a sink that mixes at 48 kHz in stereo, and returns one second of what a client records of it in the channels of
// heardMap; none, and t has failed, where that is not to be had.
func (s server) hear(t *testing.T, what sound.Sound, playedMap, heardMap string) (none sound.Sound) {
	t.Helper()
	channels := strings.Count(heardMap, ",") + 1
	format := func(rate int, channelMap, latency string) []string {
		return []string{"--raw", "--format=float32le", fmt.Sprintf("--rate=%d", rate), fmt.Sprintf("--channels=%d", strings.Count(channelMap, ",")+1),
			"--channel-map=" + channelMap, "--latency-msec=" + latency}
	}
	ear := s.command(t, append([]string{"parec", "-d", s.monitor}, format(48000, heardMap, "100")...)...)
	raw, err := ear.StdoutPipe()
	if err != nil {
		t.Error(err)
		return none
	}
	player := s.command(t, append([]string{"pacat", "-d", s.sink}, format(what.Rate, playedMap, "2000")...)...) // ahead of a machine that stands still
	b, err := what.Encode("float32le")
	if err != nil {
		t.Error(err)
		return none
	}
	player.Stdin = bytes.NewReader(b)
	var heard []byte
	piece := make([]byte, 4*channels*4800) // a tenth of a second
	for _, cmd := range []*exec.Cmd{ear, player} {
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return none
		}
		defer func() {
			cmd.Process.Kill()
			if cmd.Wait(); said.Len() > 0 {
				t.Logf("%s: %s", cmd.Args[0], said.String())
			}
		}()
		if cmd == ear { // it hears before anything plays
			late := time.AfterFunc(time.Minute, func() { ear.Process.Kill() })
			defer late.Stop()
			io.ReadFull(raw, piece) // what is wrong is told by the next
		}
	}
	for {
		if _, err := io.ReadFull(raw, piece); err != nil {
			t.Errorf("%s: no more than %d bytes were heard: %v", s.name, len(heard), err)
			return none
		}
		heard = append(heard, piece...)
		all, err := sound.Decode(heard, "float32le", 48000, channels)
		if err != nil {
			t.Error(err)
			return none
		}
		if loud, _ := all.Trim(-60); loud.Frames() >= 48000+9600 {
			return loud.Cut(4800, 4800+48000)
		}
	}
}

// level is the level in dB of a tone whose frequency is a whole number, in a second of sound; and of all that is not it.
func level(x []float64, hz float64) (tone, rest float64) {
	var sin, cos, mean, power float64
	n := float64(len(x))
	at := func(i int) (s, c float64) { return math.Sincos(2 * math.Pi * hz * float64(i) / n) }
	for i, v := range x {
		s, c := at(i)
		sin, cos, mean = sin+v*s*2/n, cos+v*c*2/n, mean+v/n
	}
	for i, v := range x {
		s, c := at(i)
		e := v - sin*s - cos*c - mean
		power += e * e * 2 / n
	}
	return 20 * math.Log10(math.Hypot(sin, cos)+1e-10), 10 * math.Log10(power+1e-20)
}

// Every channel of a stream comes out of every channel of the sink, and every channel of the sink in every channel of a recording, as loud as
// with PulseAudio.
func TestChannelsAreAsLoudAsPulseAudios(t *testing.T) {
	need.Root(t)
	owner := need.NewUser(t)
	servers := []server{pulseAudio(t, owner), ours(t, owner)}
	const stereo = "front-left,front-right"
	for _, other := range []string{"mono", "front-left,front-right,lfe", "front-left,front-right,rear-left,rear-right",
		"front-left,front-right,rear-left,rear-right,front-center,lfe", "front-left,front-right,rear-left,rear-right,front-center,lfe,side-left,side-right"} {
		for _, maps := range [][2]string{{other, stereo}, {stereo, other}} {
			var what sound.Sound
			var tones []float64
			for i := range strings.Count(maps[0], ",") + 1 {
				tones = append(tones, float64(301+200*i))
				what.Rate, what.Ch = 48000, append(what.Ch, sound.Sine(48000, 1, 3*time.Second, tones[i], -20).Ch[0])
			}
			var heard [2]sound.Sound
			need.Unstalled(t, longestStall, func() {
				var both sync.WaitGroup
				for i, s := range servers {
					both.Go(func() { heard[i] = s.hear(t, what, maps[0], maps[1]) })
				}
				both.Wait()
			})
			if t.Failed() {
				return
			}
			for o := range heard[0].Ch {
				for i, hz := range tones {
					theirs, _ := level(heard[0].Ch[o], hz)
					own, _ := level(heard[1].Ch[o], hz)
					if math.Abs(max(theirs, -100)-max(own, -100)) > 0.02 {
						t.Errorf("%s > %s: channel %d is %.2f dB in channel %d, with PulseAudio %.2f dB", maps[0], maps[1], i, own+20, o, theirs+20)
					}
				}
			}
		}
	}
}

// What is left beside tones that come at 44.1 kHz, out of the whole daemon: no more than each resampler promises.
func TestResamplersOfTheWholeDaemon(t *testing.T) {
	need.Root(t)
	owner := need.NewUser(t)
	for _, c := range []struct {
		server
		most float64
	}{{pulseAudio(t, owner), -50}, {ours(t, owner), -110}, {ours(t, owner, "--resampler", "best"), -130}} {
		var figures []string
		for _, hz := range []float64{997, 10007, 18011} {
			var heard sound.Sound
			need.Unstalled(t, longestStall, func() {
				heard = c.hear(t, sound.Sine(44100, 2, 3*time.Second, hz, -1), "front-left,front-right", "front-left,front-right")
			})
			if t.Failed() {
				return
			}
			tone, rest := level(heard.Ch[0], hz)
			figures = append(figures, fmt.Sprintf("%.0f Hz %+.3f dB, %.1f dB beside it", hz, tone+1, rest-tone))
			if rest-tone > c.most || c.most < -100 && math.Abs(tone+1) > 0.001 {
				t.Errorf("%s: %.0f Hz are %.4f dB with %.1f dB beside it, where %v are wanted", c.name, hz, tone, rest-tone, c.most)
			}
		}
		t.Logf("%s, 44.1 to 48 kHz: %s", c.name, strings.Join(figures, "; "))
	}
}

// A tone of a third of a step of 16 bits is in the WAV file that the daemon plays into with --dither, and only with it.
func TestDitherOfTheWholeDaemon(t *testing.T) {
	need.Root(t)
	owner := need.NewUser(t)
	for _, c := range []struct {
		args []string
		want func(tone, rest float64) bool
		text string
	}{{nil, func(tone, rest float64) bool { return tone < -150 && rest < -150 }, "silence"},
		{[]string{"--dither", "--resampler", "best"}, func(tone, rest float64) bool { return math.Abs(tone+100) < 1 && math.Abs(rest+93.3) < 0.3 }, "-100 dB over -93.3"}} {
		d := rig.Start(t, owner, c.args...)
		if told := d.Status(t).Default(); told.Dither != (c.args != nil) || (told.Resampler == "best") != (c.args != nil) {
			t.Errorf("daemon %v says of itself: resampler %q, dither %v", c.args, told.Resampler, told.Dither)
		}
		s := server{addr: d.Unix, owner: owner}
		what := sound.Sine(48000, 2, 2*time.Second, 997, -100)
		for ch := range what.Ch { // so that its ends are found
			what.Ch[ch][0], what.Ch[ch][what.Frames()-1] = 0.5, 0.5
		}
		b, err := what.Encode("float32le")
		if err != nil {
			t.Fatal(err)
		}
		player := s.command(t, "pacat", "--raw", "--format=float32le", "--rate=48000", "--channels=2")
		player.Stdin = bytes.NewReader(b)
		if out, err := player.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		heard, _ := d.Heard(t).Trim(-20)
		if heard.Frames() != what.Frames() {
			t.Fatalf("%d frames of %d were played", heard.Frames(), what.Frames())
		}
		if tone, rest := level(heard.Cut(24000, 72000).Ch[0], 997); !c.want(tone, rest) {
			t.Errorf("%v: the tone is at %.2f dB, over %.2f dB; want %s", c.args, tone, rest, c.text)
		}
	}
}
