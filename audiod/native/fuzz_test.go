package native

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"sandbox-audio/audiod/pcm"
)

// Whatever is accepted can be said again, and is then understood the same way.
func FuzzMessage(f *testing.F) {
	type kind struct {
		op      Op
		reply   bool
		version uint32
	}
	seeded := map[kind]int{}
	for _, packets := range captures(f) {
		for _, p := range packets {
			k := kind{p.op, p.kind == OpReply, p.version}
			if seeded[k]++; p.kind != OpError && seeded[k] <= 2 {
				f.Add(uint32(p.op), p.kind == OpReply, p.version, p.fields)
			}
		}
	}
	for op := range messages { // also those nobody recorded
		for _, reply := range []bool{false, true} {
			if m, _ := message(op, reply); m != nil {
				if a, ok := m.(*Auth); ok {
					a.Cookie = make([]byte, CookieSize)
				}
				c := NewWriter(nil, Version)
				m.Fields(c)
				f.Add(uint32(op), reply, uint32(Version), c.Bytes())
			}
		}
	}
	f.Fuzz(func(t *testing.T, number uint32, isReply bool, version uint32, fields []byte) {
		op := Op(number % uint32(NumOps))
		if version < MinVersion || version > Version {
			version = MinVersion + version%(Version-MinVersion+1)
		}
		m, known := message(op, isReply)
		if !known || m == nil {
			return
		}
		if err := Decode(fields, version, m); err != nil {
			if !errors.As(err, new(Code)) {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		sent := AppendPacket(nil, version, op, 7, m)
		if len(sent) == 0 {
			t.Fatalf("%v was read and cannot be written: %+v", op, m)
		}
		again, _ := message(op, isReply)
		gotOp, tag, rest, err := ParseControl(sent[HeaderSize:])
		if err == nil {
			err = Decode(rest, version, again)
		}
		if err != nil || gotOp != op || tag != 7 || !reflect.DeepEqual(m, again) {
			t.Fatalf("%v: %v\n first %+v\n again %+v", op, err, m, again)
		}
		if resent := AppendPacket(nil, version, op, 7, again); !bytes.Equal(sent, resent) {
			t.Fatalf("%v:\n first %q\n again %q", op, sent, resent)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, packets := range captures(f) {
		f.Add(packets[0].raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if !errors.As(err, new(Code)) {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if !bytes.Equal(AppendHeader(nil, h), b[:HeaderSize]) {
			t.Fatalf("%q is %+v and back %q", b[:HeaderSize], h, AppendHeader(nil, h))
		}
		if h.Length == 0 || h.Length > MaxData || h.Control() && h.Length > MaxControl || h.Seek > SeekRelativeEnd {
			t.Fatalf("%+v", h)
		}
		ParseControl(b[HeaderSize:])
	})
}

func FuzzResolve(f *testing.F) {
	seeds := 0
	for _, packets := range captures(f) {
		for _, p := range packets {
			if m := new(CreatePlaybackStream); p.op == OpCreatePlaybackStream && p.kind == p.op && Decode(p.fields, p.version, m) == nil {
				for _, info := range m.Formats {
					c := NewWriter(nil, Version)
					c.Format(&info)
					f.Add(c.Bytes())
					seeds++
				}
			}
		}
	}
	if seeds == 0 {
		f.Fatal("nobody recorded uses the format API")
	}
	for _, rate := range []string{"[44100,48000]", `{"min":1,"max":2}`, "1e99", "-0", "null", "[[]]", "{}", `"x"`} {
		c := NewWriter(nil, Version)
		c.Format(&FormatInfo{EncodingPCM, Text(propRate, rate, propFormat, rate, propMap, rate, propChannels, rate)})
		f.Add(c.Bytes())
	}
	own := pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var info FormatInfo
		if Decode(wire, Version, one(func(c *Coder) { c.Format(&info) })) != nil {
			return
		}
		spec, m, err := info.Resolve(own, pcm.StereoMap)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNotSupported) {
				t.Fatal(err)
			}
			return
		}
		if spec.Check() != nil || m.Check(spec.Channels) != nil {
			t.Fatalf("%v %v", spec, m)
		}
		if again, mapAgain, err := PCM(spec, m).Resolve(own, pcm.StereoMap); again != spec || mapAgain.String() != m.String() || err != nil {
			t.Fatalf("%v %v became %v %v, %v", spec, m, again, mapAgain, err)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("Firefox")
	f.Add("a\x1b]0;x\x07\u202eb\xff\r\n\u2066 c")
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		if !utf8.ValidString(c) || utf8.RuneCountInString(c) > MaxClean || Clean(c) != c {
			t.Fatalf("%q became %q, then %q", s, c, Clean(c))
		}
		for _, r := range c {
			if r < ' ' || r >= 0x7F && r < 0xA0 || r >= 0x200B && r <= 0x200F || r >= 0x2028 && r <= 0x202E || r >= 0x2060 && r <= 0x206F || r == 0xFEFF {
				t.Fatalf("%q became %q", s, c)
			}
		}
	})
}
