package session

import (
	"fmt"
	"slices"
	"strings"

	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Where the daemon is a client of the owner's sound server, each helper has a stream of his own there, to play on and one to record with, which
// that one's mixer shows under the name of what plays:
//
//	a stream begins, ends, is corked or calls itself otherwise ─► announce ─► entitle ─► "Firefox (bank)", "3 programs (bank)"

// Own is what one helper has for himself.
type Own struct {
	Sink               *mixer.Sink
	Source             *mixer.Source // nil: the owner's microphone is his, too
	Playing, Recording func(Title)   // called when there is another title for what he does so with
}

// Title is what the owner is to see of a helper's programs: their names as they say, made safe to show, and whose they are.
type Title struct {
	Name string // of the program and the helper
	What string // plays or is recorded
	Icon string // by its name; empty: none
}

// Personal has make give each helper his own when he first connects, and those that are there at once, with what they play.
func (s *Server) Personal(make func(user string) *Own) {
	s.personal = make
	for _, u := range s.users {
		if u.grant != policy.Owner {
			s.settle(u)
		}
	}
	for _, p := range s.streams {
		if p.session.grant != policy.Owner {
			p.move(p.session.user.view.own)
		}
	}
}

// settle gives a helper his own sink and source, where helpers have such.
func (s *Server) settle(u *user) {
	if s.personal == nil || u.own != nil {
		return
	}
	u.own = s.personal(u.name)
	s.AddSink(u.own.Sink)
	u.view.own = s.sinks[slices.IndexFunc(s.sinks, func(k *sink) bool { return k.mixer == u.own.Sink })]
	if u.own.Source != nil {
		s.AddSource(u.own.Source)
	}
	s.entitle(u)
}

// microphone is what u hears where the owner has chosen nothing else for him.
func (s *Server) microphone(u *user) *source {
	if u.own != nil && u.own.Source != nil {
		return s.sourceOf(u.own.Source)
	}
	return s.best()
}

// entitle tells of what u plays and records now, where that has changed.
func (s *Server) entitle(u *user) {
	if u.own == nil {
		return
	}
	var play, record titles
	for _, p := range s.streams {
		if p.session.user == u {
			play.add(p.label, p.input.Corked())
		}
	}
	for _, r := range s.records {
		if r.session.user == u {
			record.add(r.label, r.output.Corked())
		}
	}
	whose := strings.TrimPrefix(u.name, s.runs+"-") // a helper is called for his owner and the profile
	if t := play.sum(whose); t != u.playing {
		u.playing = t
		u.own.Playing(t)
	}
	if t := record.sum(whose); t != u.recording {
		u.recording = t
		u.own.Recording(t)
	}
}

// titles is the streams that are to be shown as one: those that run or, when none does, all.
type titles struct {
	all, running []label
}

// label is what a stream adds to a title. It is made when the stream's properties change, since every event of any stream asks for those of all.
type label struct{ program, media, icon string }

func labelOf(props native.PropList) label {
	text := func(key string) string {
		text, _ := props.Get(key)
		return text
	}
	return label{native.Clean(text("application.name")), native.Clean(text("media.name")), iconName(text("application.icon_name"))}
}

func (t *titles) add(l label, corked bool) {
	if t.all = append(t.all, l); !corked {
		t.running = append(t.running, l)
	}
}

func (t *titles) sum(whose string) Title {
	list := t.running
	if len(list) == 0 {
		list = t.all
	}
	programs := texts(list, func(l label) string { return l.program })
	media := texts(list, func(l label) string { return l.media })
	title := Title{Name: whose, What: native.Clean(strings.Join(media, ", "))}
	switch {
	case len(programs) == 1:
		title.Name = fmt.Sprintf("%s (%s)", programs[0], whose)
		title.Icon = list[0].icon
	case len(programs) > 1:
		title.Name = fmt.Sprintf("%d programs (%s)", len(programs), whose)
	}
	if title.What == "" {
		title.What = title.Name
	}
	return title
}

// texts is the different texts of streams, in their order.
func texts(streams []label, of func(label) string) (all []string) {
	for _, l := range streams {
		if text := of(l); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// iconName is name if it is one of a theme's: a path would have the owner's mixer read a file of the helper's.
func iconName(name string) string {
	const most = 64
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.+", r))
	}
	if len(name) > most || strings.ContainsFunc(name, odd) {
		return ""
	}
	return name
}
