package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/session"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// spoken is what the microphone of these tests hears: whole periods of it fit into its file, which is played round and round.
var spoken = sound.Tone{Freq: 882, DB: -6}

// microphone starts a daemon whose microphone is a file.
func microphone(t *testing.T, args ...string) (*rig.Daemon, people) {
	t.Helper()
	return start(t, append(args, "--source", "wav:"+file(t, sound.Sine(44100, 1, time.Second, spoken.Freq, spoken.DB)))...)
}

// say has the owner open or close the helper's microphone.
func say(t *testing.T, d *rig.Daemon, who people, state memory.Access) {
	t.Helper()
	text, _ := json.Marshal(session.MicChange{UID: uint32(who.helper.UID), State: state})
	must(t, who.owner, d.Unix, "pactl", "send-message", session.ControlPath, session.MessageMic, string(text))
}

// tape is a program that records floats until it is stopped.
type tape struct {
	t              *testing.T
	rate, channels int
	mu             sync.Mutex
	b              bytes.Buffer
	ended          chan error
}

func (p *tape) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

// record starts a program that writes what it records to standard output.
func record(t *testing.T, u need.User, addr string, rate, channels int, argv ...string) *tape {
	t.Helper()
	p := &tape{t: t, rate: rate, channels: channels, ended: make(chan error, 1)}
	cmd := client(t.Context(), u, addr, argv...)
	cmd.Stdout = p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// parec records with PulseAudio's own program.
func parec(t *testing.T, u need.User, addr string, args ...string) *tape {
	return record(t, u, addr, 48000, 1, append([]string{"parec", "--raw", "--format=float32le", "--rate=48000", "--channels=1", "--latency-msec=40"}, args...)...)
}

func (p *tape) frames() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Len() / 4 / p.channels
}

