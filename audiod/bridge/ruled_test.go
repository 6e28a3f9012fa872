package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// call is what another program of the owner's, his mixer, asks of the server or has it do.
func (d *desktop) call(op native.Op, m, reply native.Message) {
	d.t.Helper()
	s := d.server.Open(policy.Peer{UID: 1000}, policy.Owner, func() error { return nil }, func() {})
	defer s.Close()
	packets := native.AppendPacket(nil, native.Version, native.OpAuth, 1, &native.Auth{Version: native.Version, Cookie: make([]byte, native.CookieSize)})
	packets = native.AppendPacket(packets, native.Version, native.OpSetClientName, 2, &native.SetClientName{Props: native.Text("application.name", "mixer")})
	packets = native.AppendPacket(packets, native.Version, op, 3, m)
	if err := s.Feed(packets); err != nil {
		d.t.Fatal(err)
	}
	for out := s.Outbox(); len(out) > 0; {
		h, err := native.ParseHeader(out)
		if err != nil {
			d.t.Fatal(err)
		}
		got, tag, fields, err := native.ParseControl(out[native.HeaderSize:][:h.Length])
		if out = out[native.HeaderSize+h.Length:]; err != nil || tag != 3 {
			continue
		}
		if got != native.OpReply {
			d.t.Fatalf("%v is answered with %v", op, got)
		}
		if err := native.Decode(fields, native.Version, reply); err != nil {
			d.t.Fatal(err)
		}
		return
	}
	d.t.Fatalf("%v is not answered", op)
}

// shown is the one stream that the owner's mixer shows; ok is false when there is none.
func (d *desktop) shown() (info native.SinkInputInfo, ok bool) {
	d.t.Helper()
	var list native.SinkInputInfoList
	if d.call(native.OpGetSinkInputInfoList, nil, &list); len(list) == 0 {
		return info, false
	}
	return list[0], true
}

// bridged is a sink of the mixer's that plays at d.
func (d *desktop) bridged(name string) *mixer.Sink {
	s := d.link.NewSink(name, "a helper")
	sink := mixer.NewSink(d.clock, s, d.t.Logf)
	s.OnChange(sink.Renew)
	s.OnResize(sink.Resize)
	d.t.Cleanup(sink.Close)
	d.pass(50*time.Millisecond, time.Millisecond)
	return sink
}

// during plays for a while and returns what is heard of it.
func (d *desktop) during(l *listener, t time.Duration, cards ...*devicetest.Card) *heard {
	ear := &heard{last: -1}
	for range t / (5 * time.Millisecond) {
		l.feed()
		d.pass(5*time.Millisecond, time.Millisecond)
		for _, card := range append(cards, d.card) {
			ear.listen(card.Heard())
		}
	}
	return ear
}

// A stream that the owner ended is silent as long as it plays, and another is made for what plays next.
func TestKilled(t *testing.T) {
	d := newDesktop(t, device.Config{})
	sink := d.bridged("test")
	l := d.play(sink)
	if ear := d.during(l, time.Second); ear.frames < 40000 {
		t.Fatalf("%d frames were heard in a second", ear.frames)
	}
	info, _ := d.shown()
	d.call(native.OpKillSinkInput, &native.ByIndex{Index: info.Index}, nil)
	d.during(l, 100*time.Millisecond)
	before := l.at
	if ear := d.during(l, time.Second); ear.frames > 0 || l.at-before < 40000 {
		t.Errorf("after the stream was ended %d frames were heard, and %d taken", ear.frames, l.at-before)
	}
	if _, ok := d.shown(); ok || sink.State().Trouble == "" {
		t.Errorf("a stream is shown: %v, trouble %q", ok, sink.State().Trouble)
	}
	l.in.Cork(true)
	l.in.Cork(false) // it begins anew, before what was played into silence is over
	if ear := d.during(l, time.Second); ear.frames < 40000 {
		t.Errorf("%d frames were heard in the second after it began anew; %+v", ear.frames, sink.State())
	}
	info, _ = d.shown()
	l.in.Cork(true)
	d.during(l, 10*time.Second)
	d.call(native.OpKillSinkInput, &native.ByIndex{Index: info.Index}, nil) // while nothing plays
	d.during(l, time.Second)
	l.in.Cork(false)
	if ear := d.during(l, time.Second); ear.frames < 40000 {
		t.Errorf("%d frames were heard in the second after it began once more; %+v", ear.frames, sink.State())
	}
}

type recorder struct{}

func (recorder) Captured() {}

