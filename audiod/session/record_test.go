package session

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// micRig is a rig with a microphone that hears a tone, and a wall's clock moved along with the other.
type micRig struct {
	*rig
	mic    *devicetest.Mic
	source *mixer.Source
	begin  time.Time
	said   []string
}

const (
	micTone  = 440.
	micLevel = 0.5
)

func newMicRig(t *testing.T, c device.Config) *micRig {
	r := &micRig{rig: newRig(t), begin: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.server.now = func() time.Time { return r.begin.Add(r.clock.Now()) }
	r.server.log = func(format string, args ...any) { r.said = append(r.said, fmt.Sprintf(format, args...)) }
	r.mic = devicetest.NewMic(r.clock, c)
	rate := 48000.
	if c.Rate != 0 {
		rate = float64(c.Rate)
	}
	r.mic.Sound = func(n int64) float32 { return float32(micLevel * math.Sin(2*math.Pi*micTone*float64(n)/rate)) }
	r.source = mixer.NewSource(r.clock, r.mic, t.Logf)
	r.server.AddSource(r.source)
	return r
}

func recordingRequest() *native.CreateRecordStream {
	return &native.CreateRecordStream{Spec: pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 48000}, Map: pcm.MonoMap, SourceIndex: native.Invalid,
		Attr: native.RecordAttr{MaxLength: native.Invalid, FragSize: 4 * 480}, AdjustLatency: true, DirectOnInput: native.Invalid, Volume: native.NormVolume(1),
		Props: native.Text("media.name", "voice")}
}

func (c *client) record(m *native.CreateRecordStream) native.CreateRecordStreamReply {
	c.t.Helper()
	var reply native.CreateRecordStreamReply
	c.must(native.OpCreateRecordStream, m, &reply)
	return reply
}

// hears lets d pass, in which the client reads all the time, and returns what it has recorded on the channel.
func (r *rig) hears(c *client, channel uint32, d time.Duration) []float32 {
	for len(c.s.Outbox()) > 0 {
		c.take(native.Invalid)
	}
	c.heard[channel] = nil
	for range d / (10 * time.Millisecond) {
		r.clock.Advance(10 * time.Millisecond)
		c.take(native.Invalid)
	}
	h := make([]float32, len(c.heard[channel])/4)
	pcm.Decode(h, c.heard[channel], pcm.Float32LE)
	return h
}

// amplitude is that of the best-fitting sine of micTone at 48 kHz.
func amplitude(h []float32) float64 {
	var a, b float64
	for i, x := range h {
		s, c := math.Sincos(2 * math.Pi * micTone * float64(i) / 48000)
		a, b = a+float64(x)*s, b+float64(x)*c
	}
	return 2 * math.Hypot(a, b) / float64(len(h))
}

func isTone(h []float32) bool {
	return len(h) > 0 && math.Abs(amplitude(h[:len(h)/2400*2400])/micLevel-1) < 0.02
}
func isSilence(h []float32) bool {
	return !slices.ContainsFunc(h, func(x float32) bool { return x != 0 })
}

// wantReal checks that d of sound came, give or take a fragment or two.
func wantReal(t *testing.T, h []float32, d time.Duration) {
	t.Helper()
	if want := int(d.Seconds() * 48000); len(h) < want-2*960 || len(h) > want+2*960 {
		t.Errorf("%d frames in %v", len(h), d)
	}
}

// say has the owner send a message about a helper's microphone.
func (r *micRig) say(owner *client, state memory.Access, seconds float64) {
	r.t.Helper()
	text, _ := json.Marshal(MicChange{UID: helperUID, State: state, ForSeconds: seconds})
	owner.must(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageMic, Parameters: string(text)}, new(native.SendObjectMessageReply))
}

func (r *micRig) helperMic(owner *client) Mic {
	r.t.Helper()
	var reply native.SendObjectMessageReply
	owner.must(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageStatus}, &reply)
	var st Status
	if err := json.Unmarshal([]byte(reply.Response), &st); err != nil {
		r.t.Fatal(err)
	}
	for _, u := range st.Users {
		if u.UID == helperUID {
			return *u.Mic
		}
	}
	r.t.Fatalf("no helper in %s", reply.Response)
	return Mic{}
}

