package session

import (
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Each budget is spent to the last by one user. The next request gets the error of the table in README; the user's other streams, and
// everybody else's, go on.

func small() *native.CreatePlaybackStream {
	m := creation()
	m.Attr = native.BufferAttr{MaxLength: 4096, TLength: 4096, Prebuf: native.Invalid, MinReq: native.Invalid}
	return m
}

func large() *native.CreatePlaybackStream {
	m := creation()
	m.Attr = native.BufferAttr{MaxLength: native.Invalid, TLength: 4 << 20, Prebuf: native.Invalid, MinReq: native.Invalid}
	return m
}

func TestBudgetOfStreams(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	var last native.CreatePlaybackStreamReply
	for range maxStreams {
		last = c.create(small())
	}
	again := r.connect(helperUID, policy.Playback, 35)
	if err := again.call(native.OpCreatePlaybackStream, small(), nil); err != native.ErrTooLarge {
		t.Errorf("one stream too many: %v", err)
	}
	r.connect(otherUID, policy.Playback, 35).create(small())
	c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: last.Channel}, nil)
	again.create(small())

	owner := r.connect(ownerUID, policy.Owner, 35)
	for range ownersTimes * maxStreams {
		owner.create(small())
	}
	if err := owner.call(native.OpCreatePlaybackStream, small(), nil); err != native.ErrTooLarge {
		t.Errorf("one stream of the owner's too many: %v", err)
	}
	if err := again.call(native.OpCreatePlaybackStream, small(), nil); err != native.ErrTooLarge {
		t.Errorf("one stream too many, while the owner has more: %v", err)
	}
}

func TestBudgetOfBufferedBytes(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	first := c.create(small())
	growing := creation()
	growing.Attr.TLength = 4096
	grown := c.create(growing)
	n := 0
	for ; c.call(native.OpCreatePlaybackStream, large(), new(native.CreatePlaybackStreamReply)) == nil; n++ {
		if n > maxStreams {
			t.Fatal("there is no limit")
		}
	}
	if n < maxBuffered/(5<<20) || n > maxBuffered/(4<<20) {
		t.Errorf("%d streams of 4 MiB fit into %d MiB", n, maxBuffered>>20)
	}
	// A stream of a small target, whose client writes more than it was asked for, takes what is left and not a byte more.
	for range 8 {
		c.sound(grown.Channel, make([]byte, 1<<20))
	}
	if c.user().buffers.Taken() > maxBuffered || c.saw(native.OpOverflow) == 0 {
		t.Errorf("%d bytes are taken, %d OVERFLOWs were sent", c.user().buffers.Taken(), c.saw(native.OpOverflow))
	}
	c.sound(first.Channel, make([]byte, first.Missing))
	r.clock.Advance(100 * time.Millisecond)
	if c.saw(native.OpStarted) == 0 {
		t.Error("the stream that had its memory does not play")
	}
	r.connect(otherUID, policy.Playback, 35).create(large())

	c.s.Close()
	if taken := c.user().buffers.Taken(); taken != 0 {
		t.Errorf("%d bytes are taken after the end", taken)
	}
}

func (c *client) user() *user { return c.s.user }

