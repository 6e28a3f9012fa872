package session

import (
	"testing"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// Where each helper has a sink of his own he plays there, sees what every helper sees, and stays when the owner's default changes.
func TestPersonalSinks(t *testing.T) {
	r := newRig(t)
	cards := map[string]*devicetest.Card{}
	quiet := func(string, ...any) {}
	r.server.Personal(func(user string) *Own {
		cards[user] = devicetest.New(r.clock, device.Config{})
		return &Own{Sink: mixer.NewSink(r.clock, cards[user], quiet), Playing: func(Title) {}, Recording: func(Title) {}}
	})
	owner, one, two := r.connect(ownerUID, policy.Owner, 35), r.connect(helperUID, policy.Playback, 35), r.connect(otherUID, policy.Playback, 35)
	r.connect(helperUID, policy.Playback, 35)
	if len(cards) != 2 {
		t.Fatalf("%d sinks were made for two helpers", len(cards))
	}
	var sinks native.SinkInfoList
	one.must(native.OpGetSinkInfoList, nil, &sinks)
	if len(sinks) != 1 || sinks[0].Name != virtualName || sinks[0].Index != 0 {
		t.Errorf("a helper sees %+v", sinks)
	}
	owner.must(native.OpGetSinkInfoList, nil, &sinks)
	if len(sinks) != 3 {
		t.Errorf("the owner sees %d sinks, not his and one of each helper", len(sinks))
	}
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: sinks[2].Name}, nil)
	owner.must(native.OpSetDefaultSink, &native.ByName{Name: sinks[0].Name}, nil)

	s := one.create(creation())
	two.create(creation())
	one.loud(s)
	own, other := cards[userName(helperUID)], cards[userName(otherUID)]
	if p := r.peak(own); !near(p, 0.5) {
		t.Errorf("the helper's own sink plays at %v", p)
	}
	if p := r.peak(r.card) + r.peak(other); p != 0 {
		t.Errorf("elsewhere it is heard at %v", p)
	}
}
