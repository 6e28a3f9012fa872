package session

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

func uploadOf(name string, length int) *native.CreateUploadStream {
	return &native.CreateUploadStream{Name: name, Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap, Length: uint32(length),
		Props: native.Text("media.role", "event")}
}

// put uploads frames as a sample.
func (c *client) put(name string, frames []int16) error {
	sound := make([]byte, 0, 4*len(frames))
	for _, f := range frames {
		sound = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(sound, uint16(f)), uint16(f))
	}
	var reply native.CreateUploadStreamReply
	if err := c.call(native.OpCreateUploadStream, uploadOf(name, len(sound)), &reply); err != nil {
		return err
	}
	if reply.Length != uint32(len(sound)) {
		c.t.Errorf("an upload of %d bytes is to be %d", len(sound), reply.Length)
	}
	c.sound(reply.Channel, sound[:len(sound)/3])
	c.sound(reply.Channel, sound[len(sound)/3:])
	c.sound(reply.Channel, []byte("what was not announced"))
	return c.call(native.OpFinishUploadStream, &native.ByIndex{Index: reply.Channel}, nil)
}

func play(name string) *native.PlaySample {
	return &native.PlaySample{SinkIndex: native.Invalid, Volume: pcm.VolumeInvalid, Name: name}
}

// A sample is played by name, whole, once, and also when whoever brought it and whoever had it played have gone.
func TestSamplesPlay(t *testing.T) {
	for _, version := range []uint32{native.MinVersion, native.Version} {
		r := newRig(t)
		c := r.connect(helperUID, policy.Playback, version)
		frames := make([]int16, 4800)
		for i := range frames {
			frames[i] = int16(i + 1)
		}
		stream := c.create(creation()) // has a channel beside the upload's
		if err := c.put("bell", frames); err != nil {
			t.Fatal(err)
		}
		c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: stream.Channel}, nil)
		c.s.Close()

		c = r.connect(helperUID, policy.Playback, version)
		var list native.SampleInfoList
		c.must(native.OpGetSampleInfoList, nil, &list)
		if len(list) != 1 || list[0].Name != "bell" || list[0].Length != 4*4800 || list[0].Duration != 100_000 {
			t.Fatalf("version %d: %+v", version, list)
		}
		var one native.SampleInfo
		c.must(native.OpGetSampleInfo, &native.ByIndexOrName{Index: native.Invalid, Name: "bell"}, &one)
		c.must(native.OpGetSampleInfo, &native.ByIndexOrName{Index: one.Index}, &one)
		var index native.IndexReply
		c.must(native.OpPlaySample, play("bell"), &index)
		var info native.SinkInputInfo
		c.must(native.OpGetSinkInputInfo, &native.ByIndex{Index: index.Index}, &info)
		if role, _ := info.Props.Get("media.role"); info.Name != "bell" || info.Client != native.Invalid || role != "event" {
			t.Errorf("version %d: %+v", version, info)
		}
		c.s.Close()
		r.card.Heard()
		r.clock.Advance(500 * time.Millisecond)
		h := r.card.Heard()
		for len(h) > 0 && h[len(h)-1] == 0 {
			h = h[:len(h)-1]
		}
		if len(h) != 2*4800 {
			t.Fatalf("version %d: %d frames were heard of 4800", version, len(h)/2)
		}
		for i := range h {
			if want := float32(i/2+1) / 32768; h[i] != want {
				t.Fatalf("version %d: sample %d is %v, want %v", version, i, h[i], want)
			}
		}
		if n := len(r.server.streams) + r.server.users[helperUID].streams + r.clock.Timers(); n != 0 {
			t.Errorf("version %d: %d things are left", version, n)
		}
	}
}