// A recording that the owner ended hears silence, and another is made for the next.
func TestRecordingKilled(t *testing.T) {
	d := newDesktop(t, device.Config{})
	d.mic.Sound = func(int64) float32 { return 0.5 }
	s := d.link.NewSource("test", "a helper")
	source := mixer.NewSource(d.clock, s, t.Logf)
	s.OnChange(source.Renew)
	d.pass(50*time.Millisecond, time.Millisecond)
	opts := mixer.OutputOptions{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Attr: mixer.RecordAttr{MaxLength: native.Invalid, FragSize: 1 << 12}}
	out, err := source.NewOutput(opts, recorder{})
	if err != nil {
		t.Fatal(err)
	}
	out.Start()
	loud := func() bool {
		out.Flush()
		d.pass(500*time.Millisecond, time.Millisecond)
		b := out.Fetch(nil, out.Ready()/8*8)
		samples := make([]float32, len(b)/4)
		pcm.Decode(samples, b, pcm.Float32LE)
		return slices.ContainsFunc(samples, func(x float32) bool { return x > 0.4 })
	}
	if !loud() || !loud() || !loud() {
		t.Fatal("the microphone is not heard")
	}
	var list native.SourceOutputInfoList
	d.call(native.OpGetSourceOutputInfoList, nil, &list)
	d.call(native.OpKillSourceOutput, &native.ByIndex{Index: list[0].Index}, nil)
	d.pass(200*time.Millisecond, time.Millisecond)
	if loud() || loud() || loud() {
		t.Error("it is heard on")
	}
	if st := source.State(); st.Trouble == "" {
		t.Errorf("%+v", st)
	}
	out.Cork(true)
	out.Cork(false)
	if !loud() {
		t.Errorf("it is not heard in the next recording: %+v", source.State())
	}
	d.cut() // and the server's leaving is no reason to stay deaf
	d.pass(time.Second, time.Millisecond)
	d.connect()
	if d.pass(100*time.Millisecond, time.Millisecond); !loud() {
		t.Errorf("it is not heard after the server came back: %+v", source.State())
	}
}

