package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
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

// What keeps users apart, tried with commands that nobody thought of: two helpers and the owner send whatever there is to send, about their own
// things and each other's.

// requests is every request but AUTH, with a message of its kind.
var requests = map[native.Op]native.Message{
	native.OpSetClientName: &native.SetClientName{}, native.OpUpdateClientProplist: &native.UpdateClientProps{}, native.OpRemoveClientProplist: &native.RemoveClientProps{},
	native.OpGetServerInfo: nil, native.OpStat: nil, native.OpLookupSink: &native.ByName{}, native.OpLookupSource: &native.ByName{},
	native.OpGetSinkInfo: &native.ByIndexOrName{}, native.OpGetSinkInfoList: nil, native.OpGetSourceInfo: &native.ByIndexOrName{}, native.OpGetSourceInfoList: nil,
	native.OpGetClientInfo: &native.ByIndex{}, native.OpGetClientInfoList: nil, native.OpGetSinkInputInfo: &native.ByIndex{}, native.OpGetSinkInputInfoList: nil,
	native.OpGetSourceOutputInfo: &native.ByIndex{}, native.OpGetSourceOutputInfoList: nil, native.OpGetModuleInfo: &native.ByIndex{}, native.OpGetModuleInfoList: nil,
	native.OpGetCardInfo: &native.ByIndexOrName{}, native.OpGetCardInfoList: nil, native.OpGetSampleInfo: &native.ByIndexOrName{}, native.OpGetSampleInfoList: nil,
	native.OpSubscribe: &native.Subscribe{}, native.OpSendObjectMessage: &native.SendObjectMessage{}, native.OpExtension: &native.Extension{},
	native.OpCreateUploadStream: &native.CreateUploadStream{}, native.OpFinishUploadStream: &native.ByIndex{}, native.OpDeleteUploadStream: &native.ByIndex{},
	native.OpPlaySample: &native.PlaySample{}, native.OpRemoveSample: &native.ByName{},
	native.OpCreatePlaybackStream: &native.CreatePlaybackStream{}, native.OpDeletePlaybackStream: &native.ByIndex{}, native.OpDrainPlaybackStream: &native.ByIndex{},
	native.OpCorkPlaybackStream: &native.Cork{}, native.OpFlushPlaybackStream: &native.ByIndex{}, native.OpTriggerPlaybackStream: &native.ByIndex{},
	native.OpPrebufPlaybackStream: &native.ByIndex{}, native.OpGetPlaybackLatency: &native.GetLatency{}, native.OpSetPlaybackStreamBufferAttr: &native.SetPlaybackBufferAttr{},
	native.OpUpdatePlaybackStreamSampleRate: &native.UpdateRate{}, native.OpSetPlaybackStreamName: &native.SetStreamName{},
	native.OpUpdatePlaybackStreamProplist: &native.UpdateStreamProps{}, native.OpRemovePlaybackStreamProplist: &native.RemoveStreamProps{},
	native.OpSetSinkInputVolume: &native.SetVolume{}, native.OpSetSinkInputMute: &native.SetMute{},
	native.OpCreateRecordStream: &native.CreateRecordStream{}, native.OpDeleteRecordStream: &native.ByIndex{}, native.OpCorkRecordStream: &native.Cork{},
	native.OpFlushRecordStream: &native.ByIndex{}, native.OpGetRecordLatency: &native.GetLatency{}, native.OpSetRecordStreamBufferAttr: &native.SetRecordBufferAttr{},
	native.OpSetRecordStreamName: &native.SetStreamName{}, native.OpUpdateRecordStreamProplist: &native.UpdateStreamProps{},
	native.OpRemoveRecordStreamProplist: &native.RemoveStreamProps{}, native.OpUpdateRecordStreamSampleRate: &native.UpdateRate{},
	native.OpSetSourceOutputVolume: &native.SetVolume{}, native.OpSetSourceOutputMute: &native.SetMute{},
	native.OpExit: nil, native.OpLoadModule: &native.ByName{}, native.OpUnloadModule: &native.ByIndex{},
	native.OpSetSinkVolume: &native.SetDeviceVolume{}, native.OpSetSinkMute: &native.SetDeviceMute{}, native.OpSetSourceVolume: &native.SetDeviceVolume{},
	native.OpSetSourceMute: &native.SetDeviceMute{}, native.OpSetDefaultSink: &native.ByName{}, native.OpSetDefaultSource: &native.ByName{},
	native.OpKillClient: &native.ByIndex{}, native.OpKillSinkInput: &native.ByIndex{}, native.OpKillSourceOutput: &native.ByIndex{},
	native.OpMoveSinkInput: &native.MoveStream{}, native.OpMoveSourceOutput: &native.MoveStream{}, native.OpSuspendSink: &native.SuspendDevice{},
	native.OpSuspendSource: &native.SuspendDevice{}, native.OpSetCardProfile: &native.SetPort{}, native.OpSetSinkPort: &native.SetPort{},
	native.OpSetSourcePort: &native.SetPort{}, native.OpSetPortLatencyOffset: &native.SetPortLatencyOffset{},
}