func TestEveryVersionRecords(t *testing.T) {
	for version := uint32(native.MinVersion); version <= native.Version; version++ {
		r := newMicRig(t, device.Config{})
		r.server.Microphone(helperUID, memory.Allow)
		c := r.connect(helperUID, policy.Playback, version)
		request := recordingRequest()
		request.VariableRate = true
		reply := c.record(request)
		if reply.Spec != request.Spec || reply.SourceName != microphoneName || reply.Attr.FragSize != 4*480 {
			t.Fatalf("version %d: %+v", version, reply)
		}
		h := r.hears(c, reply.Channel, time.Second)
		wantReal(t, h, time.Second)
		if !isTone(h[4800:]) {
			t.Errorf("version %d: the tone is at %.3f", version, amplitude(h))
		}
		if c.pieces > 4*480 {
			t.Errorf("version %d: pieces of %d bytes", version, c.pieces)
		}
		var latency native.RecordLatency
		c.must(native.OpGetRecordLatency, &native.GetLatency{Channel: reply.Channel, Time: native.Timeval{Sec: 7, Usec: 8}}, &latency)
		if !latency.Recording || latency.ClientTime != (native.Timeval{Sec: 7, Usec: 8}) || latency.WriteIndex != int64(4*len(h)) || latency.ReadIndex != latency.WriteIndex {
			t.Errorf("version %d: %+v", version, latency)
		}
		for op, m := range map[native.Op]native.Message{native.OpGetSourceInfoList: new(native.SourceInfoList), native.OpGetSourceOutputInfoList: new(native.SourceOutputInfoList),
			native.OpGetServerInfo: new(native.ServerInfo)} {
			c.must(op, nil, m)
		}
		var attr native.RecordBufferAttrReply
		c.must(native.OpSetRecordStreamBufferAttr, &native.SetRecordBufferAttr{Channel: reply.Channel, Attr: native.RecordAttr{MaxLength: 8000, FragSize: 4000}}, &attr)
		if attr.Attr != (native.RecordAttr{MaxLength: 8000, FragSize: 4000}) {
			t.Errorf("version %d: %+v", version, attr)
		}
		c.must(native.OpUpdateRecordStreamSampleRate, &native.UpdateRate{Channel: reply.Channel, Rate: 44100}, nil)
		fixed := c.record(recordingRequest()).Channel
		if err := c.call(native.OpUpdateRecordStreamSampleRate, &native.UpdateRate{Channel: fixed, Rate: 44100}, nil); err != native.ErrBadState {
			t.Errorf("version %d: another rate for a stream of fixed rate: %v", version, err)
		}
		c.must(native.OpDeleteRecordStream, &native.ByIndex{Index: fixed}, nil)
		c.must(native.OpSetRecordStreamName, &native.SetStreamName{Channel: reply.Channel, Name: "other"}, nil)
		c.must(native.OpFlushRecordStream, &native.ByIndex{Index: reply.Channel}, nil)
		c.must(native.OpCorkRecordStream, &native.Cork{Channel: reply.Channel, Corked: true}, nil)
		if h := r.hears(c, reply.Channel, 100*time.Millisecond); len(h) != 0 || r.mic.IsOpen() {
			t.Errorf("version %d: corked, and %d frames came; the microphone is open: %v", version, len(h), r.mic.IsOpen())
		}
		c.must(native.OpDeleteRecordStream, &native.ByIndex{Index: reply.Channel}, nil)
		if err := c.call(native.OpFlushRecordStream, &native.ByIndex{Index: reply.Channel}, nil); err != native.ErrNoEntity {
			t.Errorf("version %d: flush of a deleted stream: %v", version, err)
		}
	}
}

