package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// recordings are what real clients sent to a PulseAudio server, one connection each (see native/testdata/record.go): packets as they were, sound with
// its header only, which is given silence for a body.
func recordings(t testing.TB) map[string][][]byte {
	files, err := filepath.Glob("../native/testdata/captures/*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	all := map[string][][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var packets [][]byte
		for len(b) > 0 {
			fromClient, n := b[0] == '>', 1+native.HeaderSize
			packet := b[1:n:n]
			h, err := native.ParseHeader(packet)
			switch {
			case !fromClient: // an answer may be longer than a request
				h.Length = uint32(packet[0])<<24 | uint32(packet[1])<<16 | uint32(packet[2])<<8 | uint32(packet[3])
				if control := packet[4]&packet[5]&packet[6]&packet[7] == 0xFF; control {
					n += int(h.Length)
				}
			case err != nil:
				t.Fatalf("%s: %v", file, err)
			case h.Control():
				n += int(h.Length)
				packet = b[1:n:n]
			default:
				packet = append(packet, make([]byte, h.Length)...)
			}
			if fromClient {
				packets = append(packets, packet)
			}
			b = b[n:]
		}
		all[strings.TrimSuffix(filepath.Base(file), ".bin")] = packets
	}
	return all
}

// Every recorded client is understood: nothing it sent ends the session, each request is answered once, with an error only where the recording
// is of something that is not served.
func TestRecordedClients(t *testing.T) {
	served := 0
	for name, packets := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.second()
			r.server.sinks[0].name, r.server.sinks[1].name = "out", "other" // as in the recordings
			c := r.open(ownerUID, policy.Owner)
			for _, packet := range packets {
				h, err := native.ParseHeader(packet)
				if err != nil {
					t.Fatal(err)
				}
				if !h.Control() {
					c.s.Feed(packet)
					r.clock.Advance(10 * time.Millisecond)
					continue
				}
				op, tag, fields, err := native.ParseControl(packet[native.HeaderSize:])
				if err != nil {
					t.Fatal(err)
				}
				if op == native.OpAuth {
					var m native.Auth
					if err := native.Decode(fields, native.Version, &m); err != nil {
						t.Fatal(err)
					}
					c.version = min(m.Protocol(), native.Version)
				}
				if err := c.s.Feed(packet); err != nil {
					t.Fatalf("%v ended the session: %v", op, err)
				}
				got, answer := c.take(tag)
				for range 300 { // a drain takes its time
					if got != nothing {
						break
					}
					r.clock.Advance(10 * time.Millisecond)
					got, answer = c.take(tag)
				}
				switch {
				case got == nothing && op != native.OpDrainPlaybackStream:
					t.Errorf("%v was not answered", op)
				case got == native.OpReply:
					served++
				case got == native.OpError && lookup(op).do != nil && !refusable[op] && !strings.HasPrefix(name, "pactl-refused"):
					t.Errorf("%v was answered with error %v", op, native.Code(answer[4]))
				}
			}
			c.s.Close()
			r.clock.Advance(time.Second)
			if n := r.clock.Timers(); n != 0 {
				t.Errorf("%d timers are left", n)
			}
		})
	}
	if served < 300 {
		t.Errorf("only %d requests were served", served)
	}
}

// refusable is what recordings ask about objects that they have and we have not: other sinks, streams of a recording client, samples that came
// over another connection, object messages of PulseAudio's own.
var refusable = map[native.Op]bool{
	native.OpLookupSink: true, native.OpGetSinkInfo: true, native.OpGetClientInfo: true, native.OpGetSinkInputInfo: true, native.OpSendObjectMessage: true,
	native.OpPlaySample: true, native.OpRemoveSample: true, native.OpSetSinkInputVolume: true, native.OpSetSinkInputMute: true, native.OpMoveSinkInput: true,
}

// FuzzFeed lets a client with a grant send anything at all, in two pieces, after a greeting.
func FuzzFeed(f *testing.F) {
	seeds := 0
	for _, packets := range recordings(f) {
		var all []byte
		for _, p := range packets[min(len(packets), 2):] {
			if len(all)+len(p) < 4096 {
				all = append(all, p...)
			}
		}
		f.Add(all, uint8(35), uint16(len(all)/2))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte, version uint8, cut uint16) {
		r := newRig(t)
		c := r.connect(otherUID, policy.Playback, 13+uint32(version)%23)
		k := min(int(cut), len(b))
		c.s.Feed(b[:k])
		r.clock.Advance(20 * time.Millisecond)
		c.s.Sent(len(c.s.Outbox()) / 2)
		c.s.Feed(b[k:])
		r.clock.Advance(20 * time.Millisecond)
		c.s.Close()
		r.clock.Advance(3 * time.Second) // a sample may play on
		if n := len(r.server.sessions) + len(r.server.streams) + len(r.sink.Inputs()) + r.clock.Timers(); n != 0 {
			t.Errorf("%d things are left", n)
		}
	})
}
