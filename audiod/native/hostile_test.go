package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"sandbox-audio/audiod/pcm"
)

// What other decoders of this protocol got wrong. Each case says who: "proto" is jfreymuth/pulse's package of that name,
// "pipewire" its module-protocol-pulse, by the fixes of spring 2026.

func text(s string) string { return "t" + s + "\x00" }
func u32(n uint32) string  { return "L" + string(binary.BigEndian.AppendUint32(nil, n)) }
func blob(s string) string {
	return "x" + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func prop(key, value string) string { return text(key) + u32(uint32(len(value))) + blob(value) }

// refused decodes wire, wants an error of code, and no more memory taken than a small multiple of what came in.
func refused(t *testing.T, code Code, wire string, m Message) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := Decode([]byte(wire), Version, m)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, code) {
		t.Errorf("%.60q: %v, want %v", wire, err, code)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10+20*uint64(len(wire)) {
		t.Errorf("%.60q: %d bytes were allocated for %d", wire, took, len(wire))
	}
}

func TestHostileWrongTag(t *testing.T) { // proto: went on with a stream out of step
	refused(t, ErrProtocol, "B\x01"+u32(4096), new(Request))
	refused(t, ErrProtocol, u32(1)+"R\x00\x00\x10\x00", new(Request))
}

func TestHostilePropertyKeys(t *testing.T) { // proto: passed
	for _, key := range []string{"", "a\x1b[2J", "schlüssel", "line\nbreak"} {
		refused(t, ErrInvalid, "P"+prop(key, "v\x00")+"N", new(SetClientName))
	}
	refused(t, ErrInvalid, "P"+prop("a\xff", "v\x00")+"N", new(SetClientName))
	refused(t, ErrTooLarge, "P"+prop(strings.Repeat("k", MaxPropKey), "v\x00")+"N", new(SetClientName))
}

func TestHostileBlobLength(t *testing.T) { // proto: allocated 768 MiB; pipewire: length overflow
	for _, length := range []uint32{256 << 20, 1 << 30, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0} {
		declared := "x" + string(binary.BigEndian.AppendUint32(nil, length)) + "\x00"
		refused(t, ErrTooLarge, u32(35)+declared, new(Auth))
		refused(t, ErrTooLarge, "P"+text("key")+u32(length)+declared+"N", new(SetClientName))
	}
	refused(t, ErrProtocol, u32(35)+"x\x00\x00\x01\x00short", new(Auth))
	refused(t, ErrProtocol, u32(35)+blob("a cookie of another size"), new(Auth))
	refused(t, ErrProtocol, "P"+text("key")+u32(3)+blob("four")+"N", new(SetClientName))
}

func TestHostileListCounts(t *testing.T) { // proto: one small packet, huge slices
	c := NewWriter(nil, 20) // of the version before formats
	new(CreatePlaybackStream).Fields(c)
	create := string(c.Bytes())
	for _, n := range []byte{MaxFormats + 1, 255} {
		refused(t, ErrTooLarge, create+"B"+string([]byte{n}), new(CreatePlaybackStream))
	}
	refused(t, ErrProtocol, create+"B\x10fB\x01PN", new(CreatePlaybackStream))

	card := u32(0) + text("c") + u32(0) + text("d")
	for _, n := range []uint32{maxItems + 1, 1 << 30, 0xFFFFFFFF} {
		refused(t, ErrTooLarge, card+u32(n), new(CardInfo))
	}
	refused(t, ErrProtocol, card+u32(maxItems), new(CardInfo))
}

func TestHostileEmptyBlobAsText(t *testing.T) { // proto: slice bound -1, panic
	var m SetClientName
	if err := Decode([]byte("P"+prop("empty", "")+prop("unended", "abc")+prop("split", "a\x00b\x00")+prop("latin1", "\xe9\x00")+"N"), Version, &m); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Props {
		if s, ok := m.Props.Get(e.Key); ok {
			t.Errorf("%s is text: %q", e.Key, s)
		}
	}
	if len(m.Props) != 4 {
		t.Errorf("%v", m.Props)
	}
}

