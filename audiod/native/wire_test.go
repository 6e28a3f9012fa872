package native

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"sandbox-audio/audiod/pcm"
)

// one is a message of a single value.
type one func(*Coder)

func (f one) Fields(c *Coder) { f(c) }

// value makes the pair of messages that write v and read into w.
func value[T any](code func(*Coder, *T), v T) (write Message, read Message, got func() (have, want any)) {
	w := new(T)
	return one(func(c *Coder) { code(c, &v) }), one(func(c *Coder) { code(c, w) }), func() (any, any) { return *w, v }
}

func TestValues(t *testing.T) {
	check := func(name, wire string) func(write, read Message, got func() (any, any)) {
		return func(write, read Message, got func() (any, any)) {
			t.Helper()
			c := NewWriter(nil, Version)
			if write.Fields(c); c.Err() != nil || string(c.Bytes()) != wire {
				t.Errorf("%s: wrote %q, %v; want %q", name, c.Bytes(), c.Err(), wire)
			}
			if err := Decode([]byte(wire), Version, read); err != nil {
				t.Errorf("%s: reading: %v", name, err)
			}
			if have, want := got(); !reflect.DeepEqual(have, want) {
				t.Errorf("%s: read %v, want %v", name, have, want)
			}
			for n := range len(wire) { // every way to cut it short
				if err := Decode([]byte(wire[:n]), Version, read); !errors.Is(err, ErrProtocol) {
					t.Errorf("%s: reading %q: %v", name, wire[:n], err)
				}
			}
		}
	}
	check("u8", "B\xfe")(value((*Coder).U8, 0xFE))
	check("u32", "L\x01\x02\x03\x04")(value((*Coder).U32, 0x01020304))
	check("u64", "R\x01\x02\x03\x04\x05\x06\x07\x08")(value((*Coder).U64, 0x0102030405060708))
	check("s64", "r\xff\xff\xff\xff\xff\xff\xff\xfe")(value((*Coder).S64, -2))
	check("s64 with a low word that looks negative", "r\x00\x00\x00\x01\x80\x00\x00\x00")(value((*Coder).S64, 0x180000000))
	check("usec", "U\x00\x00\x00\x00\x00\x00\x07\xd0")(value((*Coder).Usec, 2000))
	check("true", "1")(value((*Coder).Bool, true))
	check("false", "0")(value((*Coder).Bool, false))
	check("string", "tbjörk\x00")(value((*Coder).String, "björk"))
	check("empty string", "t\x00")(value((*Coder).String, ""))
	check("null", "N")(value((*Coder).NullString, ""))
	check("nullable string", "tx\x00")(value((*Coder).NullString, "x"))
	check("blob", "x\x00\x00\x00\x02\x00\xff")(value((*Coder).Blob, []byte{0, 0xFF}))
	check("empty blob", "x\x00\x00\x00\x00")(value((*Coder).Blob, []byte{}))
	check("timeval", "T\x00\x00\x00\x05\x00\x0f\x42\x3f")(value((*Coder).Timeval, Timeval{5, 999999}))
	check("spec", "a\x03\x02\x00\x00\xac\x44")(value((*Coder).Spec, pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 44100}))
	check("dummy spec", "a\xff\x00\x00\x00\x00\x00")(value((*Coder).Spec, pcm.Spec{Format: pcm.FormatInvalid}))
	check("map", "m\x02\x01\x02")(value((*Coder).Map, pcm.StereoMap))
	check("empty map", "m\x00")(value((*Coder).Map, pcm.ChannelMap{}))
	check("volumes", "v\x02\x00\x01\x00\x00\x00\x00\x80\x00")(value((*Coder).CVolume, CVolume{0x10000, 0x8000}))
	check("no volumes", "v\x00")(value((*Coder).CVolume, CVolume{}))
	check("volume", "V\x00\x01\x00\x00")(value((*Coder).Volume, pcm.VolumeNorm))
	check("properties", "Pta.b\x00L\x00\x00\x00\x02x\x00\x00\x00\x02c\x00tbin\x00L\x00\x00\x00\x01x\x00\x00\x00\x01\xffN")(
		value((*Coder).Props, PropList{{"a.b", []byte("c\x00")}, {"bin", []byte{0xFF}}}))
	check("no properties", "PN")(value((*Coder).Props, PropList(nil)))
	check("format", "fB\x01PN")(value((*Coder).Format, FormatInfo{Encoding: EncodingPCM}))
	check("formats", "B\x01fB\x03PN")(value((*Coder).Formats, []FormatInfo{{Encoding: 3}}))
	check("keys", "ta\x00tb\x00N")(value((*Coder).Keys, []string{"a", "b"}))
}