// since is the next d of sound from frame from on, for which it waits.
func (p *tape) since(from int, d time.Duration) sound.Sound {
	p.t.Helper()
	n := int(d.Seconds() * float64(p.rate))
	need.Eventually(p.t, time.Minute, func() string {
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("the program ended: %v", err)
		default:
		}
		if got := p.frames() - from; got < n {
			return fmt.Sprintf("%d of %d frames came", got, n)
		}
		return ""
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := sound.Decode(p.b.Bytes(), "float32le", p.rate, p.channels)
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Cut(from, from+n)
}

// settled is the next d of sound after what is on its way already.
func (p *tape) settled(d time.Duration) sound.Sound {
	p.t.Helper()
	return p.since(p.frames()+p.rate/2, d)
}

// Closed is silence, open the tone, closed again silence, in one and the same recording.
func TestMicrophone(t *testing.T) {
	d, who := microphone(t)
	for transport, addr := range map[string]string{"unix": d.Unix, "tcp": d.TCP} {
		t.Run(transport, func(t *testing.T) {
			p := parec(t, who.helper, addr)
			sound.HearNothing(t, p.since(0, time.Second), sound.Silence)
			say(t, d, who, memory.Allow)
			sound.Hear(t, p.settled(time.Second), 0, -80, spoken)
			mic := micOf(t, d, who)
			if !mic.Open || !mic.InUse {
				t.Errorf("while it is heard status tells %+v", mic)
			}
			say(t, d, who, memory.Deny)
			sound.HearNothing(t, p.settled(time.Second), sound.Silence)
			if mic = micOf(t, d, who); mic.Open || mic.InUse || mic.LastUse == nil {
				t.Errorf("afterwards status tells %+v", mic)
			}
			s := p.since(0, time.Duration(p.frames())*time.Second/time.Duration(p.rate))
			for i, x := range s.Ch[0][1:] { // a tone of 882 Hz at half of full scale, or the ramp of 10 ms from it to silence
				if step := x - s.Ch[0][i]; step > 0.07 || step < -0.07 {
					t.Fatalf("a click at frame %d: a step of %.3f", i, step)
				}
			}
		})
	}
	list := must(t, who.helper, d.Unix, "pactl", "list", "sources")
	if n := strings.Count(list, "Source #"); n != 1 || !strings.Contains(list, "Microphone (closed)") || strings.Contains(list, "material") || strings.Contains(list, "onitor of Sink: 0") {
		t.Errorf("a helper sees %d sources:\n%s", n, list)
	}
	if out, err := run(t, who.helper, d.Unix, "parec", "--device=@DEFAULT_MONITOR@"); err == nil {
		t.Errorf("a helper records what is heard: %s", out)
	}
	if out, err := run(t, who.helper, d.Unix, "pactl", "send-message", session.ControlPath, session.MessageMic, "{}"); err == nil {
		t.Errorf("a helper may speak about microphones: %s", out)
	}
}

func micOf(t *testing.T, d *rig.Daemon, who people) session.Mic {
	t.Helper()
	for _, u := range d.Status(t).Users {
		if u.UID == uint32(who.helper.UID) && u.Mic != nil {
			return *u.Mic
		}
	}
	t.Fatal("status does not tell of the helper's microphone")
	return session.Mic{}
}

// The programs that people record with hear the tone, each in its own format and rate.
func TestRecorders(t *testing.T) {
	need.Packages(t, "alsa-utils", "libasound2-plugins", "ffmpeg", "sox", "libsox-fmt-pulse", "gstreamer1.0-tools", "gstreamer1.0-plugins-good", "gstreamer1.0-pulseaudio")
	d, who := microphone(t)
	say(t, d, who, memory.Allow)
	for program, c := range map[string]struct {
		rate, channels int
		argv           []string
	}{
		"parec 44.1 kHz":   {44100, 2, []string{"parec", "--raw", "--format=float32le", "--rate=44100", "--channels=2"}},
		"parec 8 kHz":      {8000, 1, []string{"parec", "--raw", "--format=float32le", "--rate=8000", "--channels=1", "--latency-msec=10"}},
		"arecord":          {48000, 1, []string{"arecord", "-q", "-D", "pulse", "-t", "raw", "-f", "FLOAT_LE", "-r", "48000", "-c", "1", "-"}},
		"arecord 44.1 kHz": {44100, 2, []string{"arecord", "-q", "-D", "pulse", "-t", "raw", "-f", "FLOAT_LE", "-r", "44100", "-c", "2", "--period-size=1024", "--buffer-size=8192", "-"}},
		"ffmpeg":           {48000, 2, []string{"ffmpeg", "-loglevel", "error", "-nostdin", "-f", "pulse", "-i", "default", "-f", "f32le", "-"}},
		"sox":              {48000, 1, []string{"sox", "-q", "-t", "pulseaudio", "default", "-t", "raw", "-e", "float", "-b", "32", "-r", "48000", "-c", "1", "-"}},
		"gst":              {48000, 1, []string{"gst-launch-1.0", "-q", "pulsesrc", "!", "audio/x-raw,format=F32LE,rate=48000,channels=1", "!", "fdsink", "fd=1"}},
	} {
		t.Run(program, func(t *testing.T) {
			p := record(t, who.helper, d.Unix, c.rate, c.channels, c.argv...)
			s := p.settled(time.Second)
			for ch := range s.Ch {
				sound.Hear(t, s, ch, -80, spoken)
			}
		})
	}
}

// The owner records what is heard; that opens nobody's microphone.
func TestMonitor(t *testing.T) {
	d, who := microphone(t)
	p := parec(t, who.owner, d.Unix, "--device=@DEFAULT_MONITOR@")
	sound.HearNothing(t, p.since(0, 200*time.Millisecond), sound.Silence)
	tone := sound.Tone{Freq: 997, DB: -12}
	must(t, who.helper, d.TCP, "paplay", file(t, sound.Sine(48000, 2, time.Second, tone.Freq, tone.DB)))
	s, _ := p.since(0, time.Duration(p.frames())*time.Second/48000+500*time.Millisecond).Trim(-60)
	if s.Duration() < 990*time.Millisecond || s.Duration() > 1010*time.Millisecond {
		t.Errorf("%v of a second are in the monitor", s.Duration())
	}
	sound.Hear(t, inner(s), 0, -80, tone)

	mic := parec(t, who.owner, d.Unix)
	sound.Hear(t, mic.settled(time.Second), 0, -80, spoken)
	if m := micOf(t, d, who); m.InUse || m.LastUse != nil {
		t.Errorf("the helper's microphone while the owner records: %+v", m)
	}
}

func TestNoMicrophoneByProfile(t *testing.T) {
	group := need.NewGroup(t)
	owner, helper := need.NewUser(t), need.NewUser(t, group)
	need.Packages(t, "pulseaudio-utils")
	d := rig.Start(t, owner, "--allow", helper.Name, "--mic", helper.Name+"=none", "--source", "null")
	if out := must(t, helper, d.Unix, "pactl", "list", "short", "sources"); strings.TrimSpace(out) != "" {
		t.Errorf("there are sources: %s", out)
	}
	if out, err := run(t, helper, d.Unix, "parec"); err == nil {
		t.Errorf("and they record: %s", out)
	}
}
