package session

import (
	"fmt"
	"slices"

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

// notice has the client told of e unless what it is still to be told says as much (pulsecore/core-subscribe.c): a change of what is new or
// changed is no news, and nothing matters of what is removed.
func (c *Session) notice(e native.SubscribeEvent) {
	same := func(old native.SubscribeEvent) bool {
		return old.Event.Facility() == e.Event.Facility() && old.Index == e.Index
	}
	switch e.Event.Type() {
	case native.EventChange:
		if slices.ContainsFunc(c.pending, same) {
			return
		}
	case native.EventRemove:
		c.pending = slices.DeleteFunc(c.pending, same)
	}
	c.pending = append(c.pending, e)
	if len(c.pending) > maxEvents {
		c.fail(fmt.Errorf("left %d events unread", len(c.pending)))
		return
	}
	c.wake()
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
	c.pending = c.pending[:0]
}
