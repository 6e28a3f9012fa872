package session

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

const (
	ownerUID  = 1000
	helperUID = 1001
	otherUID  = 1002
)

// rig is a whole server on a card and a clock moved by hand.
type rig struct {
	t      *testing.T
	clock  *loop.Hand
	card   *devicetest.Card
	sink   *mixer.Sink // on card, the server's default
	server *Server
}

func newRig(t *testing.T) *rig { return newRigOn(t, device.Config{}) }

func newRigOn(t *testing.T, conf device.Config) *rig {
	clock := new(loop.Hand)
	clock.Advance(time.Second)
	card := devicetest.New(clock, conf)
	quiet := func(string, ...any) {}
	r := &rig{t: t, clock: clock, card: card, sink: mixer.NewSink(clock, card, quiet), server: NewServer(clock, policy.NewRefusals(quiet), quiet)}
	r.server.AddSink(r.sink)
	return r
}

// client is the other end of a session.
type client struct {
	t       *testing.T
	s       *Session
	version uint32
	tag     uint32
	events  []event
	wanted  map[uint32]int    // bytes by channel, from REQUESTs and creation
	heard   map[uint32][]byte // by channel of a record stream
	pieces  int               // the longest packet of it
}

type event struct {
	op     native.Op
	fields []byte
}

func (r *rig) open(uid uint32, grant policy.Grant) *client {
	c := &client{t: r.t, wanted: map[uint32]int{}, heard: map[uint32][]byte{}}
	c.s = r.server.Open(policy.Peer{UID: uid}, grant, func() error { return nil }, func() {})
	return c
}

// connect is open, and the handshake of a client that speaks the given version.
func (r *rig) connect(uid uint32, grant policy.Grant, version uint32) *client {
	r.t.Helper()
	c := r.open(uid, grant)
	c.version = version
	var reply native.AuthReply
	c.must(native.OpAuth, &native.Auth{Version: version | 3<<30, Cookie: make([]byte, native.CookieSize)}, &reply)
	if reply.Version != native.Version {
		r.t.Fatalf("AUTH was answered with %#x, not a bare %d", reply.Version, native.Version)
	}
	var index native.IndexReply
	c.must(native.OpSetClientName, &native.SetClientName{Props: native.Text("application.name", fmt.Sprintf("test of %d", uid))}, &index)
	if index.Index == native.Invalid {
		r.t.Fatal("no client index")
	}
	return c
}

const nothing = native.OpTimeout // which is never on the wire

// take empties the outbox, and returns the packet that answers tag, or nothing.
func (c *client) take(tag uint32) (_ native.Op, fields []byte) {
	c.t.Helper()
	out := c.s.Outbox()
	op, n := nothing, len(out)
	for len(out) > 0 {
		end := native.HeaderSize + int(binary.BigEndian.Uint32(out)) // lists may be longer than what clients may send
		head, payload := out[:native.HeaderSize], append([]byte(nil), out[native.HeaderSize:end]...)
		out = out[end:]
		if channel := binary.BigEndian.Uint32(head[4:]); channel != native.Invalid {
			c.heard[channel] = append(c.heard[channel], payload...)
			c.pieces = max(c.pieces, len(payload))
			continue
		}
		o, g, f, err := native.ParseControl(payload)
		if err != nil {
			c.t.Fatal(err)
		}
		switch {
		case g == tag && g != native.Invalid:
			op, fields = o, f
		case g == native.Invalid:
			c.events = append(c.events, event{o, f})
			if o == native.OpRequest {
				var m native.Request
				if err := native.Decode(f, c.version, &m); err != nil {
					c.t.Fatal(err)
				}
				c.wanted[m.Channel] += int(m.Length)
			}
		}
	}
	c.s.Sent(n)
	return op, fields
}

// call sends a request and returns its answer: nil, a Code, or the session's fault.
func (c *client) call(op native.Op, m, reply native.Message) error {
	c.t.Helper()
	c.take(native.Invalid)
	c.tag++
	if err := c.s.Feed(native.AppendPacket(nil, c.version, op, c.tag, m)); err != nil {
		return err
	}
	got, fields := c.take(c.tag)
	switch got {
	case native.OpReply:
		if err := native.Decode(fields, c.version, reply); err != nil {
			c.t.Fatalf("the answer to %v at version %d: %v", op, c.version, err)
		}
		return nil
	case native.OpError:
		return native.Code(binary.BigEndian.Uint32(fields[1:]))
	}
	return errNoAnswer
}

