// Package session is the protocol's state machine, one Session a connection: bytes in, bytes out, and in between calls of the mixer.
//
//	Feed ─► packet header ─► sound: straight into the sink input's queue
//	                    └─► control: decode ─► check the grant ─► act ─► reply into the outbox
//	mixer ─► Listener ─► REQUEST, STARTED, UNDERFLOW, … into the outbox
//
// No session sees a descriptor: a connection feeds it what was read and writes what Outbox holds, then and at the end of a turn of the
// loop. So a test drives a whole server by hand. Everything belongs to the loop's goroutine.
package session

import (
	"os"
	osuser "os/user"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Server is what the sessions share.
type Server struct {
	clock    loop.Clock
	refusals *policy.Refusals
	log      func(format string, args ...any)
	started  time.Time
	runs     string // the account the server runs as, and the machine it runs on, for the owner's eyes
	host     string
	memory   *memory.Memory
	ceilings map[uint32]pcm.Volume // by uid, where it is not full volume

	sinks       []*sink
	defaultSink *sink
	missed      string // the sink that was the default when it left, which is to be it again
	nextSink    uint32
	cards       []*card
	nextCard    uint32
	silence     *mixer.Sink // among the sinks, while there is no other

	sources     []*source
	usualSource *source // the default at last look
	nextSource  uint32
	quiet       *mixer.Source // where a closed microphone records from
	usualAccess map[uint32]memory.Access
	asker       Asker
	now         func() time.Time // of the wall's clock
	priority    func() Priority

	users    map[uint32]*user
	personal func(user string) *Own // see Personal; nil: helpers play on the owner's default
	sessions []*Session
	streams  []*playback // of all sessions, in the order they came
	records  []*record   // likewise
}

// NewServer makes a server without devices: give it a sink before the first session. refusals is shown to the owner.
func NewServer(clock loop.Clock, refusals *policy.Refusals, log func(format string, args ...any)) *Server {
	s := &Server{clock: clock, refusals: refusals, log: log, started: time.Now(), memory: memory.New(), ceilings: map[uint32]pcm.Volume{}, users: map[uint32]*user{},
		usualAccess: map[uint32]memory.Access{}, quiet: mixer.NewQuiet(clock, log), now: time.Now, priority: func() Priority { return Priority{Kind: "ordinary"} }}
	if u, err := osuser.Current(); err == nil {
		s.runs = u.Username
	}
	s.host, _ = os.Hostname()
	return s
}

// Sessions is the number of connections that are open.
func (s *Server) Sessions() int { return len(s.sessions) }

func (s *Server) client(index uint32) *Session {
	for _, c := range s.sessions {
		if c.index == index {
			return c
		}
	}
	return nil
}

func (s *Server) recordOf(index uint32) *record {
	for _, r := range s.records {
		if r.index == index {
			return r
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
