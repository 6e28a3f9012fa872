// Package session is the protocol's state machine, one Session a connection: bytes in, bytes out, and in between calls of the mixer.
//
//	Feed ─► packet header ─► sound: straight into the sink input's queue
//	                    └─► control: decode ─► check the grant ─► act ─► reply into the outbox
//	mixer ─► Listener ─► REQUEST, STARTED, UNDERFLOW, … into the outbox
//
// No session sees a descriptor: a connection feeds it what was read and writes what Outbox holds, once a turn of the loop. So a
// test drives a whole server by hand. Everything belongs to the loop's goroutine.
package session

import (
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// What there is exactly one of, and what everybody may know of it.
const (
	sinkIndex = 0
	sinkName  = "sandbox-audio"
)

// Server is what the sessions share.
type Server struct {
	clock    loop.Clock
	sink     *mixer.Sink
	refusals *policy.Refusals
	log      func(format string, args ...any)
	started  time.Time

	sessions []*Session
	streams  []*playback // of all sessions, in the order they came
	spaces   map[uint32]*space
}

// NewServer makes a server that plays on sink. refusals is shown to the owner.
func NewServer(clock loop.Clock, sink *mixer.Sink, refusals *policy.Refusals, log func(format string, args ...any)) *Server {
	return &Server{clock: clock, sink: sink, refusals: refusals, log: log, started: time.Now(), spaces: map[uint32]*space{}}
}

// Sessions is the number of connections that are open.
func (s *Server) Sessions() int { return len(s.sessions) }

// space is the numbers that objects of one user get. They are his own, so that gaps in them tell nobody what others do.
type space struct{ base, next uint32 }

const spaceSize = 1 << 20

// number is a new object's index, which no living object has.
func (s *Server) number(uid uint32) uint32 {
	sp := s.spaces[uid]
	if sp == nil {
		sp = &space{base: uint32(len(s.spaces)) % (1 << 11) * spaceSize}
		s.spaces[uid] = sp
	}
	for {
		n := sp.base + sp.next%spaceSize
		sp.next++
		if s.client(n) == nil && s.stream(n) == nil {
			return n
		}
	}
}

func (s *Server) client(index uint32) *Session {
	for _, c := range s.sessions {
		if c.index == index {
			return c
		}
	}
	return nil
}

func (s *Server) stream(index uint32) *playback {
	for _, p := range s.streams {
		if p.index == index {
			return p
		}
	}
	return nil
}

// announce tells all who subscribed to it, and may see an object of owner's, that something happened to it.
func (s *Server) announce(event native.Event, index uint32, owner *Session) {
	for _, c := range s.sessions {
		if c.subscribed&event.Mask() != 0 && (owner == nil || c.sees(owner)) {
			c.send(native.OpSubscribeEvent, &native.SubscribeEvent{Event: event, Index: index})
		}
	}
}
