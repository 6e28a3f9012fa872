package session

import (
	"slices"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Source outputs as objects: who may know of one may see it, and turn it; the owner may move and end it.

// visibleRecord is the source output of that index if the client may know of it, or an error.
func (c *Session) visibleRecord(index uint32) (*record, error) {
	r := c.server.recordOf(index)
	if r == nil || !c.sees(r.session) {
		return nil, native.ErrNoEntity
	}
	return r, nil
}

func (c *Session) sourceOutputInfo(r *request, m *native.ByIndex) error {
	rec, err := c.visibleRecord(m.Index)
	if err != nil {
		return err
	}
	info := c.describeOutput(rec)
	return c.reply(r.tag, &info)
}

func (c *Session) sourceOutputInfoList(r *request) error {
	var list native.SourceOutputInfoList
	for _, rec := range c.server.records {
		if c.sees(rec.session) {
			list = append(list, c.describeOutput(rec))
		}
	}
	return c.reply(r.tag, &list)
}

// describeOutput is rec as this client may know it.
func (c *Session) describeOutput(rec *record) native.SourceOutputInfo {
	out := rec.output
	volume, muted := out.Volume()
	name, _ := rec.props.Get("media.name")
	info := native.SourceOutputInfo{Index: rec.index, Name: c.attestedName(rec.session, name), Module: native.Invalid, Client: rec.session.index, Source: c.shownSource(rec).index, Spec: out.Spec(), Map: out.Map(),
		BufferLatency: usec(out.Queued()), SourceLatency: usec(c.sourceLatency(rec)), Driver: "sandbox-audio", Props: c.attested(rec.session, rec.props), Corked: out.Corked(),
		Volume: volume, Muted: muted, HasVolume: true, VolumeWritable: true, Format: rec.format}
	if spec, _ := rec.nominal(out.Source()).Spec(); spec.Rate != info.Spec.Rate {
		info.ResampleMethod = "windowed-sinc"
	}
	return info
}

// sourceLatency is the latency that lists tell of a stream's source: to the owner what it is now, to a helper what the stream was granted, since
// others make it less.
func (c *Session) sourceLatency(rec *record) time.Duration {
	if c.grant != policy.Owner {
		_, granted := rec.output.Attr()
		return granted
	}
	return rec.output.Timing().Latency
}

func (c *Session) setOutputVolume(r *request, m *native.SetVolume) error {
	rec, err := c.visibleRecord(m.Index)
	if err != nil {
		return err
	}
	if err := m.Volume.Check(int(rec.output.Spec().Channels)); err != nil {
		return err
	}
	if err := rec.output.SetVolume(m.Volume); err != nil {
		return native.ErrInvalid
	}
	rec.remember()
	return c.changedRecord(rec, r.tag)
}

func (c *Session) setOutputMute(r *request, m *native.SetMute) error {
	rec, err := c.visibleRecord(m.Index)
	if err != nil {
		return err
	}
	rec.output.SetMuted(m.Muted)
	rec.remember()
	return c.changedRecord(rec, r.tag)
}

// remember keeps the volume and mute that the stream has now for its program.
func (r *record) remember() {
	volume, muted := r.output.Volume()
	if u := r.session.user; u.levels.Set(r.key, memory.Level{Volume: slices.Clone(volume), Map: r.output.Map(), Muted: muted}) {
		r.session.server.restoreChanged(u)
	}
}

// moveSourceOutput moves a stream to another source. A helper's hears it as far as its microphone is open, and is told nothing; monitors are not
// for helpers, whoever says so.
func (c *Session) moveSourceOutput(r *request, m *native.MoveStream) error {
	rec, err := c.visibleRecord(m.Index)
	if err != nil {
		return err
	}
	o, err := c.findSource(m.DeviceIndex, m.DeviceName)
	if err != nil {
		return err
	}
	if rec.staying || rec.source.mixer == nil && o.of != nil {
		return native.ErrNotSupported
	}
	c.reply(r.tag, nil)
	if rec.source.mixer == nil {
		rec.chosen = o
		c.server.reroute(rec.session.user)
		return nil
	}
	rec.move(o)
	rec.follows, rec.home = o == c.server.defaultSource(), ""
	return nil
}

func (c *Session) killSourceOutput(r *request, m *native.ByIndex) error {
	rec, err := c.visibleRecord(m.Index)
	if err != nil {
		return err
	}
	c.reply(r.tag, nil)
	rec.kill()
	return nil
}
