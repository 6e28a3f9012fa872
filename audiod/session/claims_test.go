package session

import (
	"strings"
	"testing"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// However much helpers have to say of themselves, the owner can list it.
func TestLongListsReachTheOwner(t *testing.T) {
	r := newRig(t)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	m := creation()
	m.Attr = native.BufferAttr{MaxLength: 4096, TLength: 4096, Prebuf: native.Invalid, MinReq: native.Invalid}
	for i := range 60 {
		m.Props = append(m.Props, native.Text(strings.Repeat("k", 200)+string(rune('A'+i)), strings.Repeat("v", 200))...)
	}
	for range maxStreams {
		helper.create(m)
	}
	var list native.SinkInputInfoList
	owner.must(native.OpGetSinkInputInfoList, nil, &list)
	if len(list) != maxStreams {
		t.Errorf("%d streams are listed", len(list))
	}
}

// What a helper says of itself reaches the owner cleaned and marked, and without what the kernel knows better; the helper's own view is as it was.
func TestClaims(t *testing.T) {
	r := newRig(t)
	owner, helper := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35)
	props := native.Text("application.name", "System\x1b[31m Sounds\u202e"+strings.Repeat("x", 200), "application.process.user", "root", "application.process.id", "1",
		"application.process.host", "elsewhere", "media.role", "a\nb")
	props = append(props, native.Prop{Key: "application.icon", Value: []byte{0, 1, 2}})
	helper.must(native.OpSetClientName, &native.SetClientName{Props: props}, new(native.IndexReply))
	m := creation()
	m.Props = native.Text("media.name", "tune\r\n\x07")
	s := helper.create(m)
	mark := " (" + r.server.users[helperUID].name + ")"

	var client native.ClientInfo
	var input native.SinkInputInfo
	owner.must(native.OpGetClientInfo, &native.ByIndex{Index: helper.s.index}, &client)
	owner.must(native.OpGetSinkInputInfo, &native.ByIndex{Index: s.Index}, &input)
	if !strings.HasPrefix(client.Name, "System[31m Sounds") || !strings.HasSuffix(client.Name, mark) || input.Name != "tune"+mark {
		t.Errorf("names %q and %q", client.Name, input.Name)
	}
	for _, p := range []native.PropList{client.Props, input.Props} {
		for key, want := range map[string]string{"application.name": client.Name, "application.process.user": r.server.users[helperUID].name, "application.process.id": "",
			"application.process.host": "", "application.icon": "", "media.role": "a b"} {
			if got, _ := p.Get(key); got != want {
				t.Errorf("%s: %q, want %q", key, got, want)
			}
		}
	}
	helper.must(native.OpGetSinkInputInfo, &native.ByIndex{Index: s.Index}, &input)
	if user, _ := input.Props.Get("application.process.user"); user != "root" || input.Name != "tune\r\n\x07" {
		t.Errorf("the helper sees %q of %q", input.Name, user)
	}
}