// Deny, allow and deny again while a program records: silence, the tone, silence, in real time and with no word to the program.
func TestMicrophoneOpensAndCloses(t *testing.T) {
	for _, c := range []device.Config{{}, {Rate: 44100, Channels: pcm.MonoMap}} {
		r := newMicRig(t, c)
		owner := r.connect(ownerUID, policy.Owner, 35)
		helper := r.connect(helperUID, policy.Playback, 35)
		helper.must(native.OpSubscribe, &native.Subscribe{Mask: native.MaskAll}, nil)
		s := helper.record(recordingRequest())
		step := func(what string, d time.Duration) []float32 {
			t.Helper()
			h := r.hears(helper, s.Channel, d)
			wantReal(t, h, d)
			return h
		}
		if h := step("closed", time.Second); !isSilence(h) || r.mic.Opens() != 0 {
			t.Fatal("a closed microphone is heard, or was opened")
		}
		if m := r.helperMic(owner); m.State != memory.Deny || m.Open || m.InUse || m.LastUse != nil {
			t.Errorf("%+v", m)
		}
		r.say(owner, memory.Allow, 0)
		if h := step("open", time.Second); !isTone(h[4800:]) {
			t.Errorf("open, the tone is at %.3f", amplitude(h))
		}
		if m := r.helperMic(owner); m.State != memory.Allow || !m.Open || !m.InUse {
			t.Errorf("%+v", m)
		}
		r.say(owner, memory.Deny, 0)
		if r.mic.IsOpen() {
			t.Error("denied, and the hardware is open")
		}
		if h := step("closed again", time.Second); !isSilence(h[2400:]) {
			t.Error("denied, and heard")
		}
		if m := r.helperMic(owner); m.InUse || m.LastUse == nil || !m.LastUse.Equal(r.begin.Add(r.clock.Now()-time.Second)) {
			t.Errorf("%+v", m)
		}
		r.say(owner, memory.Allow, 100)
		if h := step("for a while", time.Second); !isTone(h[4800:]) {
			t.Errorf("open for a while, the tone is at %.3f", amplitude(h))
		}
		if m := r.helperMic(owner); m.Until == nil || !m.Until.Equal(r.begin.Add(r.clock.Now()-time.Second+100*time.Second)) {
			t.Errorf("%+v", m)
		}
		r.clock.Advance(97 * time.Second)
		if h := step("a second before the end", time.Second); !isTone(h) {
			t.Error("a second before the end it is closed")
		}
		r.clock.Advance(time.Second)
		if h := step("after the end", time.Second); !isSilence(h) || r.mic.IsOpen() {
			t.Error("after the end it is open")
		}
		for _, e := range helper.events {
			if e.op != native.OpSubscribeEvent {
				t.Errorf("the program was told %v", e.op)
			}
		}
		if len(r.said) != 1 || !strings.Contains(r.said[0], "hears the microphone") { // not each time within a minute
			t.Errorf("the log: %q", r.said)
		}
	}
}

