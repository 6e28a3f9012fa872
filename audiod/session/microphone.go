package session

import (
	"cmp"
	"slices"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// The microphone is closed to helpers until the owner opens it, and what closes and opens is where their streams come from:
//
//	deny, or asked and not answered ─► quiet: a source that keeps time ─┐
//	allow, or answered so           ─► the owner's microphone          ─┴─► mixer.Output.Move ─► the stream goes on
//
// So no program gets an error that it would try to mend, the hardware is closed while nobody hears it, and a closed microphone tells nothing of
// what the open one does.

// microphone is one helper's.
type microphone struct {
	view   *source // what he sees; nil: none at all
	usual  memory.Access
	volume pcm.Volume
	muted  bool

	once    bool      // the owner has answered: as long as the streams last…
	until   time.Time // …or until a time
	asking  bool
	refused time.Time // when he last answered no, or not
	said    string    // his last answer
	lastUse time.Time // when a stream last ceased to hear
	logged  time.Time // when the log was last told that one hears
	timer   *loop.Timer
}

// NoMicrophone is the access of a user who is to see no microphone at all, to be given to Server.Microphone only.
const NoMicrophone memory.Access = "none"

const (
	askPause   = time.Minute      // after a no, so that nobody is asked by every page of a browser
	logPause   = time.Minute      // between two lines of the log about one user
	checkEvery = 30 * time.Second // at most, while a stream hears by a permission that ends: the machine may sleep, and its clock be set
)

// Question says who wants to hear the microphone: the user and, where the kernel tells, the process that records; 0 where it does not.
type Question struct {
	UID uint32
	PID int32
}

// Answer is what came of a Question: For is how long Allow holds, 0 as long as there are streams of that user, Said the same in words.
type Answer struct {
	Allow bool
	For   time.Duration
	Said  string
}

// Asker asks the owner. It must not wait for him: answer is called on the loop, when there is one, perhaps at once.
type Asker func(q Question, answer func(Answer))

// AskWith has the owner asked by ask. Without it nobody is, and "ask" is "deny". Call it before the first session.
func (s *Server) AskWith(ask Asker) { s.asker = ask }

// Microphone sets what a user may hear as long as the owner has said nothing else; without it that is memory.Deny. Call it before the first session.
func (s *Server) Microphone(uid uint32, usual memory.Access) { s.usualAccess[uid] = usual }

func (s *Server) newMicrophone(u *user) {
	u.mic = microphone{view: &source{named: named{0, microphoneName}}, usual: memory.Deny, volume: pcm.VolumeNorm}
	if usual, ok := s.usualAccess[u.uid]; ok {
		u.mic.usual = usual
	}
	if u.mic.usual == NoMicrophone {
		u.mic.view = nil
	}
	if level, ok := u.levels.Get(microphoneKey); ok && len(level.Volume) > 0 {
		u.mic.volume, u.mic.muted = slices.Max(level.Volume), level.Muted
	}
	u.mic.timer = s.clock.NewTimer(func() { s.microphoneChanged(u) })
}

// permission is what holds for u's microphone now.
func (s *Server) permission(u *user) memory.Permission {
	if u.mic.view == nil {
		return memory.Permission{Access: NoMicrophone}
	}
	if p := s.memory.Microphone(u.uid, s.now()); p.Access != "" {
		return p
	}
	return memory.Permission{Access: u.mic.usual}
}

// open reports whether u may hear the microphone now and, where that has an end, when.
func (s *Server) open(u *user) (open bool, until time.Time) {
	switch p := s.permission(u); {
	case p.Access == memory.Allow:
		return true, p.Until
	case p.Access == memory.Ask && u.mic.once:
		return true, time.Time{}
	case p.Access == memory.Ask && s.now().Before(u.mic.until):
		return true, u.mic.until
	}
	return false, time.Time{}
}

// best is the owner's microphone: the source he chose if it is one, else the first that is. It is nil when there is none.
func (s *Server) best() (first *source) {
	_, chosen := s.memory.Defaults()
	for _, o := range s.sources {
		if o.of == nil && (first == nil || o.name == chosen) {
			first = o
		}
	}
	return first
}

// route is what r is to record from now: a helper's microphone is the owner's, or quiet.
func (s *Server) route(r *record) *mixer.Source {
	if r.source.mixer != nil {
		return r.source.mixer
	}
	o := r.chosen
	if !slices.Contains(s.sources, o) {
		o = s.microphone(r.session.user)
	}
	if open, _ := s.open(r.session.user); !open || o == nil || o.mixer.State().Suspended {
		return s.quiet
	}
	return o.mixer
}

// reroute puts the streams of u's microphone, or of all users', where they are to record from now.
func (s *Server) reroute(u *user) {
	for _, r := range s.records {
		if r.source.mixer != nil || u != nil && r.session.user != u {
			continue
		}
		if to := s.route(r); to != r.output.Source() {
			before, latencyBefore := r.output.Attr()
			r.output.Move(to)
			attr, latency := r.output.Attr()
			if c := r.session; c.version >= 15 && (attr != before || latency != latencyBefore) {
				c.send(native.OpRecordBufferAttrChanged, &native.RecordBufferAttrChanged{Channel: r.channel, Attr: native.RecordAttr(attr), Latency: usec(latency)})
			}
			s.announceToOwner(native.EventSourceOutput|native.EventChange, r.index)
		}
		r.began()
	}
}

// began follows a change of what the stream hears: the owner is asked, the beginning and the end of hearing noted, the end of a permission awaited.
func (r *record) began() {
	s, u := r.session.server, r.session.user
	if r.source.mixer != nil {
		return
	}
	running := !r.output.Corked()
	if running {
		s.ask(r)
	}
	switch hears := running && r.output.Source() != s.quiet; {
	case hears && r.since.IsZero():
		r.since = s.now()
		if m := &u.mic; r.since.Sub(m.logged) >= logPause {
			m.logged = r.since
			s.log("%v hears the microphone", r.session.peer)
		}
	case !hears:
		r.ended()
	}
	if _, until := s.open(u); !r.since.IsZero() && !until.IsZero() {
		u.mic.timer.Set(s.clock.Now() + min(checkEvery, until.Sub(s.now())))
	}
}

// ended notes that the stream hears no microphone any more.
func (r *record) ended() {
	s, m := r.session.server, &r.session.user.mic
	if !r.since.IsZero() {
		r.since, m.lastUse = time.Time{}, s.now()
	}
	if !slices.ContainsFunc(s.records, func(other *record) bool { return other.session.user == r.session.user && !other.since.IsZero() }) {
		m.timer.Stop()
	}
}

// ask has the owner asked about r's user, unless he was just now.
func (s *Server) ask(r *record) {
	u := r.session.user
	if open, _ := s.open(u); open || s.asker == nil || u.mic.asking || s.permission(u).Access != memory.Ask || s.now().Sub(u.mic.refused) < askPause {
		return
	}
	u.mic.asking = true
	s.asker(Question{u.uid, r.session.peer.PID}, func(a Answer) { s.answered(u, a) })
}

// recordedBy reports whether u has a record stream.
func (s *Server) recordedBy(u *user) bool {
	return slices.ContainsFunc(s.records, func(r *record) bool { return r.session.user == u })
}

func (s *Server) answered(u *user, a Answer) {
	if !u.mic.asking {
		return
	}
	u.mic.asking, u.mic.said = false, a.Said
	s.log("may uid %d hear the microphone? %s", u.uid, a.Said)
	switch {
	case !a.Allow:
		u.mic.refused = s.now()
	case a.For > 0:
		u.mic.until = s.now().Add(a.For)
	case s.recordedBy(u):
		u.mic.once = true
	}
	s.microphoneChanged(u)
}

// microphoneChanged has u's streams follow, and tells u's programs to look at their microphone's description again.
func (s *Server) microphoneChanged(u *user) {
	s.reroute(u)
	if u.mic.view != nil {
		s.announceTo(native.EventSource|native.EventChange, u.mic.view.index, func(c *Session) bool { return c.user == u && c.grant != policy.Owner })
	}
}

// turnMicrophone sets the volume of a helper's microphone, which multiplies with that of its streams.
func (s *Server) turnMicrophone(u *user, volume pcm.Volume, muted bool) {
	_, cmap := s.quiet.Spec()
	u.mic.volume, u.mic.muted = min(volume, mixer.Loudest), muted
	u.levels.Set(microphoneKey, memory.Level{Volume: slices.Repeat([]pcm.Volume{u.mic.volume}, len(cmap)), Map: cmap, Muted: muted})
	for _, r := range s.records {
		if r.session.user == u {
			r.amplify()
		}
	}
	s.announceTo(native.EventSource|native.EventChange, u.mic.view.index, func(c *Session) bool { return c.user == u && c.grant != policy.Owner })
}

// amplify puts the volume of the helper's microphone on the stream.
func (r *record) amplify() {
	m := &r.session.user.mic
	switch {
	case r.source.mixer != nil:
	case m.muted:
		r.output.SetGain(0)
	default:
		r.output.SetGain(m.volume.Linear())
	}
}

// MicChange is what the owner says about a user's microphone. ForSeconds is how long State holds, 0 for good.
type MicChange struct {
	UID        uint32        `json:"uid"`
	State      memory.Access `json:"state"` // deny, ask or allow
	ForSeconds float64       `json:"for_seconds,omitempty"`
}

const mostSeconds = 366 * 24 * 3600

func (s *Server) changeMic(parameters string) (any, error) {
	var change MicChange
	if err := unmarshal(parameters, &change); err != nil {
		return nil, err
	}
	switch change.State {
	case memory.Deny, memory.Ask, memory.Allow:
	default:
		return nil, native.ErrInvalid
	}
	if !(change.ForSeconds >= 0 && change.ForSeconds <= mostSeconds) {
		return nil, native.ErrInvalid
	}
	u := s.user(change.UID, policy.Playback) // who may not have been here yet
	if u.grant == policy.Owner {
		return nil, native.ErrInvalid
	}
	if u.mic.view == nil {
		return nil, native.ErrNotSupported
	}
	p := memory.Permission{Access: change.State}
	if change.ForSeconds > 0 {
		p.Until = s.now().Add(time.Duration(change.ForSeconds * float64(time.Second)))
	}
	u.mic.once, u.mic.until, u.mic.refused, u.mic.asking, u.mic.said = false, time.Time{}, time.Time{}, false, ""
	s.memory.SetMicrophone(u.uid, p)
	s.microphoneChanged(u)
	return s.micStatus(u), nil
}

// Mic is a user's microphone as the owner sees it.
type Mic struct {
	State   memory.Access `json:"state"`           // none, deny, ask or allow
	Until   *time.Time    `json:"until,omitempty"` // when that, or the answer to a question, ends
	Open    bool          `json:"open"`            // his programs hear it, or would
	Asking  bool          `json:"asking,omitempty"`
	Answer  string        `json:"answer,omitempty"` // to the last question
	InUse   bool          `json:"in_use"`
	Since   *time.Time    `json:"in_use_since,omitempty"`
	By      string        `json:"in_use_by,omitempty"` // the program, by the kernel's word where there is one
	LastUse *time.Time    `json:"last_use,omitempty"`
}

func (s *Server) micStatus(u *user) *Mic {
	p := s.permission(u)
	open, until := s.open(u)
	m := &Mic{State: p.Access, Open: open, Asking: u.mic.asking, Answer: u.mic.said}
	if until.IsZero() {
		until = p.Until
	}
	if !until.IsZero() {
		m.Until = &until
	}
	if !u.mic.lastUse.IsZero() {
		m.LastUse = &u.mic.lastUse
	}
	for _, r := range s.records {
		if r.session.user == u && !r.since.IsZero() && (m.Since == nil || r.since.Before(*m.Since)) {
			c := r.session.connection()
			m.InUse, m.Since, m.By = true, &r.since, cmp.Or(c.Program, c.Claims)
		}
	}
	return m
}