func TestPackets(t *testing.T) {
	for _, test := range []struct {
		name, want string
		got        []byte
	}{
		{"REQUEST", "\x00\x00\x00\x14\xff\xff\xff\xff" + strings.Repeat("\x00", 12) +
			"L\x00\x00\x00\x3dL\xff\xff\xff\xffL\x00\x00\x00\x02L\x00\x00\x10\x00", AppendPacket(nil, 35, OpRequest, Invalid, &Request{2, 4096})},
		{"an acknowledgement", "\x00\x00\x00\x0a\xff\xff\xff\xff" + strings.Repeat("\x00", 12) +
			"L\x00\x00\x00\x02L\x00\x00\x00\x07", AppendPacket(nil, 35, OpReply, 7, nil)},
		{"an error", "\x00\x00\x00\x0f\xff\xff\xff\xff" + strings.Repeat("\x00", 12) +
			"L\x00\x00\x00\x00L\x00\x00\x00\x07L\x00\x00\x00\x05", AppendError(nil, 7, ErrNoEntity)},
		{"behind other bytes", "..\x00\x00\x00\x0f\xff\xff\xff\xff" + strings.Repeat("\x00", 12) +
			"L\x00\x00\x00\x56L\xff\xff\xff\xffL\x00\x00\x00\x02", AppendPacket([]byte(".."), 35, OpStarted, Invalid, &StreamEvent{2})},
		{"sound", "\x00\x00\x10\x00\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xf8\x00\x00\x00\x02",
			AppendHeader(nil, Header{Length: 4096, Channel: 2, Offset: -8, Seek: SeekRelativeOnRead})},
	} {
		if string(test.got) != test.want {
			t.Errorf("%s:\n have %q\n want %q", test.name, test.got, test.want)
		}
	}
}