func TestAsking(t *testing.T) {
	r := newMicRig(t, device.Config{})
	type asked struct {
		q      Question
		answer func(Answer)
	}
	var questions []asked
	r.server.AskWith(func(q Question, answer func(Answer)) { questions = append(questions, asked{q, answer}) })
	r.server.Microphone(helperUID, memory.Ask)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	m := recordingRequest()
	m.Corked = true
	s := helper.record(m)
	if len(questions) != 0 {
		t.Fatal("the owner was asked for a corked stream")
	}
	uncork := func() {
		helper.must(native.OpCorkRecordStream, &native.Cork{Channel: s.Channel, Corked: true}, nil)
		helper.must(native.OpCorkRecordStream, &native.Cork{Channel: s.Channel}, nil)
	}
	uncork()
	uncork()
	other := helper.record(recordingRequest())
	if len(questions) != 1 || questions[0].q.UID != helperUID {
		t.Fatalf("%d questions: %+v", len(questions), questions)
	}
	if h := r.hears(helper, s.Channel, time.Second); !isSilence(h) || len(h) == 0 || !r.helperMic(owner).Asking {
		t.Error("while the owner is asked there is no silence")
	}
	questions[0].answer(Answer{})
	questions[0].answer(Answer{Allow: true}) // one answer counts
	uncork()
	if h := r.hears(helper, s.Channel, time.Second); !isSilence(h) || len(questions) != 1 {
		t.Errorf("after a no: silence %v, %d questions", isSilence(h), len(questions))
	}
	r.clock.Advance(askPause)
	uncork()
	if len(questions) != 2 {
		t.Fatalf("%d questions a minute later", len(questions))
	}
	questions[1].answer(Answer{Allow: true})
	for _, channel := range []uint32{s.Channel, other.Channel} {
		if h := r.hears(helper, channel, time.Second); !isTone(h[4800:]) {
			t.Errorf("after a yes the tone is at %.3f", amplitude(h))
		}
	}
	helper.must(native.OpDeleteRecordStream, &native.ByIndex{Index: s.Channel}, nil)
	helper.must(native.OpDeleteRecordStream, &native.ByIndex{Index: other.Channel}, nil)
	s = helper.record(recordingRequest())
	if len(questions) != 3 {
		t.Fatalf("%d questions: once was for the streams of then", len(questions))
	}
	questions[2].answer(Answer{Allow: true, For: time.Hour})
	helper.must(native.OpDeleteRecordStream, &native.ByIndex{Index: s.Channel}, nil)
	s = helper.record(recordingRequest())
	if h := r.hears(helper, s.Channel, time.Second); !isTone(h[4800:]) || len(questions) != 3 {
		t.Errorf("allowed for an hour: the tone is at %.3f, %d questions", amplitude(h), len(questions))
	}
	r.say(owner, memory.Deny, 0)
	if h := r.hears(helper, s.Channel, time.Second); !isSilence(h[2400:]) {
		t.Error("denied, and heard")
	}
	r.say(owner, memory.Ask, 0)
	if len(questions) != 4 {
		t.Fatalf("%d questions: a running stream asks when it may", len(questions))
	}
	r.say(owner, memory.Deny, 0)
	questions[3].answer(Answer{Allow: true})
	if h := r.hears(helper, s.Channel, time.Second); !isSilence(h) {
		t.Error("an answer that came after the owner had denied counts")
	}
	helper.s.Close()
	r.clock.Advance(time.Hour)
	if n := r.clock.Timers(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// A helper knows of one source with a neutral name, and never of a monitor, the hardware, or another's streams and state.
func TestHelpersSeeOneMicrophone(t *testing.T) {
	r := newMicRig(t, device.Config{Rate: 44100, Channels: pcm.MonoMap})
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	other := r.connect(otherUID, policy.Playback, 35)
	for _, c := range []*client{helper, other} {
		c.must(native.OpSubscribe, &native.Subscribe{Mask: native.MaskAll}, nil)
	}
	var all native.SourceInfoList
	owner.must(native.OpGetSourceInfoList, nil, &all)
	if len(all) != 2 || all[0].Monitor != 0 || all[1].Description != "Microphone ticked by hand" || all[1].Monitor != native.Invalid {
		t.Errorf("the owner sees %+v", all)
	}
	var sink native.SinkInfo
	owner.must(native.OpGetSinkInfo, &native.ByIndexOrName{Index: 0}, &sink)
	if sink.Monitor != all[0].Index || sink.MonitorName != all[0].Name {
		t.Errorf("the sink's monitor is %d %q", sink.Monitor, sink.MonitorName)
	}
	var before, after native.SourceInfoList
	var info native.ServerInfo
	helper.must(native.OpGetSourceInfoList, nil, &before)
	helper.must(native.OpGetServerInfo, nil, &info)
	if len(before) != 1 || before[0].Name != microphoneName || before[0].Description != "Microphone (closed)" || before[0].State != native.Idle || info.DefaultSource != microphoneName {
		t.Errorf("the helper sees %+v, its default is %q", before, info.DefaultSource)
	}
	helper.must(native.OpGetSinkInfo, &native.ByIndexOrName{Index: 0}, &sink)
	if sink.Monitor != native.Invalid || sink.MonitorName != "" {
		t.Errorf("the helper's sink has the monitor %d %q", sink.Monitor, sink.MonitorName)
	}

	// What the owner and the other do changes nothing of what the helper sees.
	r.server.Microphone(otherUID, memory.Allow)
	r.say(owner, memory.Deny, 0)
	hers := owner.record(recordingRequest())
	theirs := other.record(recordingRequest())
	r.clock.Advance(time.Second)
	helper.take(native.Invalid)
	if n := helper.saw(native.OpSubscribeEvent); n != 1 {
		t.Errorf("the helper was told %d things, of which its own microphone's change is one", n)
	}
	helper.must(native.OpGetSourceInfoList, nil, &after)
	if a, b := fmt.Sprintf("%+v", before), fmt.Sprintf("%+v", after); a != b {
		t.Errorf("before others recorded the helper saw\n%s\nthen\n%s", a, b)
	}
	var outputs native.SourceOutputInfoList
	helper.must(native.OpGetSourceOutputInfoList, nil, &outputs)
	if len(outputs) != 0 {
		t.Errorf("the helper sees %+v", outputs)
	}
	tune := owner.create(creation())
	for op, m := range map[native.Op]native.Message{
		native.OpGetSourceInfo:         &native.ByIndexOrName{Index: all[1].Index},
		native.OpLookupSource:          &native.ByName{Name: all[0].Name},
		native.OpGetSourceOutputInfo:   &native.ByIndex{Index: hers.Index},
		native.OpSetSourceOutputVolume: &native.SetVolume{Index: theirs.Index, Volume: native.CVolume{0}},
		native.OpSetSourceOutputMute:   &native.SetMute{Index: theirs.Index, Muted: true},
		native.OpSetSourceVolume:       &native.SetDeviceVolume{Index: native.Invalid, Name: all[1].Name, Volume: native.CVolume{0}},
	} {
		if err := helper.call(op, m, nil); err != native.ErrNoEntity {
			t.Errorf("%v by a helper: %v", op, err)
		}
	}
	for _, change := range []func(m *native.CreateRecordStream){
		func(m *native.CreateRecordStream) { m.SourceName = all[0].Name },
		func(m *native.CreateRecordStream) { m.SourceName = "@DEFAULT_MONITOR@" },
		func(m *native.CreateRecordStream) { m.SourceIndex = all[1].Index },
		func(m *native.CreateRecordStream) { m.DirectOnInput = tune.Index },
	} {
		m := recordingRequest()
		change(m)
		if err := helper.call(native.OpCreateRecordStream, m, nil); err != native.ErrNoEntity {
			t.Errorf("%+v: %v", m, err)
		}
	}
	for op, m := range map[native.Op]native.Message{native.OpMoveSourceOutput: &native.MoveStream{}, native.OpKillSourceOutput: &native.ByIndex{},
		native.OpSuspendSource: &native.SuspendDevice{}, native.OpSetDefaultSource: &native.ByName{}} {
		if err := helper.call(op, m, nil); err != native.ErrAccess {
			t.Errorf("%v by a helper: %v", op, err)
		}
	}
	if err := helper.call(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageMic, Parameters: `{"uid":1001,"state":"allow"}`}, nil); err != native.ErrNoEntity {
		t.Errorf("a helper opens its own microphone: %v", err)
	}
	m := recordingRequest()
	m.FixRate, m.FixChannels = true, true
	if s := helper.record(m); s.Spec.Rate != 48000 || s.Spec.Channels != 2 {
		t.Errorf("a helper's microphone is of %+v, as the hardware may be", s.Spec)
	}
}

func TestNoMicrophoneAtAll(t *testing.T) {
	r := newMicRig(t, device.Config{})
	r.server.Microphone(helperUID, NoMicrophone)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	var list native.SourceInfoList
	var info native.ServerInfo
	helper.must(native.OpGetSourceInfoList, nil, &list)
	helper.must(native.OpGetServerInfo, nil, &info)
	if len(list) != 0 || info.DefaultSource != noSource {
		t.Errorf("%+v, default %q", list, info.DefaultSource)
	}
	for op, m := range map[native.Op]native.Message{native.OpCreateRecordStream: recordingRequest(), native.OpLookupSource: &native.ByName{Name: microphoneName},
		native.OpGetSourceInfo:   &native.ByIndexOrName{Index: native.Invalid, Name: "@DEFAULT_SOURCE@"},
		native.OpSetSourceVolume: &native.SetDeviceVolume{Index: 0, Volume: native.CVolume{0}}} {
		if err := helper.call(op, m, nil); err != native.ErrNoEntity {
			t.Errorf("%v: %v", op, err)
		}
	}
	text := fmt.Sprintf(`{"uid":%d,"state":"allow"}`, helperUID)
	if err := owner.call(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageMic, Parameters: text}, nil); err != native.ErrNotSupported {
		t.Errorf("allowing what is not there: %v", err)
	}
	if r.helperMic(owner).State != NoMicrophone {
		t.Errorf("%+v", r.helperMic(owner))
	}
}

