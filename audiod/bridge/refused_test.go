package bridge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

// TestRefusedAtFirst plays and records at a server that has just started and has nothing to play on or record from: what it refuses is tried again when
// a device comes, and not before.
func TestRefusedAtFirst(t *testing.T) {
	quiet := func(string, ...any) {}
	d := newDesktop(t, device.Config{})
	d.mic.Sound = func(int64) float32 { return 0.5 }
	d.refuses = true
	sink := d.bridged("test")
	l := d.play(sink)
	s := d.link.NewSource("test", "a helper")
	source := mixer.NewSource(d.clock, s, t.Logf)
	s.OnChange(source.Renew)
	out, err := source.NewOutput(mixer.OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap,
		Attr: mixer.RecordAttr{MaxLength: native.Invalid, FragSize: 1 << 12}}, recorder{})
	if err != nil {
		t.Fatal(err)
	}
	out.Start()
	if ear := d.during(l, 3*time.Second); ear.frames > 0 || !strings.Contains(sink.State().Trouble, "refuses a stream") || !strings.Contains(source.State().Trouble, "no microphone") {
		t.Fatalf("%d frames were heard, %+v, %+v", ear.frames, sink.State(), source.State())
	}
	if d.link.made != 2 { // NewSink's, and one more for the first that plays
		t.Errorf("it was asked for %d streams", d.link.made)
	}
	d.refuses = false
	d.server.AddSource(mixer.NewSource(d.theirs, devicetest.NewMic(d.theirs, device.Config{}), quiet))
	d.server.AddSink(mixer.NewSink(d.theirs, devicetest.New(d.theirs, device.Config{}), quiet))
	if ear := d.during(l, time.Second); ear.frames < 40000 || sink.State().Trouble != "" || source.State().Trouble != "" {
		t.Errorf("%d frames were heard in a second, %+v, %+v", ear.frames, sink.State(), source.State())
	}
	out.Flush()
	d.during(l, time.Second)
	b := out.Fetch(nil, out.Ready()/8*8)
	samples := make([]float32, len(b)/4)
	pcm.Decode(samples, b, pcm.Float32LE)
	if len(samples) == 0 || slices.ContainsFunc(samples, func(x float32) bool { return x < 0.4 }) {
		t.Errorf("%d samples are recorded, and not all of what is said", len(samples))
	}
}
