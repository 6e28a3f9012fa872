package session

import (
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// news is what the client has been told by subscription since it was asked last.
func (c *client) news() (all []native.SubscribeEvent) {
	c.t.Helper()
	c.take(native.Invalid)
	for _, e := range c.events {
		if e.op == native.OpSubscribeEvent {
			var m native.SubscribeEvent
			if err := native.Decode(e.fields, c.version, &m); err != nil {
				c.t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	c.events = nil
	return all
}

func (c *client) subscribe() {
	c.t.Helper()
	c.must(native.OpSubscribe, &native.Subscribe{Mask: native.MaskAll}, nil)
	c.news()
}

// feed sends a request and leaves its answer unread.
func (c *client) feed(op native.Op, m native.Message) {
	c.s.Feed(native.AppendPacket(nil, c.version, op, 1, m))
}

func TestEventsAreMerged(t *testing.T) {
	r := newRig(t)
	slow, c := r.connect(helperUID, policy.Playback, 35), r.connect(helperUID, policy.Playback, 35)
	slow.subscribe()
	s := c.create(creation())
	for v := range 100 {
		c.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: native.CVolume{0x100}}, nil)
		c.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index, Muted: v%2 == 0}, nil)
	}
	input := native.EventSinkInput
	if got, want := slow.news(), []native.SubscribeEvent{{Event: input | native.EventNew, Index: s.Index}}; !slices.Equal(got, want) {
		t.Errorf("new and changed: %+v", got)
	}
	c.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index}, nil)
	c.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index, Muted: true}, nil)
	if got, want := slow.news(), []native.SubscribeEvent{{Event: input | native.EventChange, Index: s.Index}}; !slices.Equal(got, want) {
		t.Errorf("changed: %+v", got)
	}
	c.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index}, nil)
	c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
	if got, want := slow.news(), []native.SubscribeEvent{{Event: input | native.EventRemove, Index: s.Index}}; !slices.Equal(got, want) {
		t.Errorf("changed and removed: %+v", got)
	}
}

// One REQUEST stands for all that were due while the client did not read, and none comes for a stream that is gone.
func TestRequestsAreMerged(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Attr.TLength, m.AdjustLatency = 19200, true
	s := c.create(m)
	for range 100 {
		c.sound(s.Channel, make([]byte, 4800))
		r.clock.Advance(25 * time.Millisecond)
	}
	if n := c.saw(native.OpRequest); n != 1 {
		t.Errorf("%d REQUESTs", n)
	}
	c.sound(s.Channel, make([]byte, 19200))
	r.clock.Advance(100 * time.Millisecond)
	c.events = nil
	c.feed(native.OpDeletePlaybackStream, &native.ByIndex{Index: s.Channel})
	if n := c.saw(native.OpRequest); n != 0 {
		t.Errorf("%d REQUESTs for a stream that is gone", n)
	}
}

func TestBudgetOfEvents(t *testing.T) {
	r := newRig(t)
	slow, c := r.connect(helperUID, policy.Playback, 35), r.connect(helperUID, policy.Playback, 35)
	slow.subscribe()
	slow.s.outbox = make([]byte, eventRoom) // the answers to what it asked before
	for i := 0; slow.s.Fault() == nil; i++ {
		if i > maxEvents {
			t.Fatal("a client that never reads its events is kept for ever")
		}
		r.clock.Advance(20 * time.Millisecond) // or they would be too many requests
		s := c.create(creation())
		c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
	}
	if len(slow.s.pending) > maxEvents+1 {
		t.Errorf("%d events were kept for it", len(slow.s.pending))
	}
}
