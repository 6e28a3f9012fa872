package session

import (
	"encoding/json"
	"fmt"
	"slices"
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

// second gives the server another sink, at another rate.
func (r *rig) second() (*devicetest.Card, *mixer.Sink) {
	card := devicetest.New(r.clock, device.Config{Rate: 44100})
	sink := mixer.NewSink(r.clock, card, func(string, ...any) {})
	r.server.AddSink(sink)
	return card, sink
}

func (c *client) sink(index uint32) native.SinkInfo {
	c.t.Helper()
	var info native.SinkInfo
	c.must(native.OpGetSinkInfo, &native.ByIndexOrName{Index: index}, &info)
	return info
}

// loud fills a stream with a square wave of half scale, as much as was asked for.
func (c *client) loud(s native.CreatePlaybackStreamReply) {
	c.take(native.Invalid)
	b := make([]byte, c.wanted[s.Channel])
	for i := 1; i < len(b); i += 2 {
		b[i] = 0x40
	}
	c.wanted[s.Channel] = 0
	c.sound(s.Channel, b)
}

// peak is the loudest sample a card plays in a tenth of a second.
func (r *rig) peak(card *devicetest.Card) (loudest float32) {
	r.clock.Advance(200 * time.Millisecond)
	card.Heard()
	r.clock.Advance(100 * time.Millisecond)
	return pcm.Peak(card.Heard())
}

func near(a, b float32) bool { return a > b-0.001 && a < b+0.001 }

func TestOwnersSinkVolume(t *testing.T) {
	r := newRig(t)
	_, other := r.second()
	m := memory.New()
	r.server.Remember(m)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	helper.loud(s)
	owner.subscribe()
	helper.subscribe()
	for _, set := range []native.SetDeviceVolume{{Index: 0}, {Index: native.Invalid, Name: r.server.sinks[0].name}, {Index: native.Invalid, Name: "0"}, {Index: native.Invalid, Name: "@DEFAULT_SINK@"}} {
		owner.must(native.OpSetSinkVolume, &native.SetDeviceVolume{Index: set.Index, Name: set.Name, Volume: native.CVolume{0x10000}}, nil)
		set.Volume = native.CVolume{0x8000, 0x10000}
		owner.must(native.OpSetSinkVolume, &set, nil)
		if v, _ := r.sink.Volume(); !slices.Equal(v, set.Volume) {
			t.Errorf("by %d %q: %v", set.Index, set.Name, v)
		}
	}
	owner.must(native.OpSetSinkMute, &native.SetDeviceMute{Index: 1, Muted: true}, nil)
	if _, muted := other.Volume(); !muted {
		t.Error("the other sink is not muted")
	}
	if info := owner.sink(1); !info.Muted {
		t.Error("the other sink does not say that it is muted")
	}
	if h := helper.sink(0); h.Muted || !slices.Equal(h.Volume, full) {
		t.Errorf("the helper's sink is at %v now", h.Volume)
	}
	if p := r.peak(r.card); p != 0.5 {
		t.Errorf("the helper is heard at %v on the louder channel", p)
	}
	change := native.EventSink | native.EventChange
	if got, want := owner.news(), []native.SubscribeEvent{{Event: change, Index: 0}, {Event: change, Index: 1}}; !slices.Equal(got, want) && len(got) < 2 {
		t.Errorf("the owner is told %+v", got)
	}
	if got := helper.news(); len(got) != 0 {
		t.Errorf("the helper is told %+v", got)
	}
	for _, bad := range []native.SetDeviceVolume{{Index: 7, Volume: full}, {Index: 0, Name: "null", Volume: full}, {Index: native.Invalid, Name: "none", Volume: full},
		{Index: 0}, {Index: 0, Volume: native.CVolume{1, 2, 3}}, {Index: 0, Volume: native.CVolume{pcm.VolumeInvalid}}} {
		if err := owner.call(native.OpSetSinkVolume, &bad, nil); err != native.ErrInvalid && err != native.ErrNoEntity {
			t.Errorf("%+v: %v", bad, err)
		}
	}

	again := newRig(t) // after a restart
	again.server.Remember(m)
	_, third := again.second()
	if v, muted := third.Volume(); !muted {
		t.Errorf("after a restart: %v, muted %v", v, muted)
	}
}

func TestHelpersSinkVolumeIsItsOwn(t *testing.T) {
	r := newRig(t)
	m := memory.New()
	r.server.Remember(m)
	helper, other := r.connect(helperUID, policy.Playback, 35), r.connect(otherUID, policy.Playback, 35)
	twin := r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	helper.loud(s)
	for _, c := range []*client{helper, other, twin} {
		c.subscribe()
	}
	helper.must(native.OpSetSinkVolume, &native.SetDeviceVolume{Index: native.Invalid, Name: virtualName, Volume: native.CVolume{0x8000}}, nil)
	if p := r.peak(r.card); p != 0.0625 {
		t.Errorf("at half volume %v is heard", p)
	}
	helper.must(native.OpSetSinkVolume, &native.SetDeviceVolume{Index: 0, Volume: native.CVolume{0x20000, 0x8000}}, nil)
	if v := twin.sink(0).Volume; !slices.Equal(v, native.CVolume{0x10000, 0x8000}) {
		t.Errorf("louder than full: %v", v)
	}
	helper.must(native.OpSetSinkMute, &native.SetDeviceMute{Index: 0, Muted: true}, nil)
	helper.loud(s)
	if p := r.peak(r.card); p != 0 || !twin.sink(0).Muted {
		t.Errorf("muted: %v is heard", p)
	}
	if v := other.sink(0); v.Muted || !slices.Equal(v.Volume, full) {
		t.Errorf("another helper's sink: %+v", v)
	}
	if v, muted := r.sink.Volume(); muted || v[0] != pcm.VolumeNorm {
		t.Error("the device is turned")
	}
	if n := len(twin.news()); n == 0 {
		t.Error("the helper's other program is not told")
	}
	if len(other.news()) != 0 {
		t.Error("others are told")
	}
	again := newRig(t)
	again.server.Remember(m)
	if v := again.connect(helperUID, policy.Playback, 35).sink(0); !v.Muted || v.Volume[1] != 0x8000 {
		t.Errorf("after a restart: %v, muted %v", v.Volume, v.Muted)
	}
}

func TestDefaultSink(t *testing.T) {
	r := newRig(t)
	card, _ := r.second()
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	named := creation()
	named.SinkName = r.server.sinks[0].name
	mine, free := owner.create(named), owner.create(creation())
	for _, c := range []*client{helper, owner} {
		c.subscribe()
	}
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: r.server.sinks[1].name}, nil)
	helper.loud(s)
	if !near(r.peak(card), 0.5) {
		t.Error("the helper does not play on the new default")
	}
	var list native.SinkInputInfoList
	owner.must(native.OpGetSinkInputInfoList, nil, &list)
	for _, in := range list {
		if want := map[uint32]uint32{s.Index: 1, mine.Index: 0, free.Index: 1}[in.Index]; in.Sink != want {
			t.Errorf("stream %d is on sink %d, want %d", in.Index, in.Sink, want)
		}
	}
	var info native.ServerInfo
	owner.must(native.OpGetServerInfo, nil, &info)
	if info.DefaultSink != r.server.sinks[1].name || info.Spec.Rate != 44100 {
		t.Errorf("default sink %s at %d Hz", info.DefaultSink, info.Spec.Rate)
	}
	if owner.saw(native.OpPlaybackStreamMoved) != 1 || helper.saw(native.OpPlaybackStreamMoved) != 0 {
		t.Error("who was moved and may know is told, nobody else")
	}
	for _, e := range owner.news() {
		if e.Event == native.EventServer|native.EventChange {
			info.Cookie = 0
		}
	}
	if info.Cookie != 0 {
		t.Error("the owner is not told of the new default")
	}
	if err := owner.call(native.OpSetDefaultSink, &native.ByName{Name: "none"}, nil); err != native.ErrNoEntity {
		t.Errorf("a default that is not there: %v", err)
	}
}