var errNoAnswer = errors.New("no answer")

func (c *client) must(op native.Op, m, reply native.Message) {
	c.t.Helper()
	if err := c.call(op, m, reply); err != nil {
		c.t.Fatalf("%v: %v", op, err)
	}
}

func (c *client) sound(channel uint32, p []byte) {
	c.s.Feed(append(native.AppendHeader(nil, native.Header{Length: uint32(len(p)), Channel: channel}), p...))
}

var whatever = native.BufferAttr{MaxLength: native.Invalid, TLength: native.Invalid, Prebuf: native.Invalid, MinReq: native.Invalid}

func creation() *native.CreatePlaybackStream {
	return &native.CreatePlaybackStream{Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, SinkIndex: native.Invalid, Attr: whatever,
		Volume: native.NormVolume(2), Props: native.Text("media.name", "tune")}
}

func (c *client) create(m *native.CreatePlaybackStream) native.CreatePlaybackStreamReply {
	c.t.Helper()
	var reply native.CreatePlaybackStreamReply
	c.must(native.OpCreatePlaybackStream, m, &reply)
	c.wanted[reply.Channel] += int(reply.Missing)
	return reply
}

func (c *client) saw(op native.Op) (n int) {
	c.take(native.Invalid)
	for _, e := range c.events {
		if e.op == op {
			n++
		}
	}
	return n
}

func TestEveryVersionPlays(t *testing.T) {
	for version := uint32(native.MinVersion); version <= native.Version; version++ {
		r := newRig(t)
		c := r.connect(helperUID, policy.Playback, version)
		reply := c.create(creation())
		if reply.Spec != creation().Spec || reply.Map.String() != pcm.StereoMap.String() || reply.SinkName == "" || reply.Missing == 0 {
			t.Fatalf("version %d: %+v", version, reply)
		}
		c.sound(reply.Channel, make([]byte, reply.Missing))
		r.clock.Advance(500 * time.Millisecond)
		if c.saw(native.OpStarted) != 1 || c.saw(native.OpRequest) == 0 {
			t.Errorf("version %d: %d STARTED, %d REQUESTs", version, c.saw(native.OpStarted), c.saw(native.OpRequest))
		}
		for op, m := range map[native.Op]native.Message{native.OpGetServerInfo: new(native.ServerInfo), native.OpGetSinkInfoList: new(native.SinkInfoList),
			native.OpGetSinkInputInfoList: new(native.SinkInputInfoList), native.OpGetClientInfoList: new(native.ClientInfoList), native.OpStat: new(native.StatReply),
			native.OpGetSourceInfoList: new(native.SourceInfoList), native.OpGetCardInfoList: new(native.CardInfoList)} {
			c.must(op, nil, m)
		}
		var latency native.PlaybackLatency
		c.must(native.OpGetPlaybackLatency, &native.GetLatency{Channel: reply.Channel, Time: native.Timeval{Sec: 7, Usec: 8}}, &latency)
		if !latency.Playing || latency.ClientTime != (native.Timeval{Sec: 7, Usec: 8}) || latency.ReadIndex == 0 {
			t.Errorf("version %d: %+v", version, latency)
		}
		c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: reply.Channel}, nil)
	}
}

// SDL 2 dies of a server without the name of a default source.
func TestServerInfoNamesBothDefaults(t *testing.T) {
	r := newRig(t)
	for uid, grant := range map[uint32]policy.Grant{ownerUID: policy.Owner, helperUID: policy.Playback} {
		var info native.ServerInfo
		r.connect(uid, grant, 35).must(native.OpGetServerInfo, nil, &info)
		if info.DefaultSink == "" || info.DefaultSource == "" {
			t.Errorf("%+v", info)
		}
	}
}

func TestOldAndUnauthenticatedClients(t *testing.T) {
	r := newRig(t)
	c := r.open(helperUID, policy.Playback)
	c.version = 13
	if err := c.call(native.OpGetServerInfo, nil, nil); err != native.ErrAccess {
		t.Errorf("before AUTH: %v, want access denied", err)
	}
	if err := c.call(native.OpAuth, &native.Auth{Version: 12, Cookie: make([]byte, native.CookieSize)}, nil); err != native.ErrVersion {
		t.Errorf("version 12: %v", err)
	}
	r.clock.Advance(authTime)
	if c.s.Fault() == nil {
		t.Error("a client that never authenticates is kept")
	}
	silent := r.open(helperUID, policy.Playback)
	if err := silent.s.Feed(append(native.AppendHeader(nil, native.Header{Length: 4, Channel: 0}), 1, 2, 3, 4)); err == nil {
		t.Error("sound before AUTH is taken")
	}
}

