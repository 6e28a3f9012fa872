package session

import (
	"math"
	"slices"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// UserRules is what the owner's configuration says of a user for good, as the daemon's command line does when it starts. All of it holds:
// what is empty is as where nothing is said.
type UserRules struct {
	UID        uint32        `json:"uid"`
	MaxVolume  float64       `json:"max_volume_db"`        // see Ceiling
	Microphone memory.Access `json:"microphone,omitempty"` // none, deny, ask or allow; empty is deny
}

// Ceiling is a volume that is so many decibels louder than full volume; ok is false unless that is from -100 to 20.
func Ceiling(db float64) (v pcm.Volume, ok bool) {
	return pcm.VolumeOf(float32(math.Pow(10, db/20))), db >= -100 && db <= 20
}

// changeRules has a user, who may be connected, live by other rules from now on.
func (s *Server) changeRules(parameters string) (any, error) {
	var rules UserRules
	if err := unmarshal(parameters, &rules); err != nil {
		return nil, err
	}
	ceiling, ok := Ceiling(rules.MaxVolume)
	if !ok {
		return nil, native.ErrInvalid
	}
	switch rules.Microphone {
	case "":
		rules.Microphone = memory.Deny
	case NoMicrophone, memory.Deny, memory.Ask, memory.Allow:
	default:
		return nil, native.ErrInvalid
	}
	u := s.user(rules.UID, policy.Playback) // who may not have been here yet
	if u.grant == policy.Owner {
		return nil, native.ErrInvalid
	}
	s.ceilings[u.uid], s.usualAccess[u.uid] = ceiling, rules.Microphone
	s.lower(u, ceiling)
	if u.mic.usual != rules.Microphone {
		u.mic.usual = rules.Microphone
		s.revealMicrophone(u)
		s.microphoneChanged(u)
	}
	return s.userStatus(u), nil
}

// lower puts a ceiling over all that u's programs play now; what is under it stays as it is.
func (s *Server) lower(u *user, ceiling pcm.Volume) {
	u.ceiling = ceiling
	for _, p := range s.streams {
		if p.session.user != u {
			continue
		}
		volume, _ := p.input.Volume()
		if under := p.session.capped(volume); !slices.Equal(volume, under) {
			p.input.SetVolume(under)
			s.announce(native.EventSinkInput|native.EventChange, p.index, p.session)
		}
	}
}

// revealMicrophone has u see a microphone, or none, as is usual for him.
func (s *Server) revealMicrophone(u *user) {
	his := func(c *Session) bool { return c.user == u && c.grant != policy.Owner }
	switch {
	case u.mic.usual == NoMicrophone && u.mic.view != nil:
		s.announceTo(native.EventSource|native.EventRemove, u.mic.view.index, his)
		u.mic.view = nil
	case u.mic.usual != NoMicrophone && u.mic.view == nil:
		u.mic.view = &source{named: named{0, microphoneName}}
		s.announceTo(native.EventSource|native.EventNew, u.mic.view.index, his)
	}
}
