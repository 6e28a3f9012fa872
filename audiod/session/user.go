package session

import (
	"math/rand/v2"
	"slices"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// user is everything the daemon keeps of one uid. It outlives the user's connections, so that neither volumes nor numbers begin anew
// with each of them; there are no more users than the owner named.
type user struct {
	uid        uint32
	name       string       // of the account
	base, next uint32       // of the numbers his objects get: his own, so that gaps in them tell nobody what others do
	grant      policy.Grant // of his latest connection
	ceiling    pcm.Volume   // the most that his programs may set, unless he is the owner
	levels     *memory.Levels

	streams    int           // that play or record
	maxStreams int           // streamsOf his grant
	buffers    *mixer.Budget // likewise
	requests   bucket

	samples    []*sample
	uploads    int // samples on their way
	nextSample uint32
	cache      *mixer.Budget // of maxSampled
	chimer     *Session      // in which samples play

	// The one sink that a helper sees, with a volume of his own.
	view   *sink
	volume []pcm.Volume // of each channel
	muted  bool

	own                *Own // nil where helpers have nothing of their own
	playing, recording Title

	mic microphone
}

const spaceSize = 1 << 20 // numbers of one user

// user is the user of that uid, made when first met.
func (s *Server) user(uid uint32, grant policy.Grant) *user {
	u := s.users[uid]
	if u == nil {
		streams, bytes := streamsOf(grant)
		u = &user{uid: uid, name: userName(uid), levels: s.memory.Levels(uid), grant: grant, base: s.space(grant), maxStreams: streams, buffers: mixer.NewBudget(bytes),
			cache: mixer.NewBudget(maxSampled), view: &sink{named: named{0, virtualName}}}
		u.ceiling = pcm.VolumeNorm
		if v, ok := s.ceilings[uid]; ok {
			u.ceiling = v
		}
		_, cmap := s.defaultSink.mixer.Spec()
		u.volume = native.NormVolume(len(cmap))
		if level, ok := u.levels.Get(virtualKey); ok {
			if u.muted = level.Muted; len(level.Volume) > 0 {
				u.volume = level.On(cmap)
			}
		}
		s.newMicrophone(u)
		s.users[uid] = u
	}
	return u
}

// space is where the numbers of a new user begin: for the owner at 0, for helpers nobody knows where, so that it does not tell how many others
// there are.
func (s *Server) space(grant policy.Grant) uint32 {
	if grant == policy.Owner {
		return 0
	}
	for {
		base := (1 + rand.Uint32N(1<<32/spaceSize-2)) * spaceSize
		taken := false
		for _, u := range s.users {
			taken = taken || u.base == base
		}
		if !taken || len(s.users) > 1<<10 {
			return base
		}
	}
}

// number is a new object's index, which no living object has.
func (s *Server) number(u *user) uint32 {
	for {
		n := u.base + u.next%spaceSize
		u.next++
		if s.client(n) == nil && s.stream(n) == nil && s.recordOf(n) == nil {
			return n
		}
	}
}

// gain is what the volume of the user's virtual sink does to his streams: a factor for each channel.
func (u *user) gain() []float32 {
	gain := make([]float32, len(u.volume))
	for i, v := range u.volume {
		if !u.muted {
			gain[i] = v.Linear()
		}
	}
	return gain
}

// channels makes the volume of the user's sink one of n channels.
func (u *user) channels(n int) native.CVolume {
	if len(u.volume) != n {
		u.volume = slices.Repeat([]pcm.Volume{slices.Max(u.volume)}, n)
	}
	return u.volume
}