func TestHostileAnyTagAnywhere(t *testing.T) { // proto: two thirds of random tags panicked
	for name, packets := range captures(t) {
		if !strings.HasPrefix(name, "mpv") && !strings.HasSuffix(name, "-v35") && !strings.HasSuffix(name, "-v13") {
			continue
		}
		for _, p := range packets {
			if len(p.fields) > 600 {
				continue // covered by the shorter ones of the kind
			}
			for i := range p.fields {
				for _, tag := range []byte("tNLBRrax10TUmvPVf\x00\xff") {
					mangled := bytes.Clone(p.fields)
					mangled[i] = tag
					m, _ := message(p.op, p.kind == OpReply)
					if err := Decode(mangled, p.version, m); err != nil && !errors.As(err, new(Code)) {
						t.Fatalf("%s: %v: an error without a code: %v", name, p.op, err)
					}
				}
			}
		}
	}
}

func TestHostileTruncation(t *testing.T) { // pipewire: read past the end of PLAY_SAMPLE
	for name, packets := range captures(t) {
		for _, p := range packets {
			if p.kind == OpError || strings.HasSuffix(p.op.String(), "_LIST") || p.op == OpExtension { // a list may end after any record, an extension's arguments anywhere
				continue
			}
			for n := 0; n < len(p.fields); n += 1 + len(p.fields)/64 {
				m, _ := message(p.op, p.kind == OpReply)
				if err := Decode(p.fields[:n], p.version, m); !errors.Is(err, ErrProtocol) {
					t.Fatalf("%s: %v without its last %d bytes: %v", name, p.op, len(p.fields)-n, err)
				}
			}
		}
	}
}

func TestHostileText(t *testing.T) { // proto: texts over 1024 bytes came back empty
	long := strings.Repeat("é", 1500)
	var m SetStreamName
	if err := Decode([]byte(u32(1)+text(long)), Version, &m); err != nil || m.Name != long {
		t.Errorf("a text of %d bytes: %v", len(long), err)
	}
	longest := strings.Repeat("x", MaxString-1)
	if err := Decode([]byte(u32(1)+text(longest)), Version, &m); err != nil || m.Name != longest {
		t.Errorf("the longest text: %v", err)
	}
	refused(t, ErrTooLarge, u32(1)+text(longest+"x"), new(SetStreamName))
	refused(t, ErrTooLarge, u32(1)+"t"+strings.Repeat("x", 60000), new(SetStreamName))
	refused(t, ErrProtocol, u32(1)+"tno end", new(SetStreamName))
	refused(t, ErrProtocol, u32(1)+"t", new(SetStreamName))
	refused(t, ErrInvalid, u32(1)+text("\xc3\x28"), new(SetStreamName))
	refused(t, ErrInvalid, u32(1)+text("\xed\xa0\x80"), new(SetStreamName))
}