func TestMoveAndKill(t *testing.T) {
	r := newRig(t)
	card, _ := r.second()
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	staying := creation()
	staying.NoMove = true
	mine := owner.create(staying)
	owner.must(native.OpMoveSinkInput, &native.MoveStream{Index: s.Index, DeviceIndex: 1}, nil)
	helper.loud(s)
	if !near(r.peak(card), 0.5) {
		t.Error("the stream does not play where it was moved to")
	}
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: r.server.sinks[1].name}, nil)
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: r.server.sinks[0].name}, nil)
	if p := r.server.stream(s.Index); p.sink != r.server.sinks[1] {
		t.Error("a stream that was moved by hand follows the default")
	}
	for _, c := range []struct {
		move native.MoveStream
		want native.Code
	}{{native.MoveStream{Index: mine.Index, DeviceIndex: 1}, native.ErrNotSupported}, {native.MoveStream{Index: 4242, DeviceIndex: 1}, native.ErrNoEntity},
		{native.MoveStream{Index: s.Index, DeviceIndex: 9}, native.ErrNoEntity}, {native.MoveStream{Index: s.Index, DeviceIndex: 1, DeviceName: "null"}, native.ErrInvalid}} {
		if err := owner.call(native.OpMoveSinkInput, &c.move, nil); err != c.want {
			t.Errorf("%+v: %v", c.move, err)
		}
	}
	owner.must(native.OpKillSinkInput, &native.ByIndex{Index: s.Index}, nil)
	if helper.saw(native.OpPlaybackStreamKilled) != 1 || r.server.stream(s.Index) != nil {
		t.Error("the stream lives on, or its client does not know")
	}
	if err := helper.call(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel}, nil); err != native.ErrNoEntity {
		t.Errorf("corking a killed stream: %v", err)
	}
	owner.must(native.OpKillClient, &native.ByIndex{Index: helper.s.index}, nil)
	if helper.s.Fault() == nil {
		t.Error("the client lives on")
	}
	if err := owner.call(native.OpKillClient, &native.ByIndex{Index: 4242}, nil); err != native.ErrNoEntity {
		t.Errorf("killing nobody: %v", err)
	}
}

