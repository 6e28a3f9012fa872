package mixer

import (
	"fmt"
	"slices"

	"sandbox-audio/audiod/pcm"
)

// What makes a stream louder or softer on its way:
//
//	stream's volume and mute ─► channel map ─► its user's gain ─► mix ─► sink's volume and mute: the hardware's own first, the rest here ─► clip
//
// and of what is recorded:
//
//	device ─► source's volume and mute: likewise ─► channel map ─► stream's volume and mute, its user's gain ─► clip
//
// Each change takes rampTime, so that it does not click.

// Loudest is the highest volume that is played, +20 dB; what is set above is taken for it.
const Loudest pcm.Volume = 0x22780

// gains is a factor for each channel: the one in force, and where it is going.
type gains struct {
	now, to [pcm.MaxChannels]float32
	ramping bool
}

// aim sets where channel i is going.
func (g *gains) aim(i int, to float32) {
	if g.to[i] != to {
		g.to[i], g.ramping = to, true
	}
}

// settle ends the way.
func (g *gains) settle() { g.now, g.ramping = g.to, false }

// uniform reports whether n channels have the same gain, now and where it is going.
func (g *gains) uniform(n int) bool {
	for i := 1; i < n; i++ {
		if g.now[i] != g.now[0] || g.to[i] != g.to[0] {
			return false
		}
	}
	return true
}

// unity reports whether n channels stay as they are.
func (g *gains) unity(n int) bool { return !g.ramping && g.to[0] == 1 && g.uniform(n) }

// setVolume copies v, one for each channel or one for all, to volume.
func setVolume(volume, v []pcm.Volume) error {
	if len(v) != 1 && len(v) != len(volume) {
		return fmt.Errorf("%d volumes for %d channels", len(v), len(volume))
	}
	for i := range volume {
		volume[i] = min(v[min(i, len(v)-1)], Loudest)
	}
	return nil
}

// loudest is the highest of a volume's channels, full volume of none.
func loudest(volume []pcm.Volume) pcm.Volume {
	if len(volume) == 0 {
		return pcm.VolumeNorm
	}
	return slices.Max(volume)
}

// Volume is the volume of each channel, and whether the stream is muted. The caller must not change it.
func (in *Input) Volume() ([]pcm.Volume, bool) { return in.opts.Volume, in.opts.Muted }

// SetVolume sets each channel's volume; one value stands for all.
func (in *Input) SetVolume(v []pcm.Volume) error {
	if err := setVolume(in.opts.Volume, v); err != nil {
		return err
	}
	in.aim()
	return nil
}

// SetMuted silences the stream, or lets it be heard.
func (in *Input) SetMuted(muted bool) {
	in.opts.Muted = muted
	in.aim()
}

// SetGain sets what multiplies with the stream's own volume, for its user's sake: a factor for each channel of the sink, or one for all.
func (in *Input) SetGain(gain []float32) {
	in.opts.Gain = gain
	in.aim()
}

// aim works out the gains that volume, mute and the user's gain amount to.
func (in *Input) aim() {
	for i, v := range in.opts.Volume {
		g := v.Linear()
		if in.opts.Muted {
			g = 0
		}
		in.own.aim(i, g)
	}
	for i := range in.sink.conf.Channels {
		in.users.aim(i, factor(in.opts.Gain, i, len(in.sink.conf.Channels)))
	}
	if in.running && (in.own.ramping || in.users.ramping) {
		in.sink.recall()
	}
}

// factor is channel i's of n in a list of one factor for each, for all, or (made for another device) of the highest that counts for all.
func factor(gain []float32, i, n int) float32 {
	if len(gain) == n {
		return gain[i]
	}
	most := float32(1)
	for j, g := range gain {
		if j == 0 || g > most {
			most = g
		}
	}
	return most
}
