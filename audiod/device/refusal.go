package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// refusal is that a card could not be opened for now: another program holds it, or this process may not.
type refusal struct {
	standing bool
	looking  bool // the side goroutine is at it
	tried    bool // since the card was last seen to be held: it was not, and refused all the same
}

// note takes up how opening it went, and whether it was seen to be free right after that.
func (r *refusal) note(err error, free bool) {
	r.standing = errors.Is(err, unix.EBUSY) || errors.Is(err, fs.ErrPermission)
	r.tried = r.tried && r.standing && free
}

// Look implements Shared.
func (c *card) Look() {
	r := &c.refused
	if !r.standing || r.looking || c.aside == nil {
		return
	}
	r.looking = true
	at, free := c.at, false
	c.aside(func() {
		p, err := findCard(at)
		free = err == nil && unix.Access(p.node(), unix.R_OK|unix.W_OK) == nil && p.free("/proc")
	}, func() {
		r.looking = false
		if r.over(free) {
			c.ready()
		}
	})
}

// over reports whether the card is to be tried again, now that it was seen to be free or not.
func (r *refusal) over(free bool) bool {
	if !r.standing {
		return false
	}
	again := free && !r.tried
	r.tried = free
	return again
}

// free reports whether p has a substream that nobody holds. The kernel tells everybody; where it was built not to, only opening it does.
func (p endpoint) free(proc string) bool {
	subs := p.substreams(proc)
	for _, sub := range subs {
		if status, err := os.ReadFile(sub); err == nil && strings.TrimSpace(string(status)) == "closed" {
			return true
		}
	}
	return len(subs) == 0
}

// substreams are the files in which the kernel's sound layer tells of p's substreams: "closed", or how it goes there.
func (p endpoint) substreams(proc string) []string {
	subs, _ := filepath.Glob(fmt.Sprintf("%s/asound/card%d/pcm%d%s/sub*/status", proc, p.card.ID, p.device.ID, p.direction()))
	return subs
}
