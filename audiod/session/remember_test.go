package session

import (
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// sounds is the volume and mute of a stream as its client is told.
func (c *client) sounds(s native.CreatePlaybackStreamReply) (native.CVolume, bool) {
	c.t.Helper()
	var info native.SinkInputInfo
	c.must(native.OpGetSinkInputInfo, &native.ByIndex{Index: s.Index}, &info)
	return info.Volume, info.Muted
}

func (c *client) wantSound(s native.CreatePlaybackStreamReply, volume native.CVolume, muted bool) {
	c.t.Helper()
	if v, m := c.sounds(s); !slices.Equal(v, volume) || m != muted {
		c.t.Errorf("volume %v, muted %v; not %v, %v", v, m, volume, muted)
	}
}

var quarter, half, full = native.CVolume{0x4000, 0x4000}, native.CVolume{0x8000, 0x8000}, native.NormVolume(2)

func TestVolumesAreRemembered(t *testing.T) {
	r := newRig(t)
	m := memory.New()
	r.server.Remember(m)
	c := r.connect(helperUID, policy.Playback, 35)
	s := c.create(creation())
	c.wantSound(s, full, false)
	c.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: half}, nil)
	c.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index, Muted: true}, nil)
	c.wantSound(c.create(creation()), half, true)

	named := creation() // who says what he wants gets it, and nothing is remembered of that
	named.Volume, named.VolumeSet, named.MutedSet = quarter, true, true
	c.wantSound(c.create(named), quarter, false)
	c.wantSound(c.create(creation()), half, true)

	mono := creation()
	mono.Spec.Channels, mono.Map, mono.Volume = 1, pcm.MonoMap, native.NormVolume(1)
	c.wantSound(c.create(mono), half[:1], true)

	other := creation() // another program of the user, and the same of another user, are on their own
	other.Props = native.Text("application.name", "else")
	c.wantSound(c.create(other), full, false)
	elsewhere := r.connect(otherUID, policy.Playback, 35)
	same := creation()
	same.Props = native.Text("application.name", "test of 1001")
	elsewhere.wantSound(elsewhere.create(same), full, false)

	again := newRig(t) // a restart, and the owner's word on a helper's stream
	again.server.Remember(m)
	helper, owner := again.connect(helperUID, policy.Playback, 35), again.connect(ownerUID, policy.Owner, 35)
	s = helper.create(creation())
	helper.wantSound(s, half, true)
	owner.must(native.OpSetSinkInputMute, &native.SetMute{Index: s.Index}, nil)
	owner.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: native.CVolume{0x4000}}, nil)
	helper.wantSound(helper.create(creation()), quarter, false)
}

func TestCeilings(t *testing.T) {
	r := newRig(t)
	r.server.Limit(otherUID, 0x8000)
	loud := native.CVolume{0x18000, 0x4000}
	for uid, want := range map[uint32]native.CVolume{helperUID: {0x10000, 0x4000}, otherUID: {0x8000, 0x4000}} {
		c := r.connect(uid, policy.Playback, 35)
		m := creation()
		m.Volume, m.VolumeSet = loud, true
		c.wantSound(c.create(m), want, false)
		s := c.create(creation())
		c.wantSound(s, native.CVolume{want[0], want[0]}, false)
		c.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: loud}, nil)
		c.wantSound(s, want, false)
		c.wantSound(c.create(creation()), want, false)
	}
}

// A ceiling that came down since holds for what is remembered from before.
func TestCeilingOverMemory(t *testing.T) {
	m := memory.New()
	for _, c := range []struct {
		ceiling pcm.Volume
		want    native.CVolume
	}{{pcm.VolumeNorm, full}, {0x4000, quarter}} {
		r := newRig(t)
		r.server.Remember(m)
		r.server.Limit(helperUID, c.ceiling)
		helper := r.connect(helperUID, policy.Playback, 35)
		s := helper.create(creation())
		helper.wantSound(s, c.want, false)
		if c.ceiling == pcm.VolumeNorm {
			helper.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: full}, nil)
		}
	}
}

// Without an end to what a client may claim to be, what is kept has one.
func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t)
	m := memory.New()
	r.server.Remember(m)
	c := r.connect(helperUID, policy.Playback, 35)
	for i := range 300 {
		p := creation()
		p.Props = native.Text("media.role", string(rune('a'+i%26))+string(rune(0x100+i)))
		s := c.create(p)
		c.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: half}, nil)
		c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: s.Channel}, nil)
		r.clock.Advance(20 * time.Millisecond) // or they would be too many requests
	}
	if n := len(m.Levels(helperUID).Keys()); n != 256 {
		t.Errorf("%d levels are kept", n)
	}
}

// A level in the file that tells of no volume, but is valid, is one that only the mute counts of.
func TestLevelWithoutVolume(t *testing.T) {
	m := memory.New()
	m.Levels(helperUID).Set(virtualKey, memory.Level{Muted: true})
	r := newRig(t)
	r.server.Remember(m)
	if sink := r.connect(helperUID, policy.Playback, 35).sink(0); !sink.Muted || sink.Volume[0] != pcm.VolumeNorm {
		t.Errorf("the helper's sink is at %v, muted %v", sink.Volume, sink.Muted)
	}
}
