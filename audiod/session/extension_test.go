package session

import (
	"fmt"
	"testing"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

const eventKey = "sink-input-by-media-role:event"

func restore(m *native.StreamRestore) *native.Extension {
	w := native.NewWriter(nil, native.Version)
	m.Fields(w)
	return &native.Extension{Module: native.Invalid, Name: native.StreamRestoreModule, Data: w.Bytes()}
}

func (c *client) remembered() string {
	c.t.Helper()
	var list native.RestoreEntries
	c.must(native.OpExtension, restore(&native.StreamRestore{Command: native.RestoreRead}), &list)
	return fmt.Sprint(list)
}

// What pavucontrol does for its slider "System Sounds".
func TestSystemSounds(t *testing.T) {
	r := newRig(t)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	bell := creation()
	bell.Props = native.Text("media.role", "event")
	playing, theirs := owner.create(bell), helper.create(bell)

	var version native.IndexReply
	owner.must(native.OpExtension, restore(&native.StreamRestore{Command: native.RestoreTest}), &version)
	if version.Index != 1 || owner.remembered() != "[]" {
		t.Errorf("version %d, remembered at first: %s", version.Index, owner.remembered())
	}
	owner.must(native.OpExtension, restore(&native.StreamRestore{Command: native.RestoreSubscribe, Enable: true}), nil)
	entry := native.RestoreEntry{Key: eventKey, Map: pcm.MonoMap, Volume: native.CVolume{0x8000}}
	write := &native.StreamRestore{Command: native.RestoreWrite, Mode: native.UpdateReplace, Entries: native.RestoreEntries{entry}}
	owner.must(native.OpExtension, restore(write), nil)
	owner.wantSound(playing, full, false)
	owner.wantSound(owner.create(bell), half, false)
	write.Apply = true
	owner.must(native.OpExtension, restore(write), nil)
	owner.wantSound(playing, half, false)
	helper.wantSound(theirs, full, false)
	helper.wantSound(helper.create(bell), full, false)
	if owner.saw(native.OpExtension) == 0 {
		t.Error("no event after a change")
	}
	owner.events = nil
	owner.must(native.OpSetSinkInputMute, &native.SetMute{Index: playing.Index, Muted: true}, nil)
	if want := fmt.Sprint(native.RestoreEntries{{Key: eventKey, Map: pcm.StereoMap, Volume: half, Muted: true}}); owner.remembered() != want || owner.saw(native.OpExtension) != 1 {
		t.Errorf("after a mute: %s, %d events", owner.remembered(), owner.saw(native.OpExtension))
	}
	owner.events = nil
	helper.must(native.OpSetSinkInputMute, &native.SetMute{Index: theirs.Index, Muted: true}, nil)
	if owner.saw(native.OpExtension) != 0 {
		t.Error("an event of what is remembered of somebody else")
	}
}

func TestRestoreModes(t *testing.T) {
	c := newRig(t).connect(ownerUID, policy.Owner, 35)
	write := func(mode native.UpdateMode, keys ...string) {
		m := &native.StreamRestore{Command: native.RestoreWrite, Mode: mode}
		for _, key := range keys {
			m.Entries = append(m.Entries, native.RestoreEntry{Key: key, Muted: mode != native.UpdateMerge})
		}
		c.must(native.OpExtension, restore(m), nil)
	}
	write(native.UpdateSet, "a", "b")
	write(native.UpdateMerge, "b", "c")
	if got := c.remembered(); got != "[{a  []  true} {b  []  true} {c  []  false}]" {
		t.Errorf("merged: %s", got)
	}
	write(native.UpdateReplace, "c")
	c.must(native.OpExtension, restore(&native.StreamRestore{Command: native.RestoreDelete, Keys: []string{"a", "none"}}), nil)
	if got := c.remembered(); got != "[{b  []  true} {c  []  true}]" {
		t.Errorf("replaced: %s", got)
	}
	write(native.UpdateSet)
	if got := c.remembered(); got != "[]" {
		t.Errorf("emptied: %s", got)
	}
}

func TestExtensionRefuses(t *testing.T) {
	r := newRig(t)
	owner := r.connect(ownerUID, policy.Owner, 35)
	for _, m := range []*native.StreamRestore{
		{Command: native.RestoreWrite, Mode: 3},
		{Command: native.RestoreWrite, Entries: native.RestoreEntries{{}}},
		{Command: native.RestoreWrite, Entries: native.RestoreEntries{{Key: virtualKey}}},
		{Command: native.RestoreWrite, Entries: native.RestoreEntries{{Key: "a", Volume: half}}},
		{Command: native.RestoreWrite, Entries: native.RestoreEntries{{Key: "a", Map: pcm.ChannelMap{200}, Volume: half[:1]}}},
		{Command: native.RestoreWrite, Entries: native.RestoreEntries{{Key: "a", Map: pcm.MonoMap, Volume: native.CVolume{pcm.VolumeInvalid}}}},
	} {
		if err := owner.call(native.OpExtension, restore(m), nil); err != native.ErrInvalid {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if got := owner.remembered(); got != "[]" {
		t.Errorf("remembered: %s", got)
	}
	read := restore(&native.StreamRestore{Command: native.RestoreRead})
	for name, e := range map[string]native.Extension{
		"device manager": {Module: native.Invalid, Name: "module-device-manager", Data: read.Data},
		"device restore": {Module: native.Invalid, Name: "module-device-restore", Data: read.Data},
		"by index":       {Module: 0, Data: read.Data},
		"event":          {Module: native.Invalid, Name: read.Name, Data: []byte{'L', 0, 0, 0, 5}},
		"unknown":        {Module: native.Invalid, Name: read.Name, Data: []byte{'L', 0, 0, 0, 6}},
	} {
		if err := owner.call(native.OpExtension, &e, nil); err != native.ErrNoExtension {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.connect(helperUID, policy.Playback, 35).call(native.OpExtension, read, nil); err != native.ErrNoExtension {
		t.Errorf("a helper: %v", err)
	}
}