// secret is a card whose name no helper may hear.
type secret struct{ laptop }

func (s *secret) Name() string        { return "alsa:SecretCard,0" }
func (s *secret) Description() string { return "SecretCard" }

// world is a server with a secret, and users whose numbers are known to the test.
type world struct {
	*rig
	bases   map[uint32]uint32
	indices []uint32 // that somebody may name
	names   []string
}

func newWorld(t *testing.T) *world {
	w := &world{rig: newRig(t), bases: map[uint32]uint32{ownerUID: 3001 * spaceSize, helperUID: 3002 * spaceSize, otherUID: 3003 * spaceSize}}
	dev := &secret{laptop{Card: devicetest.New(w.clock, device.Config{Rate: 44100}), active: "speaker"}}
	w.server.AddSink(mixer.NewSink(w.clock, dev, func(string, ...any) {}))
	w.server.AddSource(mixer.NewSource(w.clock, devicetest.NewMic(w.clock, device.Config{Rate: 44100}), func(string, ...any) {}))
	w.server.Microphone(helperUID, memory.Allow)
	w.server.runs, w.server.host = "OwnersName", "OwnersHost"
	w.names = []string{"", virtualName, "@DEFAULT_SINK@", "@DEFAULT_SOURCE@", "@DEFAULT_MONITOR@", "0", "1", "hand", "alsa_output.SecretCard.0", "alsa_card.SecretCard", "hand.monitor", microphoneName,
		"on", "off", "speaker", ControlPath, MessageStatus, MessageUser, `{"uid":1001,"muted":false}`, native.StreamRestoreModule}
	for uid, base := range w.bases {
		u := w.server.user(uid, grantOf(uid))
		u.base, u.name = base, "NameOf"+marker(uid)
		w.names = append(w.names, marker(uid))
		for i := range uint32(24) {
			w.indices = append(w.indices, base+i)
		}
	}
	slices.Sort(w.names[len(w.names)-3:])
	slices.Sort(w.indices)
	return w
}

func grantOf(uid uint32) policy.Grant {
	if uid == ownerUID {
		return policy.Owner
	}
	return policy.Playback
}

// marker is in all that a user names.
func marker(uid uint32) string { return fmt.Sprintf("Marker%d", uid) }