func TestSuspendSink(t *testing.T) {
	r := newRig(t)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	fragile := creation()
	fragile.FailOnSuspend = true
	owner.create(fragile)
	helper.loud(s)
	r.clock.Advance(100 * time.Millisecond)
	owner.must(native.OpSuspendSink, &native.SuspendDevice{Index: native.Invalid, Suspend: true}, nil)
	if r.card.IsOpen() || owner.sink(0).State != native.DeviceSuspended {
		t.Error("the device is held")
	}
	if helper.saw(native.OpPlaybackStreamSuspended) != 1 || owner.saw(native.OpPlaybackStreamKilled) != 1 {
		t.Error("the streams' clients are not told")
	}
	if err := owner.call(native.OpCreatePlaybackStream, fragile, nil); err != native.ErrBadState {
		t.Errorf("a stream that fails on suspend: %v", err)
	}
	if late := helper.create(creation()); !late.Suspended {
		t.Error("a new stream is not told")
	}
	owner.must(native.OpSuspendSink, &native.SuspendDevice{Index: 0}, nil)
	if r.peak(r.card) != 0.5 {
		t.Error("the stream does not go on")
	}
}

func TestStatusNamesTheQuality(t *testing.T) {
	r := newRigOn(t, device.Config{Bits: 16})
	if d := r.server.status().Default(); d.Resampler != "normal" || d.Dither {
		t.Errorf("at first: %+v", d)
	}
	r.sink.SetQuality(mixer.Quality{Resampler: pcm.Best, Dither: true})
	if d := r.server.status().Default(); d.Resampler != "best" || !d.Dither {
		t.Errorf("with the best: %+v", d)
	}
}

// Sinks come and go under streams: nobody's sound ends.
func TestSinksComeAndGo(t *testing.T) {
	r := newRig(t)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	owner.subscribe()
	card, sink := r.second()
	r.server.RemoveSink(r.sink)
	helper.loud(s)
	if !near(r.peak(card), 0.5) {
		t.Error("the stream does not play on what is left")
	}
	r.server.RemoveSink(sink)
	r.server.RemoveSink(sink)
	if st := r.server.status(); len(st.Devices) != 1 || st.Default().Name != "null" {
		t.Errorf("with no sink left: %+v", st.Devices)
	}
	r.second()
	if st := r.server.status(); len(st.Devices) != 1 || st.Default().Name == "null" {
		t.Errorf("with a sink again: %+v", st.Devices)
	}
	if len(r.server.streams) != 1 || helper.sink(0).Name != virtualName {
		t.Error("the helper has noticed")
	}
	added, removed := 0, 0
	for _, e := range owner.news() {
		switch e.Event {
		case native.EventSink | native.EventNew:
			added++
		case native.EventSink | native.EventRemove:
			removed++
		}
	}
	if added < 1 || removed != 3 {
		t.Errorf("the owner was told of %d new sinks and %d that went", added, removed)
	}
}

// ask sends an object message.
func (c *client) ask(path, message, parameters string, answer any) error {
	c.t.Helper()
	var reply native.SendObjectMessageReply
	if err := c.call(native.OpSendObjectMessage, &native.SendObjectMessage{Path: path, Message: message, Parameters: parameters}, &reply); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(reply.Response), answer); err != nil {
		c.t.Fatalf("%s %s: %q: %v", path, message, reply.Response, err)
	}
	return nil
}

