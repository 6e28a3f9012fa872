package session

import (
	"slices"
	"strings"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// extension answers module-stream-restore, with which the owner's mixers show and set what is remembered of his own programs, "System
// Sounds" above all. There are no other modules, and for a helper there is none.
func (c *Session) extension(r *request, to *native.Extension) error {
	if c.grant != policy.Owner || to.Module != native.Invalid || to.Name != native.StreamRestoreModule {
		return native.ErrNoExtension
	}
	var m native.StreamRestore
	if err := native.Decode(to.Data, c.version, &m); err != nil {
		return err
	}
	switch m.Command {
	case native.RestoreTest:
		return c.reply(r.tag, &native.IndexReply{Index: 1})
	case native.RestoreRead:
		return c.reply(r.tag, c.user.restorable())
	case native.RestoreWrite:
		if err := c.restoreWrite(&m); err != nil {
			return err
		}
	case native.RestoreDelete:
		for _, key := range m.Keys {
			if ofStreams(key) {
				c.user.levels.Delete(key)
			}
		}
		c.server.restoreChanged(c.user)
	case native.RestoreSubscribe:
		c.restoring = m.Enable
	default:
		return native.ErrNoExtension
	}
	return c.reply(r.tag, nil)
}

// ofStreams reports whether a level is one of stream-restore's: others under the same roof are of devices.
func ofStreams(key string) bool {
	return key != "" && !strings.HasPrefix(key, "sink:") && !strings.HasPrefix(key, "source:")
}

func (u *user) streamKeys() []string {
	return slices.DeleteFunc(u.levels.Keys(), func(key string) bool { return !ofStreams(key) })
}

func (u *user) restorable() *native.RestoreEntries {
	var list native.RestoreEntries
	for _, key := range u.streamKeys() {
		level, _ := u.levels.Get(key)
		list = append(list, native.RestoreEntry{Key: key, Map: level.Map, Volume: level.Volume, Muted: level.Muted})
	}
	return &list
}

func (c *Session) restoreWrite(m *native.StreamRestore) error {
	if m.Mode > native.UpdateReplace {
		return native.ErrInvalid
	}
	for _, e := range m.Entries {
		if !ofStreams(e.Key) || len(e.Volume) != len(e.Map) || len(e.Map) > 0 && (e.Map.Check(uint8(len(e.Map))) != nil || e.Volume.Check(len(e.Map)) != nil) {
			return native.ErrInvalid
		}
	}
	levels := c.user.levels
	if m.Mode == native.UpdateSet {
		for _, key := range c.user.streamKeys() {
			levels.Delete(key)
		}
	}
	for _, e := range m.Entries {
		if _, known := levels.Get(e.Key); known && m.Mode == native.UpdateMerge {
			continue
		}
		level := memory.Level{Volume: e.Volume, Map: e.Map, Muted: e.Muted}
		levels.Set(e.Key, level)
		for _, p := range c.server.streams {
			if m.Apply && p.session.user == c.user && p.key == e.Key {
				p.apply(level)
			}
		}
	}
	c.server.restoreChanged(c.user)
	return nil
}

// apply makes a stream as loud as level says.
func (p *playback) apply(level memory.Level) {
	if volume := level.On(p.input.Map()); volume != nil {
		p.input.SetVolume(volume)
	}
	p.input.SetMuted(level.Muted)
	p.session.server.announce(native.EventSinkInput|native.EventChange, p.index, p.session)
}

// restoreChanged tells u's mixers, those that asked, that what is remembered of him has changed.
func (s *Server) restoreChanged(u *user) {
	if !slices.ContainsFunc(s.sessions, func(c *Session) bool { return c.restoring && c.user == u }) {
		return
	}
	w := native.NewWriter(nil, native.Version)
	(&native.StreamRestore{Command: native.RestoreEvent}).Fields(w)
	event := &native.Extension{Name: native.StreamRestoreModule, Data: w.Bytes()}
	for _, c := range s.sessions {
		if c.restoring && c.user == u {
			c.send(native.OpExtension, event)
		}
	}
}