// fill makes up the fields of a message.
func (w *world) fill(rnd *rand.Rand, uid uint32, v reflect.Value) {
	pick := func() string { return w.names[rnd.IntN(len(w.names))] }
	props := native.Text("media.name", marker(uid), "application.name", marker(uid), "media.role", fmt.Sprint(rnd.IntN(3)))
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch f.Interface().(type) {
		case uint32:
			switch x := uint32(rnd.IntN(4)); {
			case name == "Channel" || name == "SyncID":
				f.SetUint(uint64(x))
			case name == "DirectOnInput" && rnd.IntN(4) > 0:
				f.SetUint(native.Invalid)
			case name == "Length":
				f.SetUint(960)
			case name == "Rate":
				f.SetUint(44100)
			case rnd.IntN(3) == 0:
				f.SetUint(uint64(x))
			case rnd.IntN(3) == 0:
				f.SetUint(native.Invalid)
			default:
				f.SetUint(uint64(w.indices[rnd.IntN(len(w.indices))]))
			}
		case string:
			f.SetString(pick())
		case bool:
			f.SetBool(rnd.IntN(2) == 0)
		case int64:
			f.SetInt(int64(rnd.IntN(40000) - 20000))
		case []byte:
			f.SetBytes([]byte{'L', 0, 0, 0, byte(rnd.IntN(6))})
		case []string:
			f.Set(reflect.ValueOf([]string{"media.role"}))
		case pcm.Spec:
			f.Set(reflect.ValueOf(creation().Spec))
		case pcm.ChannelMap:
			f.Set(reflect.ValueOf(pcm.StereoMap))
		case pcm.Volume:
			f.Set(reflect.ValueOf(pcm.Volume(rnd.IntN(0x18000))))
		case native.CVolume:
			f.Set(reflect.ValueOf(native.CVolume{pcm.Volume(rnd.IntN(0x18000))}))
		case native.PropList:
			f.Set(reflect.ValueOf(props))
		case native.BufferAttr:
			attr := whatever
			if rnd.IntN(2) == 0 {
				attr.TLength = 3840 // 20 ms, for which the device has to be written more often
			}
			f.Set(reflect.ValueOf(attr))
		case native.Mask:
			f.Set(reflect.ValueOf(native.MaskAll))
		case native.UpdateMode:
			f.Set(reflect.ValueOf(native.UpdateMode(rnd.IntN(3))))
		}
	}
	either := func(index *uint32, name *string) { // one of the two, mostly
		switch rnd.IntN(5) {
		case 0:
			*name = ""
		case 1:
			*name, *index = "", uint32(rnd.IntN(3))
		case 2, 3:
			*index = native.Invalid
		}
	}
	switch m := v.Addr().Interface().(type) { // a name for what is made is the user's own
	case *native.CreatePlaybackStream:
		m.Passthrough, m.FailOnSuspend = false, false
		if either(&m.SinkIndex, &m.SinkName); rnd.IntN(3) > 0 {
			m.SinkIndex, m.SinkName = native.Invalid, ""
		}
	case *native.CreateRecordStream:
		m.Passthrough, m.FailOnSuspend = false, false
		if either(&m.SourceIndex, &m.SourceName); rnd.IntN(3) > 0 {
			m.SourceIndex, m.SourceName = native.Invalid, ""
		}
	case *native.CreateUploadStream:
		m.Name = marker(uid)
	case *native.SetStreamName:
		m.Name = marker(uid)
	case *native.PlaySample:
		if either(&m.SinkIndex, &m.SinkName); rnd.IntN(2) == 0 {
			m.Name = marker(uid)
		}
	case *native.MoveStream:
		either(&m.DeviceIndex, &m.DeviceName)
	case *native.ByIndexOrName:
		either(&m.Index, &m.Name)
	case *native.SetDeviceVolume:
		either(&m.Index, &m.Name)
	case *native.SetDeviceMute:
		either(&m.Index, &m.Name)
	case *native.SuspendDevice:
		either(&m.Index, &m.Name)
	case *native.SetPort:
		m.Index, m.Port = uint32(rnd.IntN(2)), []string{"on", "off", "speaker", "phones"}[rnd.IntN(4)]
		if rnd.IntN(4) > 0 {
			m.Name = ""
		}
	case *native.SetPortLatencyOffset:
		m.Card, m.CardName, m.Port = uint32(rnd.IntN(2)), "", "speaker"
	case *native.Extension:
		m.Module, m.Name = native.Invalid, native.StreamRestoreModule
	case *native.SendObjectMessage:
		if rnd.IntN(2) == 0 {
			m.Path, m.Message = ControlPath, MessageStatus
		}
	}
}

