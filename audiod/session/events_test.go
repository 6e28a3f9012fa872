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

// What is told to a client that has ceased to read costs no write that it would not take, no memory beyond one event of each object, and nothing
// to look through: with a thousand events that wait, one more is as cheap as the first.
func TestEventsForWhoeverDoesNotRead(t *testing.T) {
	r := newRig(t)
	slow, c := r.connect(helperUID, policy.Playback, 35), r.connect(helperUID, policy.Playback, 35)
	slow.subscribe()
	s := c.create(creation())
	slow.news()
	woken := 0
	slow.s.wake = func() { woken++ }
	change := native.SubscribeEvent{Event: native.EventSinkInput | native.EventChange, Index: s.Index}
	slow.s.notice(change)
	if woken == 0 {
		t.Fatal("what is new to a client that has read everything waits")
	}
	if news := slow.news(); len(news) == 0 || news[len(news)-1] != change {
		t.Fatalf("it was told %+v", news)
	}

	slow.s.outbox = make([]byte, eventRoom) // which its socket did not take
	woken = 0
	const objects = maxEvents / 2
	for i := range uint32(objects) {
		slow.s.notice(native.SubscribeEvent{Event: native.EventSinkInput | native.EventNew, Index: 1 + i})
		slow.s.notice(native.SubscribeEvent{Event: native.EventClient | native.EventNew, Index: 1 + i})
	}
	last := native.SubscribeEvent{Event: native.EventClient | native.EventChange, Index: objects}
	if n := testing.AllocsPerRun(10_000, func() { slow.s.notice(last) }); n != 0 {
		t.Errorf("%v allocations for an event that is no news", n)
	}
	for i := range uint32(objects) {
		slow.s.notice(native.SubscribeEvent{Event: native.EventSinkInput | native.EventRemove, Index: 1 + i})
		slow.s.notice(native.SubscribeEvent{Event: native.EventSinkInput | native.EventRemove, Index: 1 + i})
	}
	if len(slow.s.pending) != 2*objects || slow.s.Fault() != nil {
		t.Errorf("%d events of %d objects wait (%v)", len(slow.s.pending), 2*objects, slow.s.Fault())
	}
	if woken != 0 {
		t.Errorf("it was to be written to %d times", woken)
	}

	slow.s.outbox = slow.s.outbox[:0]
	told := map[object]native.Event{}
	for _, e := range slow.news() {
		told[object{e.Event.Facility(), e.Index}] = e.Event.Type()
	}
	for i := range uint32(objects) {
		if told[object{native.EventSinkInput, 1 + i}] != native.EventRemove || told[object{native.EventClient, 1 + i}] != native.EventNew {
			t.Fatalf("of number %d it is told %v and %v", 1+i, told[object{native.EventSinkInput, 1 + i}], told[object{native.EventClient, 1 + i}])
		}
	}
	if slow.s.notice(last); slow.s.Fault() != nil || len(slow.s.pending) != 1 || cap(slow.s.pending) > manyEvents {
		t.Errorf("with all of it told, %d wait in room for %d (%v)", len(slow.s.pending), cap(slow.s.pending), slow.s.Fault())
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
