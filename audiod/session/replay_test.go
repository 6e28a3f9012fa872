package session

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// packet is one of a recording: as it was, but sound with its header only.
type packet struct {
	fromClient bool
	bytes      []byte
}

func (p packet) control() bool { return binary.BigEndian.Uint32(p.bytes[4:]) == native.Invalid }

// recordings are what real clients and a PulseAudio server said, one connection each (see native/testdata/record.go).
func recordings(t testing.TB) map[string][]packet {
	files, err := filepath.Glob("../native/testdata/captures/*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	all := map[string][]packet{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var packets []packet
		for len(b) > 0 {
			p := packet{b[0] == '>', b[1 : 1+native.HeaderSize]}
			if p.control() {
				p.bytes = b[1 : 1+native.HeaderSize+int(binary.BigEndian.Uint32(p.bytes))]
			}
			packets = append(packets, p)
			b = b[1+len(p.bytes):]
		}
		all[strings.TrimSuffix(filepath.Base(file), ".bin")] = packets
	}
	return all
}

// replay is a recorded client that speaks to our server.
type replay struct {
	t       *testing.T
	rig     *rig
	client  *client
	answers map[uint32]answer              // of the recorded server, by tag
	numbers map[numbered]map[uint32]uint32 // of our server's objects, by those of the recorded one
	served  int
}

type answer struct {
	op     native.Op
	fields []byte
}

// numbered is a kind of object that a request names by number in its first field.
type numbered int

const (
	playbackChannel numbered = iota + 1
	recordChannel
	sinkInput
	sourceOutput
)

var names = map[native.Op]numbered{
	native.OpDeletePlaybackStream: playbackChannel, native.OpDrainPlaybackStream: playbackChannel, native.OpGetPlaybackLatency: playbackChannel,
	native.OpCorkPlaybackStream: playbackChannel, native.OpFlushPlaybackStream: playbackChannel, native.OpTriggerPlaybackStream: playbackChannel,
	native.OpPrebufPlaybackStream: playbackChannel, native.OpSetPlaybackStreamName: playbackChannel, native.OpSetPlaybackStreamBufferAttr: playbackChannel,
	native.OpFinishUploadStream: playbackChannel, native.OpDeleteUploadStream: playbackChannel, native.OpUpdatePlaybackStreamProplist: playbackChannel, native.OpRemovePlaybackStreamProplist: playbackChannel,
	native.OpDeleteRecordStream: recordChannel, native.OpCorkRecordStream: recordChannel, native.OpFlushRecordStream: recordChannel,
	native.OpGetRecordLatency: recordChannel, native.OpSetRecordStreamName: recordChannel, native.OpSetRecordStreamBufferAttr: recordChannel,
	native.OpUpdateRecordStreamProplist: recordChannel, native.OpRemoveRecordStreamProplist: recordChannel,
	native.OpGetSinkInputInfo: sinkInput, native.OpSetSinkInputVolume: sinkInput, native.OpSetSinkInputMute: sinkInput, native.OpMoveSinkInput: sinkInput,
	native.OpGetSourceOutputInfo: sourceOutput, native.OpSetSourceOutputVolume: sourceOutput, native.OpSetSourceOutputMute: sourceOutput,
	native.OpMoveSourceOutput: sourceOutput,
}

