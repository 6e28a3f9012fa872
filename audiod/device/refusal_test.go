package device

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFreeSubstreams(t *testing.T) {
	proc := fakeProc(t, "43")
	for device, free := range map[int]bool{2: false, 0: true} { // held; closed
		if p := (endpoint{laptop[1], laptop[1].Devices[device]}); p.free(proc) != free {
			t.Errorf("%s is free: %v", p.node(), !free)
		}
	}
	if p := (endpoint{laptop[1], laptop[1].Devices[0]}); !p.free(t.TempDir()) {
		t.Error("where the kernel does not tell nothing would ever be tried")
	}
}

// TestRefusal tries a card again once whenever it was held and is free, and not on and on where it is refused for what cannot be seen.
func TestRefusal(t *testing.T) {
	busy := fmt.Errorf("alsa:Fake: %w", unix.EBUSY)
	const held, free = false, true
	var refused refusal
	for i, c := range []struct {
		why  error // of the last attempt…
		then bool  // …and how the card was seen to be right after it
		seen bool
		over bool
	}{
		{busy, held, held, false},
		{busy, held, free, true},
		{busy, free, free, false}, // it was tried, and busy all the same
		{busy, free, held, false},
		{busy, free, free, true},
		{busy, held, free, true}, // somebody else was faster, and has let go by now
		{fs.ErrPermission, free, free, false},
		{fs.ErrPermission, free, held, false},
		{fs.ErrPermission, free, free, true},
		{nil, free, free, false}, // had
		{busy, held, free, true},
		{errors.New("broken"), free, free, false},
	} {
		refused.note(c.why, c.then)
		if over := refused.over(c.seen); over != c.over {
			t.Errorf("step %d: %v, seen to be free: %v: to be tried again: %v", i, c.why, c.seen, over)
		}
	}
}
