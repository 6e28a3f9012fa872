package session

import (
	"slices"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// How loud a new stream is, and how loud a helper may get:
//
//	the client's wish ─► else what is remembered of this user's program ─► else full ─► a helper's: his ceiling at most
//
// What is set later is remembered, a wish at creation is not, as in PulseAudio's module-stream-restore.

// streamID is the property by which mixers learn a stream's key in stream-restore.
const streamID = "module-stream-restore.id"

// Remember has the server take volumes from m, and keep there those that change. Call it before the first session.
func (s *Server) Remember(m *memory.Memory) { s.memory = m }

// Limit sets how loud a user without the owner's grant may make a stream. Without it that is full volume. Call it before the first session.
func (s *Server) Limit(uid uint32, ceiling pcm.Volume) { s.ceilings[uid] = ceiling }

// ceiling is the loudest that this client may make a stream.
func (c *Session) ceiling() pcm.Volume {
	if c.grant == policy.Owner {
		return pcm.MaxVolume
	}
	return c.user.ceiling
}

// capped is volume under the client's ceiling, on a copy.
func (c *Session) capped(volume []pcm.Volume) native.CVolume {
	under := make(native.CVolume, len(volume))
	for i, v := range volume {
		under[i] = min(v, c.ceiling())
	}
	return under
}

// recall gives a stream that is being made its key, and what the client left open: its volume and mute.
func (p *playback) recall(opts *mixer.InputOptions, mutedSet bool) {
	c := p.session
	p.key = memory.StreamKey("sink-input", p.props.Get)
	p.props.Set(streamID, p.key) // a list that is full goes without
	level, known := c.user.levels.Get(p.key)
	if opts.Volume == nil {
		opts.Volume = level.On(opts.Map)
	}
	if opts.Volume == nil {
		opts.Volume = []pcm.Volume{pcm.VolumeNorm}
	}
	opts.Volume = c.capped(opts.Volume)
	if known && !mutedSet {
		opts.Muted = level.Muted
	}
}

// remember keeps the volume and mute that the stream has now for its program.
func (p *playback) remember() {
	volume, muted := p.input.Volume()
	if u := p.session.user; u.levels.Set(p.key, memory.Level{Volume: slices.Clone(volume), Map: p.input.Map(), Muted: muted}) {
		p.session.server.restoreChanged(u)
	}
}
