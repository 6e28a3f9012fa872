package session

import (
	"errors"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// laptop is a card with two ways out.
type laptop struct {
	*devicetest.Card
	active  string
	changed func()
}

func (l *laptop) Name() string        { return "alsa:Lap top,0" }
func (l *laptop) Description() string { return "Lap top, Analog" }
func (l *laptop) Ports() ([]device.Port, string) {
	return []device.Port{{Name: "speaker", Description: "Speaker", Priority: 1}, {Name: "phones", Description: "Headphones", Priority: 2, Plug: device.Plugged}}, l.active
}
func (l *laptop) SetPort(name string) error {
	if name == "phones" && l.active == "" {
		return errors.New("the hardware refuses")
	}
	l.active = name
	return nil
}
func (l *laptop) OnPorts(changed func()) { l.changed = changed }
func (l *laptop) CardInfo() (device.CardInfo, bool) {
	return device.CardInfo{Driver: "HDA-Intel", Name: "Lap top", Components: "HDA:10ec0887"}, true
}

func TestCards(t *testing.T) {
	r := newRig(t)
	dev := &laptop{Card: devicetest.New(r.clock, device.Config{}), active: "speaker"}
	sink := mixer.NewSink(r.clock, dev, func(string, ...any) {})
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	owner.subscribe()
	helper.subscribe()
	r.server.AddSink(sink)
	const name, sinkName = "alsa_card.Lap.top", "alsa_output.Lap.top.0"

	var info native.CardInfo
	owner.must(native.OpGetCardInfo, &native.ByIndexOrName{Index: native.Invalid, Name: name}, &info)
	if info.ActiveProfile != "on" || len(info.Profiles) != 2 || info.Profiles[0].Sinks != 1 || len(info.Ports) != 2 || info.Ports[1].Available != native.AvailableYes {
		t.Errorf("%+v", info)
	}
	if components, _ := info.Props.Get("alsa.components"); components != "HDA:10ec0887" {
		t.Errorf("%v", info.Props)
	}
	if k := owner.sink(1); k.Name != sinkName || k.Card != info.Index || len(k.Ports) != 2 || k.ActivePort != "speaker" || k.Flags&native.Hardware == 0 {
		t.Errorf("%+v", k)
	}
	owner.must(native.OpSetSinkPort, &native.SetPort{Index: 1, Port: "phones"}, nil)
	if dev.active != "phones" || owner.sink(1).ActivePort != "phones" {
		t.Error("the port was not changed")
	}
	if err := owner.call(native.OpSetSinkPort, &native.SetPort{Index: 1, Port: "none"}, nil); err != native.ErrNoEntity {
		t.Errorf("a port that is not there: %v", err)
	}

	s := helper.create(creation())
	owner.must(native.OpMoveSinkInput, &native.MoveStream{Index: s.Index, DeviceIndex: 1}, nil)
	helper.loud(s)
	r.clock.Advance(100 * time.Millisecond)
	ask := func() (l native.PlaybackLatency) {
		helper.must(native.OpGetPlaybackLatency, &native.GetLatency{Channel: s.Channel}, &l)
		return l
	}
	before := ask().SinkLatency
	offset := native.SetPortLatencyOffset{Card: native.Invalid, CardName: name, Port: "phones", Offset: 30000}
	owner.must(native.OpSetPortLatencyOffset, &offset, nil)
	if after := ask().SinkLatency; after != before+30000 {
		t.Errorf("an offset of 30 ms makes %d of %d", after, before)
	}
	offset.Offset = -1e6
	owner.must(native.OpSetPortLatencyOffset, &offset, nil)
	if after := ask().SinkLatency; after != 0 {
		t.Errorf("a latency below zero is told as %d", after)
	}
	for _, bad := range []native.SetPortLatencyOffset{{Card: 0, Port: "none"}, {Card: 5, Port: "phones"}, {Card: 0, Port: "phones", Offset: 1 << 40}} {
		if err := owner.call(native.OpSetPortLatencyOffset, &bad, nil); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}

	owner.must(native.OpSetCardProfile, &native.SetPort{Index: 0, Port: "off"}, nil)
	if dev.IsOpen() {
		t.Error("the card is held")
	}
	if !near(r.peak(r.card), 0.5) {
		t.Error("the stream does not play on the other card")
	}
	if err := owner.call(native.OpGetSinkInfo, &native.ByIndexOrName{Index: native.Invalid, Name: sinkName}, nil); err != native.ErrNoEntity {
		t.Errorf("its sink: %v", err)
	}
	owner.must(native.OpGetCardInfo, &native.ByIndexOrName{Index: 0}, &info)
	if info.ActiveProfile != "off" {
		t.Errorf("active profile %s", info.ActiveProfile)
	}
	owner.must(native.OpSetCardProfile, &native.SetPort{Index: 0, Port: "on"}, nil)
	var index native.IndexReply
	owner.must(native.OpLookupSink, &native.ByName{Name: sinkName}, &index)
	if err := owner.call(native.OpSetCardProfile, &native.SetPort{Index: 0, Port: "surround"}, nil); err != native.ErrNoEntity {
		t.Errorf("a profile that is not there: %v", err)
	}
	r.server.RemoveSink(sink)
	if err := owner.call(native.OpGetCardInfo, &native.ByIndexOrName{Index: 0}, nil); err != native.ErrNoEntity {
		t.Errorf("a card that is gone: %v", err)
	}
	if n := len(owner.news()); n < 5 {
		t.Errorf("the owner is told %d times", n)
	}
	var cards native.CardInfoList
	if helper.must(native.OpGetCardInfoList, nil, &cards); len(cards) != 0 {
		t.Error("a helper sees cards")
	}
	for _, e := range helper.news() {
		if e.Event.Facility() != native.EventSinkInput || e.Index != s.Index {
			t.Errorf("a helper is told %+v", e)
		}
	}
}

// A card that is pulled out and plugged in again has its streams back, and is the default again if it was.
func TestStreamsReturnToACard(t *testing.T) {
	r := newRig(t)
	dev := &laptop{Card: devicetest.New(r.clock, device.Config{}), active: "speaker"}
	sink := mixer.NewSink(r.clock, dev, func(string, ...any) {})
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	r.server.AddSink(sink)
	moved, helpers := owner.create(creation()), helper.create(creation())
	owner.must(native.OpMoveSinkInput, &native.MoveStream{Index: moved.Index, DeviceIndex: 1}, nil)
	on := func() (names [2]string) {
		names[0], names[1] = r.server.stream(moved.Index).sink.mixer.Name(), r.server.stream(helpers.Index).sink.mixer.Name()
		return names
	}
	plugged, unplugged := [2]string{"alsa:Lap top,0", "hand"}, [2]string{"hand", "hand"}
	for round, want := range [][2]string{plugged, unplugged, plugged, unplugged} {
		if got := on(); got != want {
			t.Fatalf("round %d: the owner's and the helper's stream play on %q", round, got)
		}
		if want == plugged {
			r.server.RemoveSink(sink)
		} else {
			r.server.AddSink(sink)
		}
	}
	// As the default it takes all along, and has them back, unless the owner has decided otherwise meanwhile.
	const name = "alsa_output.Lap.top.0"
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: name}, nil)
	r.server.memory.SetDefaultSink("")
	for round := range 2 {
		if got := on(); got != [2]string{"alsa:Lap top,0", "alsa:Lap top,0"} {
			t.Fatalf("round %d: with the card as default they play on %q", round, got)
		}
		if r.server.RemoveSink(sink); on() != unplugged {
			t.Fatalf("round %d: with the default gone they play on %q", round, on())
		}
		if round == 1 {
			owner.must(native.OpSetDefaultSink, &native.ByName{Name: r.server.sinks[0].name}, nil)
			owner.must(native.OpMoveSinkInput, &native.MoveStream{Index: moved.Index, DeviceIndex: r.server.sinks[0].index}, nil)
		}
		r.server.AddSink(sink)
	}
	if got := on(); got != unplugged {
		t.Errorf("against the owner's word they play on %q", got)
	}
}

