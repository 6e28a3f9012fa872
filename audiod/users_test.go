package audiod

import (
	"maps"
	"strings"
	"testing"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/session"
)

func TestOfUsers(t *testing.T) {
	loud, mics := map[uint32]pcm.Volume{}, map[uint32]memory.Access{}
	o := Options{Ceilings: []string{"root=0", "4242=-20", "4243=6.0206", "root=-60.206"}, Microphones: []string{"root=ask", "4242=none"}}
	err := o.ofUsers(func(uid uint32, v pcm.Volume) { loud[uid] = v }, func(uid uint32, a memory.Access) { mics[uid] = a })
	near := func(a, b pcm.Volume) bool { return max(a, b)-min(a, b) < 0x80 }
	if want := (map[uint32]pcm.Volume{0: 0x1999, 4242: 0x76D7, 4243: 0x1428A}); err != nil || !maps.EqualFunc(loud, want, near) {
		t.Errorf("%#x, %v; not %#x", loud, err, want)
	}
	if want := (map[uint32]memory.Access{0: memory.Ask, 4242: session.NoMicrophone}); !maps.Equal(mics, want) {
		t.Errorf("%v, not %v", mics, want)
	}
	for entry, what := range map[string]string{
		"root": "USER=VALUE", "no-such-user=1": "no user", "=1": "no user", "-1=1": "no user", "4294967296=1": "no user",
		"root=loud": "decibels", "root=": "decibels", "root=21": "decibels", "root=NaN": "decibels", "root=-101": "decibels",
	} {
		if err := (&Options{Ceilings: []string{entry}}).ofUsers(func(uint32, pcm.Volume) {}, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", entry, err)
		}
	}
	if err := (&Options{Microphones: []string{"root=yes"}}).ofUsers(nil, nil); err == nil || err.Error() != "--mic root=yes: it is none, deny, ask or allow" {
		t.Error(err)
	}
}