func TestRecheckAfterTheHandshake(t *testing.T) {
	r := newRig(t)
	c := r.open(helperUID, policy.Playback)
	c.version = 35
	gone := &policy.Refusal{Reason: policy.Changed}
	c.s.recheck = func() error { return gone }
	if err := c.call(native.OpAuth, &native.Auth{Version: 35, Cookie: make([]byte, native.CookieSize)}, nil); !errors.Is(err, gone) {
		t.Errorf("a peer that changed: %v", err)
	}
	if len(c.s.Outbox()) != 0 {
		t.Error("it was answered all the same")
	}
}

func TestFormatNegotiation(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Spec, m.Map = pcm.Spec{Format: pcm.FormatInvalid}, pcm.ChannelMap{}
	m.Formats = []native.FormatInfo{{Encoding: 3}, native.PCM(pcm.Spec{Format: pcm.S24LE, Channels: 6, Rate: 96000}, pcm.DefaultMap(6))}
	reply := c.create(m)
	if want := (pcm.Spec{Format: pcm.S24LE, Channels: 6, Rate: 96000}); reply.Spec != want || reply.Format.Encoding != native.EncodingPCM {
		t.Errorf("format API: %+v", reply)
	}
	m.Formats = []native.FormatInfo{{Encoding: native.EncodingPCM}}
	if reply = c.create(m); reply.Spec.Rate != 48000 || reply.Spec.Channels != 2 {
		t.Errorf("a format info that leaves all open: %+v", reply.Spec)
	}
	m.Formats = m.Formats[:0]
	if err := c.call(native.OpCreatePlaybackStream, m, nil); err != native.ErrInvalid {
		t.Errorf("no format at all: %v", err)
	}
	m = creation()
	m.Spec.Rate, m.FixRate, m.FixFormat = 44100, true, true
	if reply = c.create(m); reply.Spec.Rate != 48000 || reply.Spec.Format != pcm.Float32LE {
		t.Errorf("FIX flags: %+v", reply.Spec)
	}
	for _, bad := range []pcm.Spec{{Format: 99, Channels: 2, Rate: 48000}, {Format: pcm.S16LE, Channels: 0, Rate: 48000}, {Format: pcm.S16LE, Channels: 9, Rate: 48000},
		{Format: pcm.S16LE, Channels: 2, Rate: 0}, {Format: pcm.S16LE, Channels: 2, Rate: 384001}, {Format: pcm.S16LE, Channels: 1, Rate: 48000}} {
		m = creation()
		m.Spec = bad
		if err := c.call(native.OpCreatePlaybackStream, m, nil); err != native.ErrInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	m = creation()
	m.SinkIndex, m.SinkName = 0, virtualName
	if err := c.call(native.OpCreatePlaybackStream, m, nil); err != native.ErrInvalid {
		t.Errorf("index and name at once: %v", err)
	}
	m = creation()
	m.SinkName = "alsa_output.pci"
	if err := c.call(native.OpCreatePlaybackStream, m, nil); err != native.ErrNoEntity {
		t.Errorf("another sink: %v", err)
	}
	if n := len(r.server.streams); n != 3 {
		t.Errorf("%d streams after the refused ones, want 3", n)
	}
}

func TestDrainAndDelete(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	reply := c.create(creation())
	c.sound(reply.Channel, make([]byte, 4800*4))
	if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: reply.Channel}, nil); err != errNoAnswer {
		t.Fatalf("DRAIN was answered at once: %v", err)
	}
	r.clock.Advance(90 * time.Millisecond)
	if op, _ := c.take(c.tag); op != nothing {
		t.Fatalf("DRAIN was answered before the sound was heard: %v", op)
	}
	r.clock.Advance(100 * time.Millisecond)
	if op, _ := c.take(c.tag); op != native.OpReply {
		t.Error("DRAIN was not answered")
	}
	if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: reply.Channel}, nil); err != nil {
		t.Errorf("DRAIN of an empty stream: %v", err)
	}
	c.sound(reply.Channel, make([]byte, 4800*4))
	c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: reply.Channel}, nil)
	waiting := c.tag
	c.s.Feed(native.AppendPacket(nil, 35, native.OpDeletePlaybackStream, 9999, &native.ByIndex{Index: reply.Channel}))
	if op, fields := c.take(waiting); op != native.OpError || len(fields) == 0 {
		t.Error("DRAIN of a deleted stream was not answered with an error")
	}
	if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: reply.Channel}, nil); err != native.ErrNoEntity {
		t.Errorf("DRAIN of no stream: %v", err)
	}
	c.sound(reply.Channel, make([]byte, 100)) // crosses the deletion on the wire
	c.must(native.OpGetServerInfo, nil, new(native.ServerInfo))
}