func TestHostileWriterGrows(t *testing.T) { // proto: panicked when writing more than 1024 bytes
	var props PropList
	for i := range 40 {
		if err := props.Set(fmt.Sprintf("key.%d", i), strings.Repeat("v", 100)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []Message{&SetStreamName{1, strings.Repeat("x", 3000)}, &SetClientName{props}} {
		b := AppendPacket(nil, Version, OpSetClientName, 1, m)
		h, err := ParseHeader(b)
		if err != nil || int(h.Length) != len(b)-HeaderSize || h.Length < 3000 {
			t.Errorf("%T: %+v, %v", m, h, err)
		}
	}
}

func TestHostileRemoveProplist(t *testing.T) { // proto: the real message panicked
	var m RemoveStreamProps
	if err := Decode([]byte(u32(3)+text("media.role")+text("media.name")+"N"), Version, &m); err != nil || m.Channel != 3 || len(m.Keys) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	refused(t, ErrTooLarge, u32(3)+strings.Repeat(text("k"), MaxProps+1)+"N", new(RemoveStreamProps))
	refused(t, ErrProtocol, u32(3)+text("media.role"), new(RemoveStreamProps))
}

func TestHostileTrailingBytes(t *testing.T) { // proto: accepted
	refused(t, ErrProtocol, u32(1)+"1"+"1", new(Cork))
	refused(t, ErrProtocol, u32(1), nil)
}

func TestHostileUnknownOperation(t *testing.T) { // proto: wrote to stdout
	op, _, _, err := ParseControl([]byte(u32(4000000000) + u32(1)))
	if err != nil || op < NumOps || op.String() != "command 4000000000" {
		t.Errorf("%v, %v", op, err)
	}
}

func TestHostilePropertyBombs(t *testing.T) { // pipewire: stack; PulseAudio: 64 KiB each, any number
	refused(t, ErrTooLarge, "P"+prop("k", strings.Repeat("v", MaxPropValue+1))+"N", new(SetClientName))
	many, large := "P", "P"
	for i := range MaxProps + 1 {
		many += prop(fmt.Sprint("k", i), "v\x00")
	}
	for i := range 9 {
		large += prop(fmt.Sprint("k", i), strings.Repeat("v", MaxPropValue))
	}
	refused(t, ErrTooLarge, many+"N", new(SetClientName))
	refused(t, ErrTooLarge, large+"N", new(SetClientName))
	refused(t, ErrTooLarge, "P"+strings.Repeat(prop("same", strings.Repeat("v", 1000)), 40)+"N", new(SetClientName))
	refused(t, ErrProtocol, "P"+prop("k", "v\x00"), new(SetClientName))
}

func TestHostileChannelCounts(t *testing.T) { // pipewire: stack overflow in channel maps, volumes without channels
	for _, n := range []byte{33, 64, 128, 255} {
		refused(t, ErrProtocol, "m"+string([]byte{n})+strings.Repeat("\x01", 255), one(func(c *Coder) { c.Map(new(pcm.ChannelMap)) }))
		refused(t, ErrProtocol, u32(1)+"v"+string([]byte{n})+strings.Repeat("\x00\x01\x00\x00", 255), new(SetVolume))
	}
	var m SetVolume
	if err := Decode([]byte(u32(1)+"v\x20"+strings.Repeat("\x00\x01\x00\x00", 32)), Version, &m); err != nil || len(m.Volume) != MaxChannels {
		t.Errorf("a dummy volume of 32 channels: %v", err)
	}
	if err := Decode([]byte(u32(1)+"v\x00"), Version, &m); err != nil || m.Volume.Check(2) == nil {
		t.Errorf("a volume without channels: %v, %v", err, m.Volume.Check(2))
	}
	for _, test := range []struct {
		v        CVolume
		channels int
		ok       bool
	}{{NormVolume(2), 2, true}, {NormVolume(1), 6, true}, {NormVolume(3), 2, false}, {nil, 0, false}, {CVolume{pcm.MaxVolume}, 1, true},
		{CVolume{pcm.MaxVolume + 1}, 1, false}, {CVolume{0, pcm.VolumeInvalid}, 2, false}} {
		if err := test.v.Check(test.channels); (err == nil) != test.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%v on %d channels: %v", test.v, test.channels, err)
		}
	}
}

func TestHostileSpecs(t *testing.T) { // pipewire: division by rate 0
	for _, wire := range []string{"a\x03\x02\x00\x00\x00\x00", "a\x03\x00\x00\x00\xac\x44", "a\x03\xff\x00\x00\xac\x44", "a\xff\x02\x00\x00\xac\x44", "a\x03\x02\xff\xff\xff\xff"} {
		var spec pcm.Spec
		if err := Decode([]byte(wire), Version, one(func(c *Coder) { c.Spec(&spec) })); err != nil || spec.Check() == nil {
			t.Errorf("%q: parsed: %v, checked: %v", wire, err, spec.Check())
		}
	}
}