func TestBudgetOfRequests(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	r.clock.Advance(10 * time.Second)
	for i := range maxRequests {
		if err := c.call(native.OpStat, nil, new(native.StatReply)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := c.call(native.OpStat, nil, nil); err != native.ErrBusy {
		t.Errorf("one request too many: %v", err)
	}
	r.connect(otherUID, policy.Playback, 35).must(native.OpStat, nil, new(native.StatReply))
	r.clock.Advance(time.Second)
	for i := range requestRate - 1 { // the one too many counts, too
		if err := c.call(native.OpStat, nil, new(native.StatReply)); err != nil {
			t.Fatalf("request %d of the next second: %v", i, err)
		}
	}
	if err := c.call(native.OpStat, nil, nil); err != native.ErrBusy {
		t.Errorf("one request too many in the next second: %v", err)
	}

	owner := r.connect(ownerUID, policy.Owner, 35)
	for i := range 2 * maxRequests {
		if err := owner.call(native.OpStat, nil, new(native.StatReply)); err != nil {
			t.Fatalf("request %d of the owner: %v", i, err)
		}
	}
}

// What may have a filter worked out counts as many requests: a helper who asks for nothing else does not keep the thread that plays.
func TestBudgetOfRates(t *testing.T) {
	r := newRig(t)
	rates := uint32(44100)
	another := func() uint32 { rates++; return rates }
	played := creation()
	played.VariableRate, played.Attr = true, small().Attr
	heard := recordingRequest()
	heard.VariableRate, heard.Attr = true, native.RecordAttr{MaxLength: 4096, FragSize: 4096}
	for what, ask := range map[string]func(c *client) error{
		"a playback stream": func(c *client) error {
			var reply native.CreatePlaybackStreamReply
			m := *played
			m.Spec.Rate = another()
			if err := c.call(native.OpCreatePlaybackStream, &m, &reply); err != nil {
				return err
			}
			return c.call(native.OpDeletePlaybackStream, &native.ByIndex{Index: reply.Channel}, nil)
		},
		"a record stream": func(c *client) error {
			var reply native.CreateRecordStreamReply
			m := *heard
			m.Spec.Rate = another()
			if err := c.call(native.OpCreateRecordStream, &m, &reply); err != nil {
				return err
			}
			return c.call(native.OpDeleteRecordStream, &native.ByIndex{Index: reply.Channel}, nil)
		},
		"its rate while it plays": func(c *client) error {
			return c.call(native.OpUpdatePlaybackStreamSampleRate, &native.UpdateRate{Rate: another()}, nil)
		},
		"its rate while it records": func(c *client) error {
			return c.call(native.OpUpdateRecordStreamSampleRate, &native.UpdateRate{Rate: another()}, nil)
		},
	} {
		r.clock.Advance(10 * time.Second)
		c := r.connect(helperUID, policy.Playback, 35)
		c.create(played)
		c.record(heard)
		r.clock.Advance(10 * time.Second)
		n, err := 0, error(nil)
		for ; err == nil && n < maxRequests; n++ {
			err = ask(c)
		}
		if err != native.ErrBusy || n > maxRequests/heavy+1 {
			t.Errorf("%s: after %d of them: %v", what, n, err)
		}
		c.s.Close()
	}
}

// Whatever costs the server time is paid for from the budget of requests, and who has spent it is not read from for a while: neither on the connection
// that did it nor on another of the same user. Nobody else notices.
func TestBudgetOfWork(t *testing.T) {
	r := newRig(t)
	long := native.Text("a", strings.Repeat("x", 4000), "b", strings.Repeat("x", 4000))
	for what, work := range map[string]struct {
		most int // times that it may be done at once
		do   func(t *testing.T, c *client) func()
	}{
		"requests that are refused": {2 * maxRequests, func(t *testing.T, c *client) func() {
			return func() { c.call(native.OpStat, nil, new(native.StatReply)) }
		}},
		"long answers": {maxRequests / 2, func(t *testing.T, c *client) func() {
			c.must(native.OpUpdateClientProplist, &native.UpdateClientProps{Mode: native.UpdateReplace, Props: long}, nil)
			return func() { c.call(native.OpGetClientInfo, &native.ByIndex{Index: c.s.index}, new(native.ClientInfo)) }
		}},
		"events that many read": {maxRequests / 5, func(t *testing.T, c *client) func() {
			var all []*client
			for range 64 {
				all = append(all, r.connect(helperUID, policy.Playback, 35))
				all[len(all)-1].subscribe()
			}
			s := c.create(small())
			muted := false
			return func() {
				muted = !muted
				c.call(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index, Muted: muted}, nil)
				for _, other := range all {
					other.news()
				}
			}
		}},
		"sound in tiny packets": {32 * maxRequests, func(t *testing.T, c *client) func() { return func() { c.sound(9, []byte{0}) } }},
		"sound by the megabyte": {maxRequests * soundBytes >> 20, func(t *testing.T, c *client) func() {
			head, piece := native.AppendHeader(nil, native.Header{Length: 1 << 20, Channel: 9}), make([]byte, 1<<20)
			return func() { c.s.Feed(head); c.s.Feed(piece) }
		}},
		"a byte at a time": {8 * maxRequests, func(t *testing.T, c *client) func() { return func() { c.s.Rest() } }},
		"connections": {maxRequests / connecting, func(t *testing.T, c *client) func() {
			return func() { r.open(helperUID, policy.Playback).s.Close() }
		}},
	} {
		t.Run(what, func(t *testing.T) {
			r.clock.Advance(10 * time.Second)
			c, again := r.connect(helperUID, policy.Playback, 35), r.connect(helperUID, policy.Playback, 35)
			defer again.s.Close()
			defer c.s.Close()
			do := work.do(t, c)
			r.clock.Advance(10 * time.Second)
			n := 0
			for ; c.user().requests.empty(r.clock) == 0; n++ {
				if n > work.most {
					t.Fatalf("he may do more than %d at once", work.most)
				}
				do()
			}
			if n < work.most/4 {
				t.Errorf("he has to rest after %d, the test is not of what it says", n)
			}
			rest := c.s.Rest()
			if rest <= 0 || again.s.Rest() <= 0 {
				t.Errorf("after %d he is read from on", n)
			}
			if r.connect(otherUID, policy.Playback, 35).s.Rest() != 0 || r.connect(ownerUID, policy.Owner, 35).s.Rest() != 0 {
				t.Error("others are not read from")
			}
			r.clock.Advance(rest)
			if c.s.Rest() != 0 {
				t.Error("he is not read from when he has rested")
			}
		})
	}

	owner := r.connect(ownerUID, policy.Owner, 35)
	for range 2 * maxRequests {
		owner.call(native.OpStat, nil, new(native.StatReply))
		owner.sound(9, make([]byte, 1000))
	}
	if owner.s.Rest() != 0 {
		t.Error("the owner has to rest")
	}
}

// What programs do, and more of it than any: a full house of streams that are fed every 5 ms, each watched and asked for its clock.
func TestNobodyRestsForPlaying(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	for range 50 {
		watcher := r.connect(helperUID, policy.Playback, 35)
		watcher.subscribe()
		defer watcher.s.Close()
	}
	var streams []native.CreatePlaybackStreamReply
	for range maxStreams {
		r.clock.Advance(20 * time.Millisecond)
		streams = append(streams, c.create(small()))
	}
	for range 400 {
		r.clock.Advance(5 * time.Millisecond)
		for i, s := range streams {
			if rest := c.s.Rest(); rest > 0 {
				t.Fatalf("not read from for %v", rest)
			}
			c.sound(s.Channel, make([]byte, 960))
			if i%16 == 0 {
				c.must(native.OpGetPlaybackLatency, &native.GetLatency{Channel: s.Channel}, new(native.PlaybackLatency))
			}
		}
	}
}

func TestBudgetOfDrains(t *testing.T) {
	r := newRig(t)
	c := r.connect(helperUID, policy.Playback, 35)
	s := c.create(small())
	c.sound(s.Channel, make([]byte, s.Missing))
	c.must(native.OpCorkPlaybackStream, &native.Cork{Channel: s.Channel, Corked: true}, nil)
	for range maxDrains {
		if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: s.Channel}, nil); err != errNoAnswer {
			t.Fatalf("a drain of a corked stream: %v", err)
		}
	}
	if err := c.call(native.OpDrainPlaybackStream, &native.ByIndex{Index: s.Channel}, nil); err != native.ErrBusy {
		t.Errorf("one drain too many: %v", err)
	}
}

func TestASlowReaderLosesOnlyItself(t *testing.T) {
	r := newRig(t)
	slow := r.connect(otherUID, policy.Playback, 35)
	good := r.connect(helperUID, policy.Playback, 35)
	s := good.create(creation())
	for i := 0; slow.s.Fault() == nil; i++ {
		if i > 1e6 {
			t.Fatal("a client that never reads is kept for ever")
		}
		slow.s.Feed(native.AppendPacket(nil, 35, native.OpGetServerInfo, 1, nil)) // never takes the answers
	}
	if n := len(slow.s.Outbox()); n > maxOutbox+4096 {
		t.Errorf("%d bytes were kept for it", n)
	}
	slow.s.Close()
	good.sound(s.Channel, make([]byte, s.Missing))
	r.clock.Advance(100 * time.Millisecond)
	if good.saw(native.OpStarted) != 1 {
		t.Error("the other client does not play")
	}
}
