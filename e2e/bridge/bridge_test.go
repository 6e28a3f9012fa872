// Package bridge_test has the daemon play at a real sound server of its owner's, as on a desktop, and listens to what that one plays.
package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/native"
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
	short, long := file(t, sound.Sine(44100, 2, 2*time.Second, tone.Freq, tone.DB)), file(t, sound.Sine(48000, 2, time.Minute, tone.Freq, tone.DB))

	hurry(append(peer.PIDs, d.Keeper, rig.Worker(d.Keeper))...)
	asleep := awake(t, peer, owner, "out")
	t.Run("plays", func(t *testing.T) {
		s := unstalled(t, func() sound.Sound {
			ear := listen(t, peer, owner)
			must(t, helper, d.Unix, "paplay", short)
			return ear()
		})
		if s.Duration() < 1900*time.Millisecond {
			t.Errorf("%v of 2 s were heard", s.Duration())
		}
		s = s.Cut(s.Rate/10, s.Frames()-s.Rate/10)
		sound.Hear(t, s, 0, -70, tone)
		sound.Hear(t, s, 1, -70, tone)
	})
	t.Run("is shown", func(t *testing.T) {
		defer background(t, helper, d.TCP, "paplay", long)()
		need.Eventually(t, time.Minute, func() string {
			for _, in := range inputs(t, peer, owner) {
				if in.Props["application.name"] == "paplay ("+helper.Name+")" && strings.Contains(in.Props["media.name"], "sa-tone") && !in.Corked {
					return ""
				}
			}
			return fmt.Sprintf("the server does not show what %s plays: %+v", helper.Name, inputs(t, peer, owner))
		})
	})
	t.Run("keeps time", func(t *testing.T) { keepsTime(t, peer, d, owner, helper) })
	t.Run("is turned", func(t *testing.T) { turned(t, peer, d, owner, helper, long) })
	if peer.Name == "PulseAudio" { // PipeWire 0.3.65 lets nobody end a stream, not even paplay's
		t.Run("is ended", func(t *testing.T) { ended(t, peer, d, owner, helper, long) })
	}
	over(t, d)
	t.Run("records", func(t *testing.T) { // the server's default source is its sink's monitor
		s := unstalled(t, func() sound.Sound {
			defer background(t, owner, peer.Unix, "paplay", long)()
			need.Eventually(t, time.Minute, func() string {
				if !slices.ContainsFunc(inputs(t, peer, owner), func(in stream) bool { return strings.Contains(in.Props["media.name"], "sa-tone") && !in.Corked }) {
					return "the owner's player does not play"
				}
				return ""
			})
			return record(t, helper, d.Unix, "parec", 2*time.Second)
		})
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
		need.Eventually(t, time.Minute, playing)
		asleep()
		peer.Stop()
		need.Eventually(t, time.Minute, func() string {
			if playing() == "" {
				return "without the server it plays on"
			}
			return ""
		})
		peer.Start()
		hurry(peer.PIDs...)
		need.Eventually(t, time.Minute, playing)
		ear := listen(t, peer, owner)
		need.Eventually(t, time.Minute, playing)
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

// hurry has processes come before all others, as a desktop has its sound server: they keep little ahead, and the machine may have other work.
func hurry(pids ...int) {
	for _, pid := range pids {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		for _, thread := range threads { // and those that it will start
			id, _ := strconv.Atoi(thread.Name())
			unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 5}, 0)
		}
	}
}

// awake plays silence at a sink until done is called: an idle one of PulseAudio's has played silence for seconds to come.
func awake(t *testing.T, peer *rig.Peer, owner need.User, sink string) (done func()) {
	t.Helper()
	info := func() string { // on it alone
		for _, one := range strings.Split(must(t, owner, peer.Unix, "pactl", "list", "sinks"), "Sink #") {
			if strings.Contains(one, "Name: "+sink+"\n") {
				return one
			}
		}
		return ""
	}
	need.Eventually(t, time.Minute, func() string {
		if info() == "" {
			return "there is no sink " + sink
		}
		return ""
	})
	done = background(t, owner, peer.Unix, "pacat", "--device="+sink, "--latency-msec=50", "/dev/zero")
	need.Eventually(t, time.Minute, func() string {
		var latency int
		one := info()
		if _, after, ok := strings.Cut(one, "Latency: "); !ok || !strings.Contains(one, "State: RUNNING") {
			return "the sink does not run: " + one
		} else if _, err := fmt.Sscan(after, &latency); err != nil || latency > 200000 {
			return "the sink is " + after[:20] + " ahead"
		}
		return ""
	})
	return done
}

