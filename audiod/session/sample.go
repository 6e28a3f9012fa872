package session

import (
	"slices"
	"strings"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Samples are short sounds that a client hands over once and has played by name, also when it has gone long ago (pulsecore/core-scache.c).
// Each user has a cache of his own, which nobody else learns of.
//
//	CREATE_UPLOAD_STREAM ─► upload, with a channel of its own ─► sound ─► FINISH_UPLOAD_STREAM ─► the user's samples
//	PLAY_SAMPLE ─► a stream of the user's chimer, until it has been heard

// sample is one of them.
type sample struct {
	index uint32 // among the user's samples
	name  string
	spec  pcm.Spec
	cmap  pcm.ChannelMap
	props native.PropList
	sound []byte
}

// upload is a sample that is on its way.
type upload struct {
	sample
	session *Session
	channel uint32
	length  int // bytes announced, which are taken off the user's budget
}

// upload is the session's upload of a channel, or nil.
func (c *Session) upload(channel uint32) *upload {
	for _, up := range c.uploads {
		if up.channel == channel {
			return up
		}
	}
	return nil
}

func (c *Session) createUpload(r *request, m *native.CreateUploadStream) error {
	name := m.Name
	for _, key := range []string{"event.id", "media.name"} {
		if name == "" {
			name, _ = m.Props.Get(key)
		}
	}
	if !validSampleName(name) || m.Spec.Check() != nil || m.Map.Check(m.Spec.Channels) != nil || m.Length == 0 || m.Length%uint32(m.Spec.FrameSize()) != 0 {
		return native.ErrInvalid
	}
	u := c.user
	if u.uploads+len(u.samples) >= maxSamples || m.Length > maxSampled || !u.cache.Take(int(m.Length)) {
		return native.ErrTooLarge
	}
	u.uploads++
	up := &upload{session: c, channel: c.free(), length: int(m.Length),
		sample: sample{name: name, spec: m.Spec, cmap: m.Map, props: m.Props, sound: make([]byte, 0, m.Length)}}
	c.uploads = append(c.uploads, up)
	return c.reply(r.tag, &native.CreateUploadStreamReply{Channel: up.channel, Length: m.Length})
}

// validSampleName is pa_namereg_is_valid_name.
func validSampleName(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

// seek is nothing: uploads come in one piece.
func (up *upload) seek(int64, native.Seek) {}

// write takes sound that came in. What is more than was announced goes nowhere.
func (up *upload) write(b []byte) {
	up.sound = append(up.sound, b[:min(len(b), up.length-len(up.sound))]...)
}

// close takes the upload out, and gives back what it was to take of the budget beyond keep bytes.
func (up *upload) close(keep int) {
	c := up.session
	c.uploads = slices.DeleteFunc(c.uploads, func(other *upload) bool { return other == up })
	if c.sound == receiver(up) {
		c.sound = nil
	}
	c.user.uploads--
	c.user.cache.Give(up.length - keep)
}

func (c *Session) deleteUpload(r *request, m *native.ByIndex) error {
	up, err := c.uploading(m.Index)
	if err != nil {
		return err
	}
	up.close(0)
	return c.reply(r.tag, nil)
}

func (c *Session) uploading(channel uint32) (*upload, error) {
	up := c.upload(channel)
	if up == nil {
		return nil, native.ErrNoEntity
	}
	return up, nil
}

// finishUpload makes what has come a sample, in the place of one of the same name.
func (c *Session) finishUpload(r *request, m *native.ByIndex) error {
	up, err := c.uploading(m.Index)
	if err != nil {
		return err
	}
	s := up.sample
	s.sound = slices.Clip(s.sound[:len(s.sound)/s.spec.FrameSize()*s.spec.FrameSize()])
	up.close(len(s.sound))
	if len(s.sound) == 0 {
		return native.ErrNoData
	}
	u, event := c.user, native.EventSampleCache|native.EventNew
	if i := u.sample(s.name); i >= 0 {
		event = native.EventSampleCache | native.EventChange
		s.index = u.samples[i].index
		u.cache.Give(len(u.samples[i].sound))
		u.samples[i] = &s
	} else {
		s.index = u.nextSample
		u.nextSample = (u.nextSample + 1) % spaceSize
		u.samples = append(u.samples, &s)
	}
	c.reply(r.tag, nil)
	c.announceSample(event, s.index)
	return nil
}

// sample is the place of the user's sample of that name, -1 if there is none.
func (u *user) sample(name string) int {
	return slices.IndexFunc(u.samples, func(s *sample) bool { return s.name == name })
}

// announceSample tells the user's clients, and nobody else.
func (c *Session) announceSample(event native.Event, index uint32) {
	c.server.announceTo(event, index, func(other *Session) bool { return other.user == c.user })
}

func (c *Session) removeSample(r *request, m *native.ByName) error {
	u := c.user
	i := u.sample(m.Name)
	if i < 0 {
		return native.ErrNoEntity
	}
	s := u.samples[i]
	u.samples = slices.Delete(u.samples, i, i+1)
	u.cache.Give(len(s.sound))
	c.reply(r.tag, nil)
	c.announceSample(native.EventSampleCache|native.EventRemove, s.index)
	return nil
}

func (c *Session) sampleInfo(r *request, m *native.ByIndexOrName) error {
	for _, s := range c.user.samples {
		if m.Index == s.index || m.Index == native.Invalid && m.Name == s.name {
			info := s.info()
			return c.reply(r.tag, &info)
		}
	}
	return native.ErrNoEntity
}

func (c *Session) sampleInfoList(r *request) error {
	var list native.SampleInfoList
	for _, s := range c.user.samples {
		list = append(list, s.info())
	}
	return c.reply(r.tag, &list)
}

func (s *sample) info() native.SampleInfo {
	return native.SampleInfo{Index: s.index, Name: s.name, Duration: usec(s.spec.Duration(int64(len(s.sound)))), Spec: s.spec, Map: s.cmap, Length: uint32(len(s.sound)), Props: s.props}
}

// chime is a sample that plays: a stream which nobody feeds any more, and which ends by itself.
type chime struct {
	*playback
	over *loop.Timer
}

func (chime) Wants(int)      {}
func (chime) Started()       {}
func (chime) Underrun(int64) {}
func (chime) Resized()       {}
func (h chime) Drained()     { h.over.Set(h.session.server.clock.Now()) } // the mixer is not to be called from here

func (c *Session) playSample(r *request, m *native.PlaySample) error {
	shown, err := c.findSink(m.SinkIndex, m.SinkName)
	if err != nil {
		return err
	}
	u, k := c.user, c.server.real(shown)
	i := u.sample(m.Name)
	if i < 0 || k.mixer.State().Suspended {
		return native.ErrNoEntity
	}
	if u.streams >= u.maxStreams {
		return native.ErrTooLarge
	}
	s := u.samples[i]
	if u.chimer == nil {
		u.chimer = c.server.newChimer(c)
	}
	p := &playback{session: u.chimer, sink: k, follows: shown == u.view || m.SinkIndex == native.Invalid && m.SinkName == "", fragile: true,
		format: native.PCM(s.spec, s.cmap), props: native.Text("media.name", s.name, "event.id", s.name)}
	for _, props := range []native.PropList{c.props, s.props, m.Props} {
		if err := p.props.Update(native.UpdateReplace, props); err != nil {
			return err
		}
	}
	length := uint32(len(s.sound))
	opts := mixer.InputOptions{Spec: s.spec, Map: s.cmap, Attr: mixer.BufferAttr{MaxLength: length, TLength: length, Prebuf: mixer.Whatever, MinReq: mixer.Whatever},
		Gain: u.gain(), Budget: u.buffers}
	if m.Volume.Valid() {
		opts.Volume = []pcm.Volume{m.Volume}
	}
	p.recall(&opts, false)
	h := chime{playback: p}
	h.over = c.server.clock.NewTimer(func() {
		if c.server.stream(p.index) == p {
			p.close()
		}
	})
	if p.input, err = k.mixer.NewInput(opts, h); err != nil {
		return native.ErrTooLarge
	}
	u.chimer.adopt(p)
	p.syncID = p.index
	c.reply(r.tag, &native.IndexReply{Index: p.index})
	c.server.announce(native.EventSinkInput|native.EventNew, p.index, c)
	p.input.Write(s.sound)
	p.input.Drain()
	return nil
}

// newChimer makes the session that a user's samples play in, so that they play on when the client has gone. It has no client, and
// forgets what it would be told.
func (s *Server) newChimer(c *Session) *Session {
	h := &Session{server: s, user: c.user, peer: policy.Peer{UID: c.peer.UID}, grant: c.grant, version: native.Version, index: native.Invalid}
	h.wake = func() { h.outbox, h.fault = h.outbox[:0], nil }
	return h
}
