package native

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packet is one of a capture's; see testdata/record.go for how they are made.
type packet struct {
	fromClient bool
	version    uint32 // of the connection
	op         Op     // a reply's and an error's is that of the request
	kind       Op     // OpReply, OpError, or op
	tag        uint32
	fields     []byte
	raw        []byte
}

// captures are the control packets of all recorded connections, by file.
func captures(t testing.TB) map[string][]packet {
	files, err := filepath.Glob("testdata/captures/*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures in testdata (%v)", err)
	}
	all := map[string][]packet{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".bin")
		if all[name] = parseCapture(t, name, b); len(all[name]) < 4 { // a greeting has as many
			t.Errorf("%s says nothing", file)
		}
	}
	return all
}

func parseCapture(t testing.TB, name string, b []byte) (packets []packet) {
	asked := map[uint32]Op{}
	version := uint32(Version)
	for len(b) > 0 {
		p := packet{fromClient: b[0] == '>', version: version}
		h, err := parseHeader(b[1:], MaxData)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(AppendHeader(nil, h), b[1:1+HeaderSize]) {
			t.Errorf("%s: header %+v does not encode as it was", name, h)
		}
		if !h.Control() {
			b = b[1+HeaderSize:]
			continue
		}
		p.raw = b[1 : 1+HeaderSize+h.Length]
		b = b[1+HeaderSize+h.Length:]
		if p.kind, p.tag, p.fields, err = ParseControl(p.raw[HeaderSize:]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.op = p.kind
		switch {
		case p.fromClient:
			if h.Length > MaxControl {
				t.Errorf("%s: %v is larger than a server of ours would read", name, p.op)
			}
			asked[p.tag] = p.op
		case p.kind == OpReply || p.kind == OpError:
			op, ok := asked[p.tag]
			if !ok {
				t.Fatalf("%s: an answer to nothing", name)
			}
			p.op = op
		}
		packets = append(packets, p)
		if p.op == OpAuth {
			var auth AuthReply // the request's begins alike
			(&Coder{Version: Version, buf: p.fields}).U32(&auth.Version)
			version = min(version, auth.Version&0xFFFF)
		}
	}
	return packets
}

// Whatever real clients and a real server say is understood to the last byte, and said again in the same bytes.
func TestCaptures(t *testing.T) {
	seen := map[Op]map[uint32]bool{}
	for name, packets := range captures(t) {
		for i, p := range packets {
			m, known := message(p.op, p.kind == OpReply)
			switch {
			case p.kind == OpError:
				m, known = new(IndexReply), true
			case p.op == OpExtension && p.kind == OpReply && len(p.fields) == 5:
				m = new(IndexReply) // to RestoreTest
			case p.op == OpExtension && p.kind == OpReply && len(p.fields) > 5:
				m = new(RestoreEntries)
			}
			if !known {
				t.Errorf("%s, packet %d: no message for %v", name, i, p.op)
				continue
			}
			if err := Decode(p.fields, p.version, m); err != nil {
				t.Errorf("%s, packet %d, %v (%v): %v", name, i, p.op, p.kind, err)
				continue
			}
			if again := AppendPacket(nil, p.version, p.kind, p.tag, m); !bytes.Equal(again, p.raw) {
				t.Errorf("%s, packet %d, %v (%v), version %d:\n have %q\n want %q", name, i, p.op, p.kind, p.version, again, p.raw)
			}
			if seen[p.op] == nil {
				seen[p.op] = map[uint32]bool{}
			}
			seen[p.op][p.version] = true
		}
	}
	// The recordings must have what they were made for.
	for _, op := range []Op{OpCreatePlaybackStream, OpCreateRecordStream, OpGetSinkInfoList, OpGetSourceInfoList, OpGetSinkInputInfoList,
		OpGetSourceOutputInfoList, OpGetClientInfoList, OpGetModuleInfoList, OpGetSampleInfoList} {
		for _, v := range []uint32{13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27, 29, 34, 35} {
			if !seen[op][v] {
				t.Errorf("no %v of version %d was recorded", op, v)
			}
		}
	}
	var never []string
	for op := range NumOps {
		if _, served := messages[op]; served && seen[op] == nil {
			never = append(never, op.String())
		}
	}
	slices.Sort(never)
	t.Logf("%d operations were recorded; not among them: %s", len(seen), strings.Join(never, " "))
}