// Every recorded client is understood: nothing it sent ends the session, and each request is answered once, by fields of the same types as in
// the recording, and with an error only where there was one or where it is about something that only the recorded server had.
func TestRecordedClients(t *testing.T) {
	served := 0
	for name, packets := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			r := &replay{t: t, rig: newRig(t), answers: map[uint32]answer{}, numbers: map[numbered]map[uint32]uint32{}}
			r.rig.second()
			r.rig.server.sinks[0].name, r.rig.server.sinks[1].name = "out", "other" // as in the recordings
			r.rig.server.AddSource(mixer.NewQuiet(r.rig.clock, t.Logf))
			for i, name := range []string{"out.monitor", "other.monitor", "mic"} {
				r.rig.server.sources[i].name = name
			}
			r.client = r.rig.open(ownerUID, policy.Owner)
			told := map[native.Op]bool{} // by the recorded server
			recorded := false            // sound came from it
			for _, p := range packets {
				if op, tag, fields, err := native.ParseControl(p.bytes[native.HeaderSize:]); err == nil && !p.fromClient {
					r.answers[tag] = answer{op, fields}
					told[op] = true
				}
			}
			for _, p := range packets {
				switch {
				case p.fromClient && p.control():
					r.request(bytes.Clone(p.bytes))
				case p.fromClient:
					r.sound(bytes.Clone(p.bytes))
				case !p.control():
					recorded = true
					r.rig.clock.Advance(10 * time.Millisecond)
					r.client.take(native.Invalid)
				}
			}
			for _, op := range []native.Op{native.OpRequest, native.OpStarted} {
				if told[op] && r.client.saw(op) == 0 {
					t.Errorf("never a %v", op)
				}
			}
			for n := 0; recorded && len(r.client.heard) == 0 && n < 300; n++ { // a fragment may be as long as two seconds
				r.rig.clock.Advance(10 * time.Millisecond)
				r.client.take(native.Invalid)
			}
			if recorded && len(r.client.heard) == 0 {
				t.Error("never heard anything")
			}
			r.client.s.Close()
			r.rig.clock.Advance(time.Second)
			if n := r.rig.clock.Timers(); n != 0 {
				t.Errorf("%d timers are left", n)
			}
			served += r.served
		})
	}
	if served < 300 {
		t.Errorf("only %d requests were served", served)
	}
}

func (r *replay) sound(header []byte) {
	r.renumber(playbackChannel, header[4:])
	r.client.s.Feed(append(header, make([]byte, binary.BigEndian.Uint32(header))...))
	r.rig.clock.Advance(10 * time.Millisecond)
}

// renumber puts our number of an object in the place of the recorded server's, at the beginning of b.
func (r *replay) renumber(kind numbered, b []byte) {
	if ours, ok := r.numbers[kind][binary.BigEndian.Uint32(b)]; ok {
		binary.BigEndian.PutUint32(b, ours)
	}
}

func (r *replay) request(packet []byte) {
	op, tag, fields, err := native.ParseControl(packet[native.HeaderSize:])
	if err != nil {
		r.t.Fatal(err)
	}
	if op == native.OpAuth {
		var m native.Auth
		if err := native.Decode(fields, native.Version, &m); err != nil {
			r.t.Fatal(err)
		}
		r.client.version = min(m.Protocol(), native.Version)
	}
	if kind := names[op]; kind != 0 {
		r.renumber(kind, fields[1:])
	}
	if err := r.client.s.Feed(packet); err != nil {
		r.t.Fatalf("%v ended the session: %v", op, err)
	}
	got, fields := r.client.take(tag)
	for range 300 { // a drain takes its time
		if got != nothing {
			break
		}
		r.rig.clock.Advance(10 * time.Millisecond)
		got, fields = r.client.take(tag)
	}
	recorded := r.answers[tag]
	switch {
	case got == nothing && op != native.OpDrainPlaybackStream:
		r.t.Errorf("%v was not answered", op)
	case got == native.OpError && recorded.op == native.OpReply && lookup(op).do != nil && !refusable[op] && !r.overhears(op, packet):
		r.t.Errorf("%v was answered with error %v", op, native.Code(fields[4]))
	case got == native.OpReply && recorded.op == native.OpReply:
		r.served++
		if was, is := shape(recorded.fields), shape(fields); was != is && !varies(op) {
			r.t.Errorf("%v was answered with the fields %s, not %s: %q", op, is, was, fields)
		}
		switch op {
		case native.OpCreatePlaybackStream:
			r.learn(playbackChannel, recorded.fields[1:], fields[1:])
			r.learn(sinkInput, recorded.fields[6:], fields[6:])
		case native.OpCreateUploadStream:
			r.learn(playbackChannel, recorded.fields[1:], fields[1:])
		case native.OpCreateRecordStream:
			r.learn(recordChannel, recorded.fields[1:], fields[1:])
			r.learn(sourceOutput, recorded.fields[6:], fields[6:])
		}
	}
}