// headset is a card's capture side, with two microphones.
type headset struct {
	*devicetest.Mic
	active string
}

func (h *headset) Name() string { return "alsa:Lap top,0" }
func (h *headset) Ports() ([]device.Port, string) {
	return []device.Port{{Name: "inner"}, {Name: "boom", Plug: device.Plugged}}, h.active
}
func (h *headset) SetPort(name string) error { h.active = name; return nil }
func (h *headset) OnPorts(func())            {}

// A card that plays and captures is one card, whose source comes and goes with it.
func TestCardsThatCapture(t *testing.T) {
	r := newMicRig(t, device.Config{})
	owner := r.connect(ownerUID, policy.Owner, 35)
	owner.subscribe()
	sink := mixer.NewSink(r.clock, &laptop{Card: devicetest.New(r.clock, device.Config{}), active: "speaker"}, t.Logf)
	dev := &headset{Mic: devicetest.NewMic(r.clock, device.Config{}), active: "inner"}
	source := mixer.NewSource(r.clock, dev, t.Logf)
	const name = "alsa_input.Lap.top.0"
	r.server.AddSink(sink)
	r.server.AddSource(source)

	card := func() (info native.CardInfo) {
		owner.must(native.OpGetCardInfo, &native.ByIndexOrName{Index: native.Invalid, Name: "alsa_card.Lap.top"}, &info)
		return info
	}
	look := func() (info native.SourceInfo, err error) {
		err = owner.call(native.OpGetSourceInfo, &native.ByIndexOrName{Index: native.Invalid, Name: name}, &info)
		return info, err
	}
	if c := card(); c.Profiles[0].Sinks != 1 || c.Profiles[0].Sources != 1 || len(c.Ports) != 4 || c.Ports[3].Name != "boom" || c.Ports[3].Direction != 2 {
		t.Errorf("%+v", c)
	}
	if o, err := look(); err != nil || o.Card != card().Index || len(o.Ports) != 2 || o.ActivePort != "inner" {
		t.Errorf("%+v, %v", o, err)
	}
	owner.must(native.OpSetSourcePort, &native.SetPort{Index: native.Invalid, Name: name, Port: "boom"}, nil)
	if dev.active != "boom" {
		t.Error("the port was not changed")
	}
	if err := owner.call(native.OpSetSourcePort, &native.SetPort{Index: native.Invalid, Name: name, Port: "none"}, nil); err != native.ErrNoEntity {
		t.Errorf("a port that is not there: %v", err)
	}

	request := recordingRequest()
	request.SourceName = name
	owner.record(request)
	on := func() string { return r.server.records[0].source.name }
	owner.must(native.OpSetCardProfile, &native.SetPort{Index: native.Invalid, Name: "alsa_card.Lap.top", Port: "off"}, nil)
	if _, err := look(); err != native.ErrNoEntity || on() == name || dev.IsOpen() {
		t.Errorf("switched off: %v, recording from %s, open %v", err, on(), dev.IsOpen())
	}
	owner.must(native.OpSetCardProfile, &native.SetPort{Index: native.Invalid, Name: "alsa_card.Lap.top", Port: "on"}, nil)
	if on() != name {
		t.Error("switched on again, but recording goes on from ", on())
	}
	r.server.RemoveSink(sink)
	if c := card(); c.Profiles[0].Sinks != 0 {
		t.Errorf("%+v", c)
	}
	r.server.RemoveSource(source)
	if on() == name || len(r.server.cards) != 0 {
		t.Errorf("unplugged: recording from %s, cards %v", on(), r.server.cards)
	}
	r.server.AddSource(source)
	if on() != name {
		t.Error("plugged in again, but recording goes on from ", on())
	}
}

// Who records what is heard goes on with that when the card leaves, and with what is heard on the card when it is back: never with the microphone.
func TestMonitorsGoAlong(t *testing.T) {
	r := newMicRig(t, device.Config{})
	dev := &laptop{Card: devicetest.New(r.clock, device.Config{}), active: "speaker"}
	sink := mixer.NewSink(r.clock, dev, func(string, ...any) {})
	r.server.AddSink(sink)
	owner := r.connect(ownerUID, policy.Owner, 35)
	const name = "alsa_output.Lap.top.0"
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: name}, nil)
	m := recordingRequest()
	m.SourceName = "@DEFAULT_MONITOR@"
	s := owner.record(m)
	for round, want := range []string{name + ".monitor", "hand.monitor", name + ".monitor", "hand.monitor"} {
		var info native.SourceOutputInfo
		owner.must(native.OpGetSourceOutputInfo, &native.ByIndex{Index: s.Index}, &info)
		if from := r.server.recordOf(s.Index).source; from.name != want || info.Source != from.index {
			t.Errorf("round %d: it records from %s, want %s", round, from.name, want)
		}
		if round%2 == 0 {
			r.server.RemoveSink(sink)
		} else {
			r.server.AddSink(sink)
		}
	}
}