func TestHeader(t *testing.T) {
	control := Header{Length: 30, Channel: ControlChannel}
	for _, test := range []struct {
		name  string
		h     Header
		flags uint32
		want  error
	}{
		{"control", control, 0, nil},
		{"the largest control packet", Header{Length: MaxControl, Channel: ControlChannel}, 0, nil},
		{"a larger one", Header{Length: MaxControl + 1, Channel: ControlChannel}, 0, ErrTooLarge},
		{"an empty one", Header{Channel: ControlChannel}, 0, ErrProtocol},
		{"control with flags", control, 1, ErrProtocol},
		{"control in shared memory", control, 0x80000000, ErrProtocol},
		{"sound", Header{Length: 4, Channel: 0}, 0, nil},
		{"sound at the end", Header{Length: 4, Channel: 5, Offset: 1 << 62, Seek: SeekRelativeEnd}, 3, nil},
		{"the most sound", Header{Length: MaxData}, 0, nil},
		{"more sound", Header{Length: MaxData + 1}, 0, ErrTooLarge},
		{"4 GiB of sound", Header{Length: 0xFFFFFFFF}, 0, ErrTooLarge},
		{"no sound", Header{}, 0, ErrProtocol},
		{"an unknown seek mode", Header{Length: 4}, 4, ErrProtocol},
		{"a bit nobody knows", Header{Length: 4}, 0x100, ErrProtocol},
		{"sound in shared memory", Header{Length: 4}, 0x80000000, ErrProtocol},
		{"memfd", Header{Length: 4}, 0xA0000000, ErrProtocol},
		{"a shared memory release", Header{Length: 4}, 0x40000000, ErrProtocol},
	} {
		b := AppendHeader(nil, test.h)
		b[16], b[17], b[18], b[19] = byte(test.flags>>24), byte(test.flags>>16), byte(test.flags>>8), byte(test.flags)
		h, err := ParseHeader(b)
		if test.want == nil && (err != nil || h != test.h) || !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v; want %v", test.name, h, err, test.want)
		}
	}
	for n := range HeaderSize {
		if _, err := ParseHeader(make([]byte, n)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestControl(t *testing.T) {
	op, tag, fields, err := ParseControl([]byte("L\x00\x00\x00\x08L\x00\x00\x00\x09rest"))
	if op != OpAuth || tag != 9 || string(fields) != "rest" || err != nil {
		t.Errorf("%v %d %q %v", op, tag, fields, err)
	}
	for _, bad := range []string{"", "L", "L\x00\x00\x00\x08L\x00\x00\x00", "B\x00\x00\x00\x08L\x00\x00\x00\x09", "L\x00\x00\x00\x08R\x00\x00\x00\x09"} {
		if _, _, _, err := ParseControl([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNames(t *testing.T) {
	for op, want := range map[Op]string{0: "ERROR", 3: "CREATE_PLAYBACK_STREAM", 8: "AUTH", 20: "GET_SERVER_INFO", 35: "SUBSCRIBE", 61: "REQUEST",
		66: "SUBSCRIBE_EVENT", 86: "STARTED", 94: "PLAYBACK_BUFFER_ATTR_CHANGED", 104: "SEND_OBJECT_MESSAGE", 105: "command 105"} {
		if op.String() != want {
			t.Errorf("%d is called %q, want %q", uint32(op), op, want)
		}
	}
	for code, want := range map[Code]string{1: "access denied", 5: "no such entity", 19: "not supported", 23: "missing implementation",
		26: "device or resource busy", 27: "error code 27"} {
		if code.Error() != want {
			t.Errorf("%d is called %q, want %q", uint32(code), code, want)
		}
	}
	if OpSendObjectMessage != 104 || ErrBusy != 26 || EventCard.Mask() != MaskCard || (EventSinkInput|EventRemove).Mask() != MaskSinkInput {
		t.Error("numbers have shifted")
	}
}

// What older versions do not say has the meaning it had then.
func TestDefaultsOfOldVersions(t *testing.T) {
	for _, test := range []struct {
		version             uint32
		muted, mutedSet     bool
		volumeSet, wantMute bool
	}{{13, true, false, true, true}, {13, false, false, true, false}, {14, true, false, false, true}, {15, true, false, false, false}} {
		sent := CreatePlaybackStream{Muted: test.muted, MutedSet: test.mutedSet}
		c := NewWriter(nil, test.version)
		sent.Fields(c)
		var got CreatePlaybackStream
		if err := Decode(c.Bytes(), test.version, &got); err != nil || got.VolumeSet != test.volumeSet || got.MutedSet != test.wantMute {
			t.Errorf("version %d: %v, %+v", test.version, err, got)
		}
	}
}

// A message that cannot be sent harms nobody: no half packet goes out.
func TestUnsendable(t *testing.T) {
	bad := &ServerInfo{Name: "with\x00NUL"}
	before := []byte("before")
	if got := AppendPacket(before, 35, OpSubscribeEvent, Invalid, bad); !bytes.Equal(got, before) {
		t.Errorf("an event: %q", got)
	}
	if got, want := AppendPacket(before, 35, OpReply, 4, bad), AppendError(before, 4, ErrInternal); !bytes.Equal(got, want) {
		t.Errorf("a reply: %q", got)
	}
	for name, m := range map[string]Message{
		"text over its limit":   &ByName{strings.Repeat("x", MaxString)},
		"text that is not text": &ByName{"\xff"},
		"too many channels":     &SetVolume{0, NormVolume(MaxChannels + 1)},
		"too many formats":      &SinkInfo{Formats: make([]FormatInfo, 300)},
		"too many ports":        &SinkInfo{Ports: make([]Port, maxItems+1)},
		"too many properties":   &SetClientName{make(PropList, MaxProps+1)},
		"a wrong cookie":        &Auth{Cookie: make([]byte, 16)},
	} {
		if got := AppendPacket(nil, 35, OpAuth, 1, m); len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The version's upper bits, which offer shared memory, are not part of it.
func TestAuthVersion(t *testing.T) {
	m := &Auth{Version: 0xC0000023, Cookie: make([]byte, CookieSize)}
	c := NewWriter(nil, Version)
	m.Fields(c)
	var got Auth
	if err := Decode(c.Bytes(), Version, &got); err != nil || got.Version != 0xC0000023 || got.Protocol() != 35 {
		t.Errorf("%v, %#x", err, got.Version)
	}
}