func TestUsersSeeOnlyTheirOwn(t *testing.T) {
	r := newRig(t)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	other := r.connect(otherUID, policy.Playback, 35)
	for _, c := range []*client{owner, helper, other} {
		c.must(native.OpSubscribe, &native.Subscribe{Mask: native.MaskAll}, nil)
	}
	hers := helper.create(creation())
	theirs := other.create(creation())

	var list native.SinkInputInfoList
	helper.must(native.OpGetSinkInputInfoList, nil, &list)
	if len(list) != 1 || list[0].Index != hers.Index {
		t.Errorf("the helper sees %+v", list)
	}
	owner.must(native.OpGetSinkInputInfoList, nil, &list)
	if len(list) != 2 {
		t.Errorf("the owner sees %d streams", len(list))
	}
	var clients native.ClientInfoList
	helper.must(native.OpGetClientInfoList, nil, &clients)
	if len(clients) != 1 {
		t.Errorf("the helper sees %d clients", len(clients))
	}
	for op, m := range map[native.Op]native.Message{
		native.OpGetSinkInputInfo:   &native.ByIndex{Index: theirs.Index},
		native.OpSetSinkInputVolume: &native.SetVolume{Index: theirs.Index, Volume: native.CVolume{0}},
		native.OpSetSinkInputMute:   &native.SetMute{Index: theirs.Index, Muted: true},
		native.OpGetClientInfo:      &native.ByIndex{Index: other.s.index},
	} {
		if err := helper.call(op, m, nil); err != native.ErrNoEntity {
			t.Errorf("%v of another user's: %v, want no such entity", op, err)
		}
	}
	for _, op := range []native.Op{native.OpExit, native.OpLoadModule, native.OpKillClient, native.OpKillSinkInput, native.OpSuspendSink,
		native.OpMoveSinkInput, native.OpSetDefaultSink, native.OpSetCardProfile} {
		if err := helper.call(op, &native.ByIndex{Index: 0}, nil); err != native.ErrAccess {
			t.Errorf("%v by a helper: %v, want access denied", op, err)
		}
	}
	if err := helper.call(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageStatus}, nil); err != native.ErrNoEntity {
		t.Errorf("status asked by a helper: %v", err)
	}
	owner.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: theirs.Index, Volume: native.CVolume{0x8000}}, nil)
	for _, e := range helper.events {
		if e.op == native.OpSubscribeEvent {
			var m native.SubscribeEvent
			native.Decode(e.fields, 35, &m)
			if m.Event.Facility() == native.EventSinkInput && m.Index != hers.Index {
				t.Errorf("the helper was told of %+v", m)
			}
		}
	}
	if owner.saw(native.OpSubscribeEvent) < 3 {
		t.Errorf("the owner was told %d times", owner.saw(native.OpSubscribeEvent))
	}
	if hers.Index/spaceSize == theirs.Index/spaceSize {
		t.Error("two users' objects are counted in one row")
	}
}