func TestMessages(t *testing.T) {
	r := newRig(t)
	r.second()
	r.server.Limit(otherUID, 0x8000)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	r.connect(otherUID, policy.Playback, 35)
	s := helper.create(creation())
	helper.loud(s)
	var st Status
	if err := owner.ask(ControlPath, MessageStatus, "", &st); err != nil || len(st.Devices) != 2 || len(st.Users) != 3 || st.Users[1].Streams != 1 || st.Users[2].Ceiling != 50 {
		t.Errorf("status: %v, %+v", err, st)
	}
	var stat native.StatReply
	if owner.must(native.OpStat, nil, &stat); st.Users[0].Buffered != 0 || st.Users[1].Buffered <= 0 || stat.BlocksSize != uint32(st.Users[1].Buffered) {
		t.Errorf("buffered: %d bytes of the owner, %d of the helper, %d of all", st.Users[0].Buffered, st.Users[1].Buffered, stat.BlocksSize)
	}
	var devices []Device
	if err := owner.ask(ControlPath, MessageDevices, "", &devices); err != nil || len(devices) != 2 || !devices[0].Default || devices[0].Volume != 100 {
		t.Errorf("devices: %v, %+v", err, devices)
	}
	var u User
	if err := owner.ask(ControlPath, MessageUser, fmt.Sprintf(`{"uid":%d,"volume_percent":50}`, helperUID), &u); err != nil || u.Volume != 50 || u.Muted {
		t.Errorf("user: %v, %+v", err, u)
	}
	if p := r.peak(r.card); !near(p, 0.0625) {
		t.Errorf("a user at 50 %% is heard at %v", p)
	}
	if err := owner.ask(ControlPath, MessageUser, fmt.Sprintf(`{"uid":%d,"muted":true}`, helperUID), &u); err != nil || u.Volume != 50 || !u.Muted || !helper.sink(0).Muted {
		t.Errorf("user: %v, %+v", err, u)
	}
	var handlers []map[string]string
	if err := owner.ask("/core", "list-handlers", "", &handlers); err != nil || len(handlers) != 1 || handlers[0]["name"] != ControlPath {
		t.Errorf("list-handlers: %v, %v", err, handlers)
	}
	if err := helper.ask("/core", "list-handlers", "", &handlers); err != nil || len(handlers) != 0 {
		t.Errorf("list-handlers asked by a helper: %v, %v", err, handlers)
	}
	for _, c := range []struct {
		message, parameters string
		want                error
	}{{MessageUser, `{"uid":4242}`, native.ErrNoEntity}, {MessageUser, `{"uid":1001,"volume_percent":100.1}`, native.ErrInvalid}, {MessageUser, `{"uid":1001,"volume_percent":-1}`, native.ErrInvalid},
		{MessageUser, `{"uid":1001,"louder":true}`, native.ErrInvalid}, {MessageUser, `{"uid":1001} {}`, native.ErrInvalid}, {MessageUser, ``, native.ErrInvalid}, {"exit", ``, native.ErrNotImplemented}} {
		if err := owner.ask(ControlPath, c.message, c.parameters, &u); err != c.want {
			t.Errorf("%s %s: %v, want %v", c.message, c.parameters, err, c.want)
		}
		if err := helper.ask(ControlPath, c.message, c.parameters, &u); err != native.ErrNoEntity {
			t.Errorf("%s asked by a helper: %v", c.message, err)
		}
	}
}

// The owner is told when a sink begins to run, and when it ceases to.
func TestSinksThatStir(t *testing.T) {
	r := newRig(t)
	r.second()
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	s := helper.create(creation())
	owner.subscribe()
	stirred := func(what string) {
		t.Helper()
		if !slices.Contains(owner.news(), native.SubscribeEvent{Event: native.EventSink | native.EventChange, Index: 0}) {
			t.Errorf("a stream %s, and the owner is not told", what)
		}
	}
	helper.loud(s)
	r.clock.Advance(100 * time.Millisecond)
	stirred("starts")
	if st := owner.sink(0).State; st != native.Running {
		t.Errorf("state %d while a stream plays", st)
	}
	helper.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel, Corked: true}, nil)
	stirred("is corked")
	if st := owner.sink(0).State; st != native.Idle {
		t.Errorf("state %d while none plays", st)
	}
	helper.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel}, nil)
	r.clock.Advance(100 * time.Millisecond)
	owner.news()
	helper.s.Close()
	stirred("is gone")
}