func TestMicMessages(t *testing.T) {
	r := newMicRig(t, device.Config{})
	owner := r.connect(ownerUID, policy.Owner, 35)
	for _, bad := range []string{``, `{}`, `{"uid":1001}`, `{"uid":1001,"state":"none"}`, `{"uid":1001,"state":"open"}`, `{"uid":1001,"state":"allow","for_seconds":-1}`,
		`{"uid":1001,"state":"allow","for_seconds":1e12}`, `{"uid":-1,"state":"deny"}`, `{"uid":1001,"state":"deny","more":1}`, `{"uid":1000,"state":"deny"}`, `[]`} {
		if err := owner.call(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageMic, Parameters: bad}, nil); err != native.ErrInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	var reply native.SendObjectMessageReply
	owner.must(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageMic, Parameters: `{"uid":1001,"state":"allow","for_seconds":60}`}, &reply)
	var m Mic
	if err := json.Unmarshal([]byte(reply.Response), &m); err != nil || m.State != memory.Allow || !m.Open || m.Until == nil || !m.Until.Equal(r.server.now().Add(time.Minute)) {
		t.Errorf("%s: %v", reply.Response, err)
	}
}

// A helper turns its own microphone's volume, and nothing else's.
func TestHelperTurnsItsOwnMicrophone(t *testing.T) {
	r := newMicRig(t, device.Config{})
	r.server.Microphone(helperUID, memory.Allow)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	s := helper.record(recordingRequest())
	o := owner.record(recordingRequest())
	helper.must(native.OpSetSourceVolume, &native.SetDeviceVolume{Index: 0, Volume: native.CVolume{0x8000}}, nil)
	if h := r.hears(helper, s.Channel, time.Second)[4800:]; math.Abs(amplitude(h[:2400*10])/micLevel*8-1) > 0.02 {
		t.Errorf("at half volume the tone is at %.4f", amplitude(h))
	}
	if h := r.hears(owner, o.Channel, time.Second)[4800:]; !isTone(h) {
		t.Errorf("the owner hears it at %.4f", amplitude(h))
	}
	if v, muted := r.source.Volume(); v[0] != pcm.VolumeNorm || muted {
		t.Errorf("the hardware's source is at %v", v)
	}
	helper.must(native.OpSetSourceMute, &native.SetDeviceMute{Index: native.Invalid, Name: microphoneName, Muted: true}, nil)
	if h := r.hears(helper, s.Channel, time.Second)[4800:]; !isSilence(h) {
		t.Error("muted, and heard")
	}
	var info native.SourceInfo
	helper.must(native.OpGetSourceInfo, &native.ByIndexOrName{Index: 0}, &info)
	if !info.Muted || info.Volume[0] != 0x8000 || info.State != native.Running {
		t.Errorf("%+v", info)
	}
	helper.must(native.OpSetSourceMute, &native.SetDeviceMute{Index: 0}, nil)
	helper.must(native.OpSetSourceVolume, &native.SetDeviceVolume{Index: 0, Volume: native.CVolume{0x10000}}, nil)
	helper.must(native.OpSetSourceOutputVolume, &native.SetVolume{Index: s.Index, Volume: native.CVolume{0x8000}}, nil)
	if h := r.hears(helper, s.Channel, time.Second)[4800:]; math.Abs(amplitude(h[:2400*10])/micLevel*8-1) > 0.02 {
		t.Errorf("the stream at half volume: the tone is at %.4f", amplitude(h))
	}
	owner.must(native.OpSetSourceOutputMute, &native.SetMute{Index: s.Index, Muted: true}, nil)
	if h := r.hears(helper, s.Channel, time.Second)[4800:]; !isSilence(h) {
		t.Error("muted by the owner, and heard")
	}
}