// The volume of our stream and that of our sink are one knob, which both sides turn.
func TestVolumeIsFollowed(t *testing.T) {
	d := newDesktop(t, device.Config{})
	sink := d.bridged("test")
	changes := 0
	sink.OnChange(func() { changes++ })
	l := d.play(sink)
	d.during(l, 200*time.Millisecond)
	percent := func() string {
		volume, muted := sink.Volume()
		info, _ := d.shown()
		return fmt.Sprint(volume, muted, info.Volume, info.Muted)
	}
	half := pcm.VolumeNorm / 2
	want := func(what string, volume []pcm.Volume, muted bool) {
		t.Helper()
		d.during(l, 300*time.Millisecond)
		if got, want := percent(), fmt.Sprint(volume, muted, volume, muted); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	info, _ := d.shown()
	d.call(native.OpSetSinkInputVolume, &native.SetVolume{Index: info.Index, Volume: native.CVolume{half, half / 2}}, nil)
	want("turned there", []pcm.Volume{half, half / 2}, false)
	if changes != 1 {
		t.Errorf("turned once, told of %d times", changes)
	}
	d.call(native.OpSetSinkInputMute, &native.SetMute{Index: info.Index, Muted: true}, nil)
	want("muted there", []pcm.Volume{half, half / 2}, true)
	if ear := d.during(l, 200*time.Millisecond); slices.ContainsFunc(d.card.Heard(), func(x float32) bool { return x != 0 }) {
		t.Errorf("muted, it is heard: %d frames", ear.frames)
	}
	sink.SetMuted(false)
	for v := pcm.VolumeNorm; v >= half; v -= 1000 { // overtakes the answers
		sink.SetVolume([]pcm.Volume{v})
	}
	sink.SetVolume([]pcm.Volume{half})
	changes = 0
	want("turned here", []pcm.Volume{half, half}, false)
	if changes != 0 {
		t.Errorf("turned here, and told of as if it had been there, %d times", changes)
	}
	if heard := d.card.Heard(); len(heard) > 0 {
		t.Fatalf("%d samples were not looked at", len(heard))
	}
	d.pass(100*time.Millisecond, time.Millisecond)
	if p := pcm.Peak(d.card.Heard()); p < 0.9*1000/8/32768 || p > 1.1*1480/8/32768 {
		t.Errorf("at half the volume, an eighth of the amplitude, it peaks at %v", p*32768)
	}

	// What the server remembers of a stream stands when that is made anew; another helper's is another matter.
	d.cut()
	sink.SetVolume([]pcm.Volume{pcm.VolumeNorm})
	d.connect()
	want("remembered there", []pcm.Volume{half, half}, false)
	other := d.bridged("other")
	if volume, _ := other.Volume(); volume[0] != pcm.VolumeNorm {
		t.Errorf("another helper's begins at %v", volume)
	}
}

// Nothing is lost where the owner moves the stream to another card, and the programs are told that this one needs more.
func TestMoved(t *testing.T) {
	d := newDesktop(t, device.Config{})
	slow := devicetest.New(d.theirs, device.Config{Margin: 9600, Buffer: 48000})
	d.server.AddSink(mixer.NewSink(d.theirs, slow, func(string, ...any) {}))
	sink := d.bridged("test")
	l := d.play(sink)
	heard := 0
	play := func(t time.Duration) {
		for range t / (5 * time.Millisecond) {
			l.feed()
			d.pass(5*time.Millisecond, time.Millisecond)
			for _, card := range []*devicetest.Card{d.card, slow} {
				for i, x := range card.Heard() {
					if i%2 == 0 && x != 0 {
						heard++
					}
				}
			}
		}
	}
	play(2 * time.Second)
	_, before := l.in.Attr()
	for _, to := range []uint32{1, 0, 1} {
		info, _ := d.shown()
		d.call(native.OpMoveSinkInput, &native.MoveStream{Index: info.Index, DeviceIndex: to}, nil)
		play(2 * time.Second)
	}
	_, after := l.in.Attr()
	if after <= 240*time.Millisecond || after > 400*time.Millisecond {
		t.Errorf("at a card that wants 240 ms ahead the latency is %v, before it was %v", after, before)
	}
	l.wants = -1 << 30 // nothing more is written
	play(5 * time.Second)
	if over := heard - l.at; over < -100 || over > 3*500 { // with each move 10 ms are heard at both cards, softly
		t.Errorf("of %d frames %d were heard", l.at, heard)
	}
	t.Logf("latency %v, after the move %v; of %d frames %d were heard; %+v", before, after, l.at, heard, sink.State())
}

// A server whose device sleeps for a while holds the stream, and goes on with it where it was.
func TestSuspended(t *testing.T) {
	d := newDesktop(t, device.Config{})
	sink := d.bridged("test")
	l := d.play(sink)
	for range 7 { // the longer by 7 ms each time, so that it wakes at any time of the mixer's
		if ear := d.during(l, time.Second); ear.frames < 45000 || len(ear.breaks) > 0 {
			t.Errorf("%d frames were heard in a second, breaks: %.3q", ear.frames, ear.breaks)
		}
		d.call(native.OpSuspendSink, &native.SuspendDevice{Index: 0, Suspend: true}, nil)
		before := l.at
		if ear := d.during(l, time.Second); ear.frames > 0 || l.at-before > 24000 { // it asks for much at a time
			t.Errorf("asleep, %d frames were heard and %d taken", ear.frames, l.at-before)
		}
		d.pass(7*time.Millisecond, time.Millisecond)
		d.call(native.OpSuspendSink, &native.SuspendDevice{Index: 0, Suspend: false}, nil)
	}
	if n := sink.State().Xruns; n > 0 {
		t.Errorf("%d xruns", n)
	}
}

// PipeWire says first that a stream's volume is 0, which would silence its first 70 ms, and then what it is, which may well be 0.
func TestVolumeIsNotKnownYet(t *testing.T) {
	for server, first := range map[string]bool{"pulseaudio": true, "PulseAudio (on PipeWire 0.3.65)": false} {
		d := newDesktop(t, device.Config{})
		d.link.server.Name = server
		v := newLevel(d.link, false)
		answer := func() {
			info := native.SinkInputInfo{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Volume: native.CVolume{0, 0}}
			_, _, fields, err := native.ParseControl(native.AppendPacket(nil, native.Version, native.OpReply, 1, &info)[native.HeaderSize:])
			v.looked(fields, err)
		}
		ready := false
		v.begin(7, func() { ready = true })
		answer()
		if _, _, known := v.Volume(); known != first || !ready {
			t.Errorf("%s: after its first word the volume is known: %v, the stream ready: %v", server, known, ready)
		}
		v.look()
		answer()
		if gain, _, known := v.Volume(); !known || gain[0] != 0 {
			t.Errorf("%s: after its second word the volume is %v", server, gain)
		}
	}
}
