package session

import (
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// What a client is told unasked, and what can be said in one message when it is slow to read, waits beside the outbox until that is nearly
// empty:
//
//	announce ─► pending: NEW, CHANGE or REMOVE once for each object ─┐
//	mixer ─► Wants ─► wanting: one REQUEST for each stream           ┴─► Outbox

// eventRoom is how much may be unread in an outbox that takes up what waits.
const eventRoom = 4 << 10

// manyEvents is of how many that wait the memory is not kept.
const manyEvents = 64

// announce tells all who subscribed to it, and may see an object of owner's, that something happened to it; and the owner's sound server, where that shows it.
func (s *Server) announce(event native.Event, index uint32, owner *Session) {
	if f := event.Facility(); f == native.EventSinkInput || f == native.EventSourceOutput {
		s.entitle(owner.user)
	}
	s.announceTo(event, index, func(c *Session) bool { return c.sees(owner) })
}

// announceToOwner tells the owner's sessions of what helpers do not know to exist.
func (s *Server) announceToOwner(event native.Event, index uint32) {
	s.announceTo(event, index, func(c *Session) bool { return c.grant == policy.Owner })
}

func (s *Server) announceTo(event native.Event, index uint32, who func(*Session) bool) {
	for _, c := range s.sessions {
		if c.subscribed&event.Mask() != 0 && who(c) {
			c.notice(native.SubscribeEvent{Event: event, Index: index})
		}
	}
}

// object is what an event is about.
type object struct {
	facility native.Event
	index    uint32
}

// notice has the client told of e unless what it is still to be told says as much (pulsecore/core-subscribe.c): a change of what is new or
// changed is no news, and nothing matters of what is removed. However much waits, it costs the same, and a client that does not read nothing more.
func (c *Session) notice(e native.SubscribeEvent) {
	about := object{e.Event.Facility(), e.Index}
	if i, told := c.told[about]; told {
		switch e.Event.Type() {
		case native.EventChange:
			return
		case native.EventRemove:
			c.pending[i] = e
			return
		}
	}
	if c.told == nil {
		c.told = map[object]int{}
	}
	c.told[about] = len(c.pending)
	c.pending = append(c.pending, e)
	if len(c.pending) > maxEvents {
		c.fail(fmt.Errorf("left %d events unread", len(c.pending)))
		return
	}
	if len(c.outbox) == 0 { // else it is to be written already, or waits until the client reads
		c.wake()
	}
}

// want has the client asked for so many more bytes of a stream.
func (c *Session) want(p *playback, bytes int) {
	if p.request.Length == 0 {
		c.wanting = append(c.wanting, p)
	}
	p.request.Length += uint32(bytes)
	c.wake()
}

// unwant forgets what was to be asked for a stream.
func (c *Session) unwant(p *playback) {
	p.request.Length = 0
	c.wanting = slices.DeleteFunc(c.wanting, func(other *playback) bool { return other == p })
}

// gather puts what waits into the outbox.
func (c *Session) gather() {
	for i, p := range c.wanting {
		c.outbox = native.AppendPacket(c.outbox, c.version, native.OpRequest, native.Invalid, &p.request)
		p.request.Length, c.wanting[i] = 0, nil
	}
	c.wanting = c.wanting[:0]
	for i := range c.pending {
		c.outbox = native.AppendPacket(c.outbox, c.version, native.OpSubscribeEvent, native.Invalid, &c.pending[i])
	}
	c.spend(time.Duration(len(c.pending)) * anEvent)
	if len(c.pending) > manyEvents { // seldom: it is not kept
		c.pending, c.told = nil, nil
	}
	c.pending = c.pending[:0]
	clear(c.told)
}