func TestStatusTellsTheOwner(t *testing.T) {
	r := newRig(t)
	owner := r.connect(ownerUID, policy.Owner, 35)
	helper := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Props = native.Text("media.name", "evil\x1b[31m‮tune")
	s := helper.create(m)
	loud := make([]byte, s.Missing)
	for i := 0; i+1 < len(loud); i += 2 {
		binary.LittleEndian.PutUint16(loud[i:], 16384)
	}
	helper.sound(s.Channel, loud)
	r.clock.Advance(100 * time.Millisecond)
	r.server.refusals.Add(time.Now(), &policy.Refusal{Peer: policy.Peer{UID: 4242, Transport: policy.TCP}, Reason: policy.NoGrant})
	var reply native.SendObjectMessageReply
	owner.must(native.OpSendObjectMessage, &native.SendObjectMessage{Path: ControlPath, Message: MessageStatus}, &reply)
	var st Status
	if err := json.Unmarshal([]byte(reply.Response), &st); err != nil {
		t.Fatal(err)
	}
	if len(st.Connections) != 2 || len(st.Streams) != 1 || st.Refused.Total != 1 || *st.Refused.Newest[0].UID != 4242 || !st.Default().Open {
		t.Errorf("%+v", st)
	}
	if p := st.Streams[0].Peak; p < 0.4 || p > 0.51 {
		t.Errorf("peak %v of a stream at half scale", p)
	}
	if strings.ContainsAny(st.Streams[0].Name, "\x1b\u202e") {
		t.Errorf("name %q can play tricks on a terminal", st.Streams[0].Name)
	}
}

func TestMalformedEndsThatSessionOnly(t *testing.T) {
	r := newRig(t)
	good := r.connect(helperUID, policy.Playback, 35)
	valid := native.AppendPacket(nil, 35, native.OpGetServerInfo, 1, nil)
	cases := map[string][]byte{
		"an empty packet":       native.AppendHeader(nil, native.Header{Channel: native.ControlChannel}),
		"4 GiB":                 native.AppendHeader(nil, native.Header{Length: 1<<32 - 1, Channel: native.ControlChannel}),
		"17 MiB of sound":       native.AppendHeader(nil, native.Header{Length: 17 << 20}),
		"an unknown seek mode":  native.AppendHeader(nil, native.Header{Length: 4, Seek: 9}),
		"shared memory":         append(native.AppendHeader(nil, native.Header{Length: 4})[:16], 0x80, 0, 0, 0),
		"flags on control":      append(native.AppendHeader(nil, native.Header{Length: 4, Channel: native.ControlChannel})[:16], 0, 0, 0, 1),
		"no tag":                append(native.AppendHeader(nil, native.Header{Length: 5, Channel: native.ControlChannel}), 'L', 0, 0, 0, 20),
		"another kind of value": append(native.AppendHeader(nil, native.Header{Length: 11, Channel: native.ControlChannel}), 'L', 0, 0, 0, 35, 'L', 0, 0, 0, 1, '1'),
		"trailing bytes":        append(native.AppendHeader(nil, native.Header{Length: 11, Channel: native.ControlChannel}), 'L', 0, 0, 0, 20, 'L', 0, 0, 0, 1, '1'),
		"a huge blob":           append(native.AppendHeader(nil, native.Header{Length: 15, Channel: native.ControlChannel}), 'L', 0, 0, 0, 9, 'L', 0, 0, 0, 1, 'P', 't', 'k', 0, 'L'),
		"a string without end":  append(native.AppendHeader(nil, native.Header{Length: 13, Channel: native.ControlChannel}), 'L', 0, 0, 0, 10, 'L', 0, 0, 0, 1, 't', 'a', 'b'),
		"a second handshake":    native.AppendPacket(nil, 35, native.OpAuth, 1, &native.Auth{Version: 35, Cookie: make([]byte, native.CookieSize)}),
	}
	for name, packet := range cases {
		c := r.connect(otherUID, policy.Playback, 35)
		c.create(creation())
		if err := c.s.Feed(append(packet, valid...)); err == nil {
			t.Errorf("%s: the session goes on", name)
		}
		c.s.Close()
		good.must(native.OpGetServerInfo, nil, new(native.ServerInfo))
	}
	if len(r.server.sessions) != 1 || len(r.server.streams) != 0 {
		t.Errorf("%d sessions and %d streams are left", len(r.server.sessions), len(r.server.streams))
	}
}

func TestUnknownCommandsAreAnswered(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	for op := native.Op(0); op < native.NumOps+20; op++ {
		if h := lookup(op); h.do != nil || h.answer != native.OK || h.grant != policy.None {
			continue
		}
		if err := c.call(op, &native.ByIndex{Index: 0}, nil); err != native.ErrNotImplemented {
			t.Errorf("%v: %v, want not implemented", op, err)
		}
	}
}

