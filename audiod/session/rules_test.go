package session

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// What the owner's configuration says of a helper comes into force while his programs play and record.
func TestRulesChange(t *testing.T) {
	r := newMicRig(t, device.Config{})
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	rule := func(parameters string) (u User) {
		t.Helper()
		if err := owner.ask(ControlPath, MessageRules, parameters, &u); err != nil {
			t.Fatalf("%s: %v", parameters, err)
		}
		return u
	}
	s := helper.create(creation())
	helper.loud(s)
	recording := helper.record(recordingRequest())
	hears := func() bool { return pcm.Peak(r.hears(helper, recording.Channel, 300*time.Millisecond)) > 0.1 }
	if p := r.peak(r.card); !near(p, 0.5) || hears() {
		t.Fatalf("without rules it plays at %v", p)
	}

	u := rule(`{"uid":1001,"max_volume_db":-20,"microphone":"allow"}`)
	if u.Ceiling < 46 || u.Ceiling > 47 || u.Mic.State != memory.Allow {
		t.Errorf("%+v, %+v", u, u.Mic)
	}
	helper.loud(s)
	if p := r.peak(r.card); p < 0.049 || p > 0.051 {
		t.Errorf("20 dB lower it plays at %v", p)
	}
	if !hears() {
		t.Error("allowed, it hears no microphone")
	}
	helper.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: s.Index, Volume: native.NormVolume(2)}, nil)
	helper.loud(s)
	if p := r.peak(r.card); p > 0.051 {
		t.Errorf("turned up under the ceiling it plays at %v", p)
	}

	helper.subscribe()
	sources := func() int {
		var list native.SourceInfoList
		helper.must(native.OpGetSourceInfoList, nil, &list)
		return len(list)
	}
	rule(`{"uid":1001,"max_volume_db":0,"microphone":"none"}`)
	if hears() || sources() != 0 {
		t.Errorf("with none it hears, or sees %d", sources())
	}
	rule(`{"uid":1001,"max_volume_db":0}`)
	if hears() || sources() != 1 {
		t.Errorf("denied, it hears, or sees %d", sources())
	}
	added, removed := 0, 0
	for _, e := range helper.news() {
		switch e.Event {
		case native.EventSource | native.EventNew:
			added++
		case native.EventSource | native.EventRemove:
			removed++
		}
	}
	if added != 1 || removed != 1 {
		t.Errorf("%d microphones came and %d went", added, removed)
	}
	if rule(`{"uid":1002,"max_volume_db":-20}`); r.server.users[1002].ceiling >= pcm.VolumeNorm {
		t.Error("a helper who has not come yet has no ceiling")
	}
	for _, bad := range []string{``, `{}x`, `{"uid":1001,"max_volume_db":21}`, `{"uid":1001,"max_volume_db":0,"microphone":"yes"}`, `{"uid":1000,"max_volume_db":0}`, `{"uid":1001,"loud":1}`} {
		if err := owner.ask(ControlPath, MessageRules, bad, new(User)); err != native.ErrInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := helper.ask(ControlPath, MessageRules, `{"uid":1001,"max_volume_db":0,"microphone":"allow"}`, new(User)); err != native.ErrNoEntity {
		t.Errorf("a helper changes his rules: %v", err)
	}
}