// Data goes out only as far as the client reads; what it misses is its own loss.
func TestRecordingClientThatDoesNotRead(t *testing.T) {
	r := newMicRig(t, device.Config{})
	r.server.Microphone(helperUID, memory.Allow)
	c := r.connect(helperUID, policy.Playback, 35)
	for range 8 {
		m := recordingRequest()
		m.Spec = pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 192000}
		m.Map = pcm.StereoMap
		m.Attr = native.RecordAttr{MaxLength: native.Invalid, FragSize: native.Invalid}
		c.record(m)
	}
	for range 60 {
		r.clock.Advance(100 * time.Millisecond)
		if n := len(c.s.Outbox()); n > recordRoom+8*(maxPiece+native.HeaderSize) {
			t.Fatal(n, "bytes in the outbox")
		}
	}
	if c.s.Fault() != nil {
		t.Fatal(c.s.Fault())
	}
	if taken := r.server.users[helperUID].buffers.Taken(); taken > maxBuffered {
		t.Error(taken, "bytes are held for it")
	}
	c.must(native.OpGetServerInfo, nil, new(native.ServerInfo)) // it reads again
	for channel := range uint32(8) {
		if h := r.hears(c, channel, 2*time.Second); len(h) == 0 {
			t.Errorf("channel %d is starved", channel)
		}
	}
	c.s.Close()
	if r.mic.IsOpen() || r.clock.Timers() != 0 {
		t.Error("something is left")
	}
}