func (w *world) request(rnd *rand.Rand, uid uint32, op native.Op) native.Message {
	kind := requests[op]
	if kind == nil {
		return nil
	}
	v := reflect.New(reflect.TypeOf(kind).Elem())
	w.fill(rnd, uid, v.Elem())
	return v.Interface().(native.Message)
}

// actor is one program of a user's.
type actor struct {
	*client
	uid uint32
	ops []native.Op
}

func (w *world) actor(uid uint32, but ...native.Op) *actor {
	a := &actor{uid: uid}
	for op := range native.NumOps {
		if _, ok := requests[op]; ok && !slices.Contains(but, op) {
			a.ops = append(a.ops, op)
		}
	}
	w.reconnect(a)
	return a
}

func (w *world) reconnect(a *actor) {
	a.client = w.open(a.uid, grantOf(a.uid))
	a.version = 35
	a.must(native.OpAuth, &native.Auth{Version: 35, Cookie: make([]byte, native.CookieSize)}, new(native.AuthReply))
	a.must(native.OpSetClientName, &native.SetClientName{Props: native.Text("application.name", marker(a.uid))}, new(native.IndexReply))
	a.must(native.OpSubscribe, &native.Subscribe{Mask: native.MaskAll}, nil)
}

// live is the numbers of all that there is.
func (w *world) live() (indices []uint32) {
	for _, c := range w.server.sessions {
		indices = append(indices, c.index)
	}
	for _, p := range w.server.streams {
		indices = append(indices, p.index)
	}
	for _, r := range w.server.records {
		indices = append(indices, r.index)
	}
	return indices
}

func describe(props native.PropList) string {
	var b bytes.Buffer
	for _, p := range props {
		b.WriteString(p.Key)
		b.Write(p.Value)
	}
	return b.String()
}

// others is all that there is but what is u's: nothing that u does may change it.
func (w *world) others(u *user) string {
	var b bytes.Buffer
	for _, c := range w.server.sessions {
		if c.user != u {
			fmt.Fprintln(&b, c.index, c.named, c.subscribed, describe(c.props), len(c.streams), c.fault)
		}
	}
	for _, p := range w.server.streams {
		if p.session.user != u {
			volume, muted := p.input.Volume()
			attr, _ := p.input.Attr()
			fmt.Fprintln(&b, p.index, p.sink.name, describe(p.props), volume, muted, p.input.Corked(), p.input.Spec(), attr)
		}
	}
	for _, k := range w.server.sinks {
		volume, muted := k.mixer.Volume()
		_, port := k.mixer.Ports()
		fmt.Fprintln(&b, k.index, k.name, volume, muted, k.mixer.State().Suspended, port, k == w.server.defaultSink)
	}
	for _, r := range w.server.records {
		if r.session.user != u {
			volume, muted := r.output.Volume()
			attr, _ := r.output.Attr()
			fmt.Fprintln(&b, r.index, r.source.name, r.output.Source().Name(), describe(r.props), volume, muted, r.output.Corked(), r.output.Spec(), attr)
		}
	}
	for _, o := range w.server.sources {
		volume, muted := o.mixer.Volume()
		fmt.Fprintln(&b, o.index, o.name, volume, muted, o.mixer.State().Suspended, o == w.server.defaultSource())
	}
	for _, uid := range []uint32{ownerUID, helperUID, otherUID} {
		if v := w.server.users[uid]; v != u {
			fmt.Fprintln(&b, uid, v.volume, v.muted, v.streams, len(v.samples), w.server.permission(v), v.mic.volume, v.mic.muted)
		}
	}
	return b.String()
}