// overhears reports whether a request is to record a single stream, which is another client's and so in another recording.
func (r *replay) overhears(op native.Op, packet []byte) bool {
	var m native.CreateRecordStream
	_, _, fields, _ := native.ParseControl(packet[native.HeaderSize:])
	return op == native.OpCreateRecordStream && native.Decode(fields, r.client.version, &m) == nil && m.DirectOnInput != native.Invalid
}

// varies reports whether the length of an answer depends on what there is.
func varies(op native.Op) bool {
	return op == native.OpExtension || strings.HasSuffix(op.String(), "_LIST")
}

// shape is the types of what a reply consists of (native-common's tags), of a property list only that it is one, and a boolean is one whichever it is.
func shape(fields []byte) string {
	var b strings.Builder
	for props := 0; len(fields) > 0; {
		tag, n := fields[0], 0
		fields = fields[1:]
		switch tag {
		case '0':
			tag = '1'
		case 't':
			n = bytes.IndexByte(fields, 0) + 1
		case 'L', 'V':
			n = 4
		case 'B':
			n = 1
		case 'R', 'r', 'U', 'T':
			n = 8
		case 'a':
			n = 6
		case 'm':
			n = 1 + int(fields[0])
		case 'v':
			n = 1 + 4*int(fields[0])
		case 'x':
			n = 4 + int(binary.BigEndian.Uint32(fields))
		}
		fields = fields[n:]
		switch {
		case tag == 'P':
			props++
			b.WriteByte(tag)
		case props > 0 && tag == 'N':
			props--
		case props == 0:
			b.WriteByte(tag)
		}
	}
	return b.String()
}

// learn notes under which number our server has what the recorded one gave the number at the beginning of theirs.
func (r *replay) learn(kind numbered, theirs, ours []byte) {
	if r.numbers[kind] == nil {
		r.numbers[kind] = map[uint32]uint32{}
	}
	r.numbers[kind][binary.BigEndian.Uint32(theirs)] = binary.BigEndian.Uint32(ours)
}

// refusable is what recordings ask about objects that they have and we have not: other sinks, streams of a recording client, samples that came
// over another connection, object messages of PulseAudio's own.
var refusable = map[native.Op]bool{
	native.OpLookupSink: true, native.OpGetSinkInfo: true, native.OpGetClientInfo: true, native.OpGetSinkInputInfo: true, native.OpSendObjectMessage: true,
	native.OpPlaySample: true, native.OpRemoveSample: true, native.OpSetSinkInputVolume: true, native.OpSetSinkInputMute: true, native.OpMoveSinkInput: true,
	native.OpGetSourceOutputInfo: true, native.OpSetSourceOutputVolume: true, native.OpSetSourceOutputMute: true, native.OpMoveSourceOutput: true,
}

// FuzzFeed lets a client with a grant, a helper or the owner, send anything at all, in two pieces, after a greeting.
func FuzzFeed(f *testing.F) {
	const ownersFuzz = 128 // from this number on it is the owner
	seeds := 0
	for _, packets := range recordings(f) {
		var all []byte
		for _, p := range packets[min(len(packets), 4):] { // behind AUTH and SET_CLIENT_NAME
			if p.fromClient && p.control() && len(all)+len(p.bytes) < 4096 {
				all = append(all, p.bytes...)
			}
		}
		f.Add(all, uint8(22), uint16(len(all)/2))
		f.Add(all, uint8(ownersFuzz+22), uint16(len(all)/2))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte, version uint8, cut uint16) {
		r := newRig(t)
		r.second()
		uid := uint32(otherUID)
		if version >= ownersFuzz {
			uid = ownerUID
		}
		c := r.connect(uid, grantOf(uid), 13+uint32(version%ownersFuzz)%23)
		k := min(int(cut), len(b))
		c.s.Feed(b[:k])
		r.clock.Advance(20 * time.Millisecond)
		c.s.Sent(len(c.s.Outbox()) / 2)
		c.s.Feed(b[k:])
		r.clock.Advance(20 * time.Millisecond)
		c.s.Close()
		r.clock.Advance(3 * time.Second) // a sample may play on
		if n := len(r.server.sessions) + len(r.server.streams) + len(r.server.records) + len(r.sink.Inputs()) + r.clock.Timers(); n != 0 {
			t.Errorf("%d things are left", n)
		}
	})
}