func TestOwnerRecordsWhatIsHeard(t *testing.T) {
	r := newMicRig(t, device.Config{})
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	play := func(c *client, amp float32) native.CreatePlaybackStreamReply {
		m := creation()
		m.Spec.Format = pcm.Float32LE
		s := c.create(m)
		b := make([]float32, int(s.Missing)/4)
		for i := range b {
			b[i] = amp
		}
		p := make([]byte, len(b)*4)
		pcm.Encode(p, b, pcm.Float32LE)
		c.sound(s.Channel, p)
		return s
	}
	a, b := play(helper, 0.25), play(owner, 0.125)
	m := recordingRequest()
	m.SourceName = "@DEFAULT_MONITOR@"
	all := owner.record(m)
	if all.SourceName != "hand.monitor" {
		t.Errorf("the default monitor is %q", all.SourceName)
	}
	m = recordingRequest()
	m.DirectOnInput = a.Index
	one := owner.record(m)
	meter := recordingRequest()
	meter.DirectOnInput, meter.PeakDetect, meter.Spec.Rate, meter.Attr.FragSize = b.Index, true, 25, 4
	peaks := owner.record(meter)
	r.hears(owner, all.Channel, 500*time.Millisecond)
	for _, w := range []struct {
		channel uint32
		want    float32
	}{{all.Channel, 0.375}, {one.Channel, 0.25}, {peaks.Channel, 0.125}} {
		h := make([]float32, len(owner.heard[w.channel])/4)
		pcm.Decode(h, owner.heard[w.channel], pcm.Float32LE)
		if len(h) == 0 || h[len(h)-1] != w.want {
			t.Errorf("channel %d: %d frames, the last not %v", w.channel, len(h), w.want)
		}
	}
	m = recordingRequest()
	m.DirectOnInput, m.SourceName = a.Index, "hand"
	if err := owner.call(native.OpCreateRecordStream, m, nil); err != native.ErrInvalid {
		t.Errorf("one input, on a microphone: %v", err)
	}
	helper.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: a.Channel}, nil)
	if owner.saw(native.OpRecordStreamKilled) != 1 || len(r.server.records) != 2 {
		t.Errorf("the input is gone: %d KILLED, %d streams", owner.saw(native.OpRecordStreamKilled), len(r.server.records))
	}
	owner.must(native.OpMoveSourceOutput, &native.MoveStream{Index: all.Index, DeviceIndex: native.Invalid, DeviceName: "hand"}, nil)
	if h := r.hears(owner, all.Channel, time.Second); !isTone(h[4800:]) || owner.saw(native.OpRecordStreamMoved) != 1 {
		t.Errorf("moved to the microphone the tone is at %.3f, and there were %d MOVED", amplitude(h), owner.saw(native.OpRecordStreamMoved))
	}
}