func TestSoundAllocatesNothing(t *testing.T) {
	soundAllocatesNothing(t, mixer.Quality{}, 48000)
	soundAllocatesNothing(t, mixer.Quality{Resampler: pcm.Best, Dither: true}, 44100)
}

func soundAllocatesNothing(t *testing.T, q mixer.Quality, rate uint32) {
	r := newRigOn(t, device.Config{Bits: 16})
	r.sink.SetQuality(q)
	c := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Spec.Rate, m.Attr.TLength, m.AdjustLatency = rate, 19200, true
	s := c.create(m)
	sound := bytes.Repeat([]byte{0x12, 0x34, 0xED, 0xCB}, int(rate)/20)
	packet := append(native.AppendHeader(nil, native.Header{Length: uint32(len(sound)), Channel: s.Channel}), sound...)
	ask := native.AppendPacket(nil, 35, native.OpGetPlaybackLatency, 5, &native.GetLatency{Channel: s.Channel})
	step := func() { // 50 ms of sound in odd pieces, the cycle, and what goes back
		c.s.Feed(packet[:7])
		c.s.Feed(packet[7:1001])
		c.s.Feed(packet[1001:])
		r.clock.Advance(50 * time.Millisecond)
		r.card.Heard()
		c.s.Sent(len(c.s.Outbox()))
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations for 50 ms of sound", n)
	}
	if c.s.Fault() != nil {
		t.Fatal(c.s.Fault())
	}
	if n := testing.AllocsPerRun(500, func() { c.s.Feed(ask); c.s.Sent(len(c.s.Outbox())) }); n > 3 {
		t.Errorf("%v allocations to answer GET_PLAYBACK_LATENCY", n)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		c := r.connect(uint32(2000+i%3), policy.Playback, 35)
		for range 3 {
			s := c.create(creation())
			c.sound(s.Channel, make([]byte, s.Missing))
		}
		r.clock.Advance(20 * time.Millisecond)
		c.s.Close()
	}
	r.clock.Advance(time.Second)
	if n := len(r.server.sessions) + len(r.server.streams) + len(r.sink.Inputs()) + r.clock.Timers(); n != 0 {
		t.Errorf("%d sessions, %d streams, %d inputs, %d timers are left", len(r.server.sessions), len(r.server.streams), len(r.sink.Inputs()), r.clock.Timers())
	}
	if r.card.IsOpen() {
		t.Error("the card is still open")
	}
}

// Random bytes, random packets of known commands, and truncations of true ones: the server must stand, and answer a good client.
func TestNoise(t *testing.T) {
	r := newRig(t)
	good := r.connect(helperUID, policy.Playback, 35)
	rnd := rand.New(rand.NewPCG(1, 2))
	true1 := native.AppendPacket(nil, 35, native.OpCreatePlaybackStream, 3, creation())
	for i := range 3000 {
		c := r.connect(otherUID, policy.Playback, uint32(13+i%23))
		for range 4 {
			var p []byte
			switch rnd.IntN(3) {
			case 0:
				body := make([]byte, rnd.IntN(60))
				for j := range body {
					body[j] = "LBtNRr1axTUmvPVf0"[rnd.IntN(17)]
					if rnd.IntN(3) == 0 {
						body[j] = byte(rnd.UintN(256))
					}
				}
				p = native.AppendHeader(nil, native.Header{Length: uint32(10 + len(body)), Channel: native.ControlChannel})
				p = append(p, 'L', 0, 0, 0, byte(rnd.UintN(110)), 'L', 0, 0, 0, 1)
				p = append(p, body...)
			case 1:
				p = append([]byte(nil), true1...)
				p[native.HeaderSize+10+rnd.IntN(len(p)-native.HeaderSize-10)] = byte(rnd.UintN(256))
			case 2:
				p = native.AppendHeader(nil, native.Header{Length: 16, Channel: uint32(rnd.UintN(3)), Offset: rnd.Int64() - rnd.Int64(), Seek: native.Seek(rnd.UintN(5))})
				p = append(p, make([]byte, 16)...)
			}
			c.s.Feed(p)
			r.clock.Advance(10 * time.Millisecond) // or they would be too many requests
			c.s.Sent(len(c.s.Outbox()))
		}
		c.s.Close()
		if i%100 == 0 {
			good.must(native.OpGetServerInfo, nil, new(native.ServerInfo))
		}
	}
}