func TestSamplesAreTheirUsers(t *testing.T) {
	r := newRig(t)
	owner, c, other := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35), r.connect(otherUID, policy.Playback, 35)
	for _, c := range []*client{owner, c, other} {
		c.must(native.OpSubscribe, &native.Subscribe{Mask: native.EventSampleCache.Mask()}, nil)
	}
	for _, name := range []string{"bell", "bell", "ring"} {
		if err := c.put(name, make([]int16, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.saw(native.OpSubscribeEvent); n != 3 {
		t.Errorf("its own client was told %d times, want 3", n)
	}
	for _, c := range []*client{owner, other} {
		var list native.SampleInfoList
		c.must(native.OpGetSampleInfoList, nil, &list)
		if len(list) != 0 || c.saw(native.OpSubscribeEvent) != 0 {
			t.Errorf("another user is told of %+v", list)
		}
		for op, m := range map[native.Op]native.Message{native.OpPlaySample: play("bell"), native.OpRemoveSample: &native.ByName{Name: "bell"},
			native.OpGetSampleInfo: &native.ByIndexOrName{Index: 0}} {
			if err := c.call(op, m, nil); err != native.ErrNoEntity {
				t.Errorf("%v of another's: %v", op, err)
			}
		}
	}
	if err := other.put("bell", make([]int16, 50)); err != nil {
		t.Fatal(err)
	}
	other.must(native.OpRemoveSample, &native.ByName{Name: "bell"}, nil)
	var list native.SampleInfoList
	c.must(native.OpGetSampleInfoList, nil, &list)
	if len(list) != 2 {
		t.Errorf("after another removed one of the same name: %+v", list)
	}
	c.must(native.OpRemoveSample, &native.ByName{Name: "bell"}, nil)
	if err := c.call(native.OpPlaySample, play("bell"), nil); err != native.ErrNoEntity {
		t.Errorf("a sample that was removed: %v", err)
	}
}

func TestBudgetOfSamples(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	const part = maxSampled / 4 / 4 // frames, a quarter
	for _, name := range []string{"a", "b", "c"} {
		if err := c.put(name, make([]int16, part)); err != nil {
			t.Fatal(err)
		}
	}
	var halfway native.CreateUploadStreamReply
	c.must(native.OpCreateUploadStream, uploadOf("d", 4*part), &halfway)
	if err := c.put("e", make([]int16, 1)); err != native.ErrTooLarge {
		t.Errorf("a frame too many: %v", err)
	}
	c.must(native.OpDeleteUploadStream, &native.ByIndex{Index: halfway.Channel}, nil)
	if err := c.put("a", make([]int16, part)); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
	c.must(native.OpRemoveSample, &native.ByName{Name: "b"}, nil)
	for _, frames := range []int{part, part} {
		c.must(native.OpCreateUploadStream, uploadOf("e", 4*frames), &halfway)
		c.sound(halfway.Channel, make([]byte, 401)) // a hundred frames of it, and a quarter
	}
	c.must(native.OpFinishUploadStream, &native.ByIndex{Index: halfway.Channel}, nil)
	var info native.SampleInfo
	c.must(native.OpGetSampleInfo, &native.ByIndexOrName{Index: native.Invalid, Name: "e"}, &info)
	if info.Length != 400 {
		t.Errorf("an upload that stopped short is %d bytes", info.Length)
	}
	u := r.server.users[helperUID]
	c.s.Close()
	want := 4*2*part + 400
	if u.cache.Taken() != want || u.uploads != 0 {
		t.Errorf("when the client has gone %d bytes are taken, want %d; %d uploads", u.cache.Taken(), want, u.uploads)
	}

	c = r.connect(otherUID, policy.Playback, 35)
	for range maxSamples {
		c.must(native.OpCreateUploadStream, uploadOf("x", 4), &halfway)
	}
	if err := c.call(native.OpCreateUploadStream, uploadOf("x", 4), nil); err != native.ErrTooLarge {
		t.Errorf("one upload too many: %v", err)
	}
	if err := c.call(native.OpFinishUploadStream, &native.ByIndex{Index: halfway.Channel}, nil); err != native.ErrNoData {
		t.Errorf("an upload without sound: %v", err)
	}
	for name, m := range map[string]*native.CreateUploadStream{"no name": uploadOf("", 4), "half a frame": uploadOf("x", 6), "nothing": uploadOf("x", 0), "a path": uploadOf("../x", 4),
		"a long name": uploadOf(string(slices.Repeat([]byte{'x'}, 129)), 4), "4 GiB": uploadOf("x", 0xFFFFFFFC)} {
		want := error(native.ErrInvalid)
		if name == "4 GiB" {
			want = native.ErrTooLarge
		}
		if err := c.call(native.OpCreateUploadStream, m, nil); err != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for range 100 { // sound that plays is among the user's streams
		if err := c.put("y", make([]int16, 48000)); err == nil {
			break
		}
		c.must(native.OpDeleteUploadStream, &native.ByIndex{Index: c.s.uploads[0].channel}, nil)
	}
	for range maxStreams {
		c.must(native.OpPlaySample, play("y"), new(native.IndexReply))
	}
	if err := c.call(native.OpPlaySample, play("y"), nil); err != native.ErrTooLarge {
		t.Errorf("more than %d at once: %v", maxStreams, err)
	}
	r.clock.Advance(3 * time.Second)
	c.must(native.OpPlaySample, play("y"), new(native.IndexReply))
}