// stream is a sink input or source output as the owner's mixer shows it.
type stream struct {
	Index  int
	Corked bool
	Mute   bool
	Volume map[string]struct {
		Percent string `json:"value_percent"`
	}
	Props map[string]string `json:"properties"`
}

func (s stream) volume() string { return s.Volume["front-left"].Percent }

// inputs is what the owner's server plays, and outputs who records there.
func inputs(t *testing.T, peer *rig.Peer, owner need.User) []stream {
	return streams(t, peer, owner, "sink-inputs")
}
func outputs(t *testing.T, peer *rig.Peer, owner need.User) []stream {
	return streams(t, peer, owner, "source-outputs")
}

func streams(t *testing.T, peer *rig.Peer, owner need.User, kind string) (all []stream) {
	t.Helper()
	out := must(t, owner, peer.Unix, "pactl", "--format=json", "list", kind)
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// ours is the stream of that user.
func ours(all []stream, user need.User) (s stream, ok bool) {
	for _, s := range all {
		if strings.Contains(s.Props["application.name"], user.Name) {
			return s, true
		}
	}
	return s, false
}

// kill ends a stream at the owner's server, as pavucontrol does; pactl cannot.
func kill(t *testing.T, peer *rig.Peer, op native.Op, s stream) {
	t.Helper()
	c, err := native.Dial(t.Context(), peer.Unix, "mixer")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(op, &native.ByIndex{Index: uint32(s.Index)}, nil); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the owner's mixer shows a stream that helper plays.
func shows(t *testing.T, peer *rig.Peer, owner, helper need.User) (in stream) {
	t.Helper()
	need.Eventually(t, time.Minute, func() (lack string) {
		var ok bool
		if in, ok = ours(inputs(t, peer, owner), helper); !ok || in.Corked {
			return fmt.Sprintf("the server's mixer shows %+v", in)
		}
		return ""
	})
	return in
}

// turned has the volume and mute of the helper's stream changed in the owner's mixer and in ours.
func turned(t *testing.T, peer *rig.Peer, d *rig.Daemon, owner, helper need.User, long string) {
	defer background(t, helper, d.Unix, "paplay", long)()
	index := strconv.Itoa(shows(t, peer, owner, helper).Index)
	device := "pulse:" + helper.Name
	both := func(volume float64, muted bool) {
		t.Helper()
		need.Eventually(t, time.Minute, func() string {
			in, _ := ours(inputs(t, peer, owner), helper)
			for _, dev := range d.Status(t).Devices {
				switch {
				case dev.Name != device:
				case math.Round(dev.Volume) == volume && dev.Muted == muted && in.volume() == fmt.Sprint(volume)+"%" && in.Mute == muted:
					return ""
				default:
					return fmt.Sprintf("the device is at %v, muted %v, the owner's mixer shows %s, muted %v; want %v, muted %v", dev.Volume, dev.Muted, in.volume(), in.Mute, volume, muted)
				}
			}
			return "the helper has no device"
		})
	}
	both(100, false)
	must(t, owner, peer.Unix, "pactl", "set-sink-input-volume", index, "40%")
	must(t, owner, peer.Unix, "pactl", "set-sink-input-mute", index, "1")
	both(40, true)
	must(t, owner, d.Unix, rig.Binary(t), "volume", "--server", d.Unix, device, "60")
	must(t, owner, d.Unix, rig.Binary(t), "mute", "--server", d.Unix, device, "off")
	both(60, false)
	must(t, owner, peer.Unix, "pactl", "set-sink-input-volume", index, "100%")
	both(100, false)
}

// over waits until the helper's last stream has gone from the daemon: at the server what it played may sound a moment longer.
func over(t *testing.T, d *rig.Daemon) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		if all := d.Status(t).Streams; len(all) > 0 {
			return fmt.Sprintf("the last player's stream is still there: %+v", all)
		}
		return ""
	})
}