// leak tells what of others' is in bytes that were sent to a helper: a name, or a number of theirs.
func (w *world) leak(sent []byte, uid uint32) string {
	for _, word := range []string{"Secret", "OwnersName", "OwnersHost", "hand", "speaker"} {
		if bytes.Contains(sent, []byte(word)) {
			return word
		}
	}
	for other, base := range w.bases {
		if other == uid {
			continue
		}
		if bytes.Contains(sent, []byte(marker(other))) {
			return marker(other)
		}
		for i := 0; i+5 <= len(sent); i++ {
			if n := binary.BigEndian.Uint32(sent[i+1:]); sent[i] == 'L' && n >= base && n < base+spaceSize {
				return fmt.Sprintf("number %d of %d", n-base, other)
			}
		}
	}
	return ""
}

func TestUsersAreApart(t *testing.T) {
	answered, done := map[native.Op]int{}, 0
	for seed := range uint64(4) {
		w := newWorld(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		actors := []*actor{w.actor(ownerUID), w.actor(helperUID), w.actor(helperUID), w.actor(otherUID), w.actor(otherUID)}
		for step := range 1200 {
			a := actors[rnd.IntN(len(actors))]
			op := a.ops[rnd.IntN(len(a.ops))]
			if rnd.IntN(5) == 0 {
				op = native.OpCreatePlaybackStream // without which all else is in vain
			}
			if len(a.s.streams) > 4 && op == native.OpCreatePlaybackStream {
				op = native.OpDeletePlaybackStream
			}
			if rnd.IntN(8) == 0 {
				op = native.OpCreateRecordStream
			}
			if len(a.s.records) > 4 && op == native.OpCreateRecordStream {
				op = native.OpDeleteRecordStream
			}
			if a.uid == ownerUID && rnd.IntN(3) == 0 {
				op = []native.Op{native.OpMoveSinkInput, native.OpMoveSourceOutput}[rnd.IntN(2)] // which take a stream and a device
			}
			w.indices = w.live()
			m := w.request(rnd, a.uid, op)
			if len(a.s.uploads) > 0 {
				a.sound(a.s.uploads[0].channel, make([]byte, 960))
				op, m = []native.Op{native.OpFinishUploadStream, native.OpDeleteUploadStream}[rnd.IntN(2)], &native.ByIndex{Index: a.s.uploads[0].channel}
			}
			u := w.server.users[a.uid]
			before := w.others(u)
			a.tag++
			a.s.Feed(native.AppendPacket(nil, 35, op, a.tag, m))
			if after := w.others(u); a.uid != ownerUID && after != before {
				t.Fatalf("seed %d step %d: %v %+v of %d changes what others have from\n%sto\n%s", seed, step, op, m, a.uid, before, after)
			}
			if p := a.s.playback(uint32(rnd.IntN(4))); p != nil {
				a.sound(p.channel, make([]byte, 19200))
			}
			w.clock.Advance(time.Duration(rnd.IntN(20)) * time.Millisecond)
			for i, c := range actors {
				sent := c.s.Outbox()
				if what := w.leak(sent, c.uid); c.uid != ownerUID && what != "" {
					t.Fatalf("seed %d step %d: after %v %+v of %d, %d is told of %s:\n%q", seed, step, op, m, a.uid, c.uid, what, sent)
				}
				tag := uint32(native.Invalid)
				if c == a {
					tag = a.tag
				}
				got, _ := c.take(tag)
				if c == a && got == native.OpReply {
					answered[op]++
				}
				c.news()
				if c.s.Fault() != nil { // killed by the owner
					if a.uid != ownerUID {
						t.Fatalf("seed %d step %d: %v %+v of %d ends a session of %d: %v", seed, step, op, m, a.uid, c.uid, c.s.Fault())
					}
					c.s.Close()
					w.reconnect(actors[i])
				}
			}
			done++
		}
	}
	served := 0
	for op := range requests {
		if lookup(op).do != nil {
			served++
		}
	}
	if len(answered) < served*9/10 {
		t.Errorf("of %d kinds of command only %d were ever carried out: %v", served, len(answered), answered)
	}
	t.Logf("%d commands of %d kinds", done, len(answered))
}

// asked is all that a helper is told, as it plays and asks by a script, while others do as they like; but for when it happens: the clock of its
// stream and what is still in its queue follow the device, which others keep awake.
func asked(t *testing.T, seed uint64, others bool) []string {
	w := newWorld(t)
	script, noise := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
	// What the owner does to a helper's streams and to its device is for the helper to notice. So is when a drain or a sample ends.
	meant := []native.Op{native.OpSetDefaultSink, native.OpKillClient, native.OpKillSinkInput, native.OpMoveSinkInput, native.OpSuspendSink, native.OpSetCardProfile,
		native.OpSetSinkPort, native.OpSetPortLatencyOffset, native.OpSendObjectMessage, native.OpSetSinkInputVolume, native.OpSetSinkInputMute,
		native.OpSetDefaultSource, native.OpKillSourceOutput, native.OpMoveSourceOutput, native.OpSuspendSource, native.OpSetSourceOutputVolume, native.OpSetSourceOutputMute}
	timed := []native.Op{native.OpGetPlaybackLatency, native.OpGetRecordLatency, native.OpDrainPlaybackStream, native.OpPlaySample}
	helper := w.actor(helperUID, timed...)
	var crowd []*actor
	if others {
		crowd = []*actor{w.actor(ownerUID, meant...), w.actor(otherUID)}
	}
	var told []string
	for step := range 500 {
		for _, a := range crowd {
			for range 3 {
				op := a.ops[noise.IntN(len(a.ops))]
				switch noise.IntN(8) {
				case 0, 1:
					op = native.OpCreatePlaybackStream
				case 2:
					op = native.OpCreateRecordStream
				}
				a.s.Feed(native.AppendPacket(nil, 35, op, 1, w.request(noise, a.uid, op)))
				if p := a.s.playback(uint32(noise.IntN(4))); p != nil {
					a.sound(p.channel, make([]byte, 19200))
				}
				a.take(native.Invalid)
				a.news()
			}
		}
		op := helper.ops[script.IntN(len(helper.ops))]
		switch script.IntN(12) {
		case 0, 1:
			op = native.OpCreatePlaybackStream
		case 2:
			op = native.OpCreateRecordStream
		}
		m := w.request(script, helperUID, op)
		helper.tag++
		helper.s.Feed(native.AppendPacket(nil, 35, op, helper.tag, m))
		got, fields := helper.take(helper.tag)
		answer := fmt.Sprintf("step %d, %v %+v: %v ", step, op, m, got)
		switch op {
		case native.OpGetSinkInputInfoList, native.OpGetSinkInputInfo:
			var list native.SinkInputInfoList
			if got == native.OpReply {
				if err := native.Decode(fields, 35, &list); err != nil {
					t.Fatal(err)
				}
			}
			for i := range list {
				list[i].BufferLatency = 0
			}
			answer += fmt.Sprintf("%+v", list)
		case native.OpGetSourceOutputInfoList, native.OpGetSourceOutputInfo:
			var list native.SourceOutputInfoList
			if got == native.OpReply {
				if err := native.Decode(fields, 35, &list); err != nil {
					t.Fatal(err)
				}
			}
			for i := range list {
				list[i].BufferLatency = 0
			}
			answer += fmt.Sprintf("%+v", list)
		default:
			answer += fmt.Sprintf("%q", fields)
		}
		for _, p := range helper.s.streams { // enough that it never runs dry
			if p != nil && !p.input.Corked() && p.input.State().Queued < 2500*time.Millisecond {
				helper.sound(p.channel, make([]byte, 192000))
			}
		}
		w.clock.Advance(10 * time.Millisecond)
		told = append(told, answer+fmt.Sprint(helper.news()))
		if err := helper.s.Fault(); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
	}
	return told
}

// Whatever a helper asks, the answer is the same whether the owner and others play, or are not even there.
func TestOthersDoNotShow(t *testing.T) {
	for seed := range uint64(4) {
		alone, crowded := asked(t, seed, false), asked(t, seed, true)
		for i := range alone {
			if alone[i] != crowded[i] {
				t.Fatalf("seed %d: alone:\n%s\nwhile others do things:\n%s", seed, alone[i], crowded[i])
			}
		}
	}
}