func TestSourcesComeAndGo(t *testing.T) {
	r := newMicRig(t, device.Config{})
	r.server.Microphone(helperUID, memory.Allow)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	hers, his := helper.record(recordingRequest()), owner.record(recordingRequest())
	if his.SourceName != "hand" {
		t.Fatalf("the owner's default is %q", his.SourceName)
	}
	second := devicetest.NewMic(r.clock, device.Config{})
	second.Sound = func(int64) float32 { return 0.125 }
	src := mixer.NewSource(r.clock, second, t.Logf)
	r.server.AddSource(src)
	last := func(c *client, channel uint32) float32 {
		h := r.hears(c, channel, 500*time.Millisecond)
		wantReal(t, h, 500*time.Millisecond)
		return h[len(h)-1]
	}
	owner.must(native.OpSetDefaultSource, &native.ByName{Name: "hand.2"}, nil)
	if a, b := last(helper, hers.Channel), last(owner, his.Channel); a != 0.125 || b != 0.125 || r.mic.IsOpen() {
		t.Errorf("the second microphone is the default, heard are %v and %v", a, b)
	}
	if owner.saw(native.OpRecordStreamMoved) != 1 || helper.saw(native.OpRecordStreamMoved) != 0 {
		t.Errorf("moved: the owner was told %d times, the helper %d", owner.saw(native.OpRecordStreamMoved), helper.saw(native.OpRecordStreamMoved))
	}
	owner.must(native.OpMoveSourceOutput, &native.MoveStream{Index: hers.Index, DeviceIndex: native.Invalid, DeviceName: "hand"}, nil)
	if h := r.hears(helper, hers.Channel, time.Second); !isTone(h[4800:]) || helper.saw(native.OpRecordStreamMoved) != 0 {
		t.Error("the owner moved the helper's stream to the first")
	}
	if err := owner.call(native.OpMoveSourceOutput, &native.MoveStream{Index: hers.Index, DeviceIndex: native.Invalid, DeviceName: "@DEFAULT_MONITOR@"}, nil); err != native.ErrNotSupported {
		t.Errorf("a helper's stream to a monitor: %v", err)
	}
	owner.must(native.OpSuspendSource, &native.SuspendDevice{Index: native.Invalid, Name: "hand", Suspend: true}, nil)
	if h := r.hears(helper, hers.Channel, time.Second); !isSilence(h[2400:]) || helper.saw(native.OpRecordStreamSuspended) != 0 {
		t.Error("suspended by the owner: no silence, or the helper was told")
	}
	owner.must(native.OpSuspendSource, &native.SuspendDevice{Index: native.Invalid, Name: "hand.2", Suspend: true}, nil)
	if owner.saw(native.OpRecordStreamSuspended) != 1 {
		t.Error("the owner was not told that his source was suspended")
	}
	owner.must(native.OpSuspendSource, &native.SuspendDevice{Index: native.Invalid}, nil)
	r.server.RemoveSource(r.source)
	if a := last(helper, hers.Channel); a != 0.125 {
		t.Errorf("the first microphone is gone, the helper hears %v", a)
	}
	r.server.RemoveSource(src)
	if a := last(helper, hers.Channel); a != 0 {
		t.Errorf("both are gone, the helper hears %v", a)
	}
	last(owner, his.Channel) // what is heard, which is nothing: but in real time
	owner.must(native.OpKillSourceOutput, &native.ByIndex{Index: hers.Index}, nil)
	if helper.saw(native.OpRecordStreamKilled) != 1 {
		t.Error("the helper was not told of its stream's end")
	}
	owner.s.Close()
	helper.s.Close()
	r.clock.Advance(time.Second)
	if n := r.clock.Timers() + len(r.server.records); n != 0 {
		t.Errorf("%d things are left", n)
	}
}

func TestRecordStreamsAreCounted(t *testing.T) {
	r := newMicRig(t, device.Config{})
	c := r.connect(helperUID, policy.Playback, 35)
	for range maxStreams {
		c.record(recordingRequest())
	}
	if err := c.call(native.OpCreateRecordStream, recordingRequest(), nil); err != native.ErrTooLarge {
		t.Errorf("one stream too many: %v", err)
	}
	for _, change := range []func(m *native.CreateRecordStream){
		func(m *native.CreateRecordStream) { m.Spec.Rate = 0 }, func(m *native.CreateRecordStream) { m.Spec.Channels = 9 },
		func(m *native.CreateRecordStream) { m.Map = pcm.StereoMap }, func(m *native.CreateRecordStream) { m.Spec.Format = 99 },
		func(m *native.CreateRecordStream) { m.Volume, m.VolumeSet = native.CVolume{1, 2, 3}, true },
		func(m *native.CreateRecordStream) { m.SourceIndex, m.SourceName = 0, microphoneName },
		func(m *native.CreateRecordStream) { m.PeakDetect, m.Spec.Rate = true, 1<<31 },
	} {
		c := r.connect(otherUID, policy.Playback, 35)
		m := recordingRequest()
		change(m)
		if err := c.call(native.OpCreateRecordStream, m, nil); err != native.ErrInvalid {
			t.Errorf("%+v: %v", m, err)
		}
	}
}