// plays waits until the daemon has a stream that plays.
func plays(t *testing.T, d *rig.Daemon) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		if all := d.Status(t).Streams; len(all) != 1 || all[0].State != "playing" {
			return fmt.Sprintf("no one stream plays: %+v", all)
		}
		return ""
	})
}

// ended has the helper's streams ended in the owner's mixer, and others made in their place.
func ended(t *testing.T, peer *rig.Peer, d *rig.Daemon, owner, helper need.User, long string) {
	gone := func(kind string) {
		t.Helper()
		need.Eventually(t, time.Minute, func() string {
			if s, ok := ours(streams(t, peer, owner, kind), helper); ok {
				return fmt.Sprintf("%+v is still there", s)
			}
			return ""
		})
		time.Sleep(300 * time.Millisecond) // in which it must not come back
		if s, ok := ours(streams(t, peer, owner, kind), helper); ok {
			t.Errorf("ended by the owner, it is there again: %+v", s)
		}
	}
	over(t, d)
	done := background(t, helper, d.Unix, "paplay", long)
	plays(t, d)
	kill(t, peer, native.OpKillSinkInput, shows(t, peer, owner, helper))
	gone("sink-inputs")
	if st := d.Status(t); len(st.Streams) != 1 {
		t.Errorf("the helper's player has ended with it: %+v", st.Streams)
	}
	done()
	over(t, d)
	done = background(t, helper, d.Unix, "paplay", long)
	shows(t, peer, owner, helper)
	done()

	for range 2 {
		done = background(t, helper, d.Unix, "parec", "--raw", "--client-name=Call", "/dev/null")
		var out stream
		need.Eventually(t, time.Minute, func() (lack string) {
			var ok bool
			if out, ok = ours(outputs(t, peer, owner), helper); !ok || out.Props["application.name"] != "Call ("+helper.Name+")" {
				return fmt.Sprintf("the server's mixer shows %+v", out)
			}
			return ""
		})
		kill(t, peer, native.OpKillSourceOutput, out)
		gone("source-outputs")
		done()
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

// recording is what a recorder writes.
type recording struct {
	mu    sync.Mutex
	raw   []byte
	began time.Time // the first of it came
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.raw) == 0 {
		r.began = time.Now()
	}
	r.raw = append(r.raw, p...)
	return len(p), nil
}

// lacks is what is missing of all that sounded until then; before the first sound that is everything.
func (r *recording) lacks(until time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := time.Duration(len(r.raw)/4) * time.Second / 48000
	if len(r.raw) == 0 || has < until.Sub(r.began) {
		return fmt.Sprintf("%v are recorded of %v", has, until.Sub(r.began))
	}
	return ""
}

// listen records what the server's sink plays until ear is called, which returns it without the silence around.
func listen(t *testing.T, peer *rig.Peer, owner need.User) (ear func() sound.Sound) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := client(ctx, owner, peer.Unix, "parec", "-d", "out.monitor", "--raw", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=50")
	r := new(recording)
	cmd.Stdout = r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	need.Eventually(t, time.Minute, func() string { return r.lacks(time.Time{}) })
	return func() sound.Sound {
		const onItsWay = 200 * time.Millisecond // from the sink to parec, and from there to here
		until := time.Now().Add(onItsWay)
		need.Eventually(t, time.Minute, func() string { return r.lacks(until) })
		stop()
		cmd.Wait()
		return decode(t, r.raw)
	}
}

// record is so much of what a client hears of its microphone.
func record(t *testing.T, u need.User, addr, name string, d time.Duration) sound.Sound {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := client(ctx, u, addr, name, "--raw", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=50")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 4*48000*d/time.Second)
	_, err = io.ReadFull(out, raw)
	stop()
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, raw)
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
