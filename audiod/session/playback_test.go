package session

import (
	"encoding/binary"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// answer is the error that answered tag, OK for a reply, and whether there is an answer.
func (c *client) answer(tag uint32) (native.Code, bool) {
	switch op, fields := c.take(tag); op {
	case native.OpReply:
		return native.OK, true
	case native.OpError:
		return native.Code(binary.BigEndian.Uint32(fields[1:])), true
	}
	return 0, false
}

func TestDrainsAreAnsweredInTime(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Corked = true
	s := c.create(m)
	c.sound(s.Channel, make([]byte, 4800*4))
	drain := func() uint32 {
		t.Helper()
		if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: s.Channel}, nil); err != errNoAnswer {
			t.Fatalf("a DRAIN was answered at once: %v", err)
		}
		return c.tag
	}
	first := drain()
	r.clock.Advance(10 * time.Second)
	second := drain()
	r.clock.Advance(drainTime - 10*time.Second - time.Millisecond)
	if code, done := c.answer(first); done {
		t.Fatalf("answered before its time: %v", code)
	}
	r.clock.Advance(time.Millisecond)
	if code, done := c.answer(first); !done || code != native.ErrTimeout {
		t.Errorf("the DRAIN of a corked stream: %v, answered %v; want a timeout", code, done)
	}
	r.clock.Advance(5 * time.Second)
	c.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel}, nil)
	r.clock.Advance(200 * time.Millisecond)
	if code, done := c.answer(second); !done || code != native.OK {
		t.Errorf("the one that came later, after the cork was taken off: %v, answered %v", code, done)
	}
	if n := r.clock.Timers(); n != 0 {
		t.Errorf("%d timers are left", n)
	}

	// Of what is corked just as the last of it went out, too.
	c.sound(s.Channel, make([]byte, 4800*4))
	c.must(native.OpTriggerPlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
	r.clock.Advance(50 * time.Millisecond)
	c.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel, Corked: true}, nil)
	c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
	last := c.tag
	r.clock.Advance(200 * time.Millisecond)
	if code, done := c.answer(last); !done || code != native.OK {
		t.Errorf("the DRAIN of a corked stream that has nothing more: %v, answered %v", code, done)
	}

	// And no more of them than can be remembered.
	c.sound(s.Channel, make([]byte, 4800*4))
	for range maxDrains {
		drain()
	}
	if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: s.Channel}, nil); err != native.ErrBusy {
		t.Errorf("one DRAIN more: %v", err)
	}
	c.s.Close()
	r.clock.Advance(time.Second)
	if n := r.clock.Timers(); n != 0 {
		t.Errorf("%d timers are left of a client that went", n)
	}
}

// An xrun of the card is told, from version 15 on, to whoever's buffer becomes longer for it.
func TestLongerBuffersAreTold(t *testing.T) {
	for _, version := range []uint32{14, 15, 35} {
		r := newRig(t)
		c := r.connect(helperUID, policy.Playback, version)
		m := creation()
		m.Attr.TLength = 100
		s := c.create(m)
		c.sound(s.Channel, make([]byte, 48000))
		r.clock.Advance(50 * time.Millisecond)
		r.card.Xrun()
		r.clock.Advance(50 * time.Millisecond)
		told := c.saw(native.OpPlaybackBufferAttrChanged)
		if (told > 0) != (version >= 15) {
			t.Errorf("version %d: told %d times", version, told)
		}
		for _, e := range c.events {
			var m native.PlaybackBufferAttrChanged
			if e.op != native.OpPlaybackBufferAttrChanged {
				continue
			}
			if err := native.Decode(e.fields, version, &m); err != nil || m.Channel != s.Channel || m.Attr.TLength <= s.Attr.TLength || m.Latency <= s.Latency {
				t.Errorf("version %d: %+v after %+v (%v)", version, m, s, err)
			}
		}
	}
}

func TestVariableRate(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	fixed := c.create(creation())
	m := creation()
	m.VariableRate, m.SyncID = true, 1
	tunable := c.create(m)
	for _, test := range []struct {
		channel, rate uint32
		want          error
	}{
		{fixed.Channel, 44100, native.ErrBadState}, {tunable.Channel, 44100, nil}, {tunable.Channel, 0, native.ErrInvalid}, {tunable.Channel, 400000, native.ErrInvalid},
		{77, 44100, native.ErrNoEntity},
	} {
		if err := c.call(native.OpUpdatePlaybackStreamSampleRate, &native.UpdateRate{Channel: test.channel, Rate: test.rate}, nil); err != test.want {
			t.Errorf("channel %d, rate %d: %v, want %v", test.channel, test.rate, err, test.want)
		}
	}
	var info native.SinkInputInfo
	c.must(native.OpGetSinkInputInfo, &native.ByIndex{Index: tunable.Index}, &info)
	if info.Spec.Rate != 44100 {
		t.Errorf("%+v", info.Spec)
	}
}

// A client that sends more than there is room for is told once, and goes on after a flush, as VLC does.
func TestOverflow(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Corked, m.Attr.MaxLength = true, 48000
	s := c.create(m)
	for range 10 {
		c.sound(s.Channel, make([]byte, 9600))
	}
	if n := c.saw(native.OpOverflow); n != 1 {
		t.Errorf("told %d times of an overflow", n)
	}
	var latency native.PlaybackLatency
	c.must(native.OpGetPlaybackLatency, &native.GetLatency{Channel: s.Channel}, &latency)
	if latency.WriteIndex != 96000 || latency.ReadIndex != 0 {
		t.Errorf("%+v", latency)
	}
	c.must(native.OpFlushPlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
	c.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel}, nil)
	c.sound(s.Channel, make([]byte, 48000))
	r.clock.Advance(100 * time.Millisecond)
	if c.saw(native.OpStarted) != 1 || c.saw(native.OpOverflow) != 1 {
		t.Errorf("after the flush: %d STARTED, %d OVERFLOW", c.saw(native.OpStarted), c.saw(native.OpOverflow))
	}
}
