package device

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// controls is a card's control node, or what stands for one in tests. Its calls may wait for the hardware.
type controls interface {
	elements() ([]element, error)
	read(element) ([]int, error)
	write(element, []int) error
	scale(element) (scale, error)
	close()
}

// hardware is a card's mixer, as last seen and as wanted:
//
//	set ─► pending ─► a side goroutine writes ─► seen ─► changed
//	the control node has news ─► the side goroutine reads all that is watched ─► seen ─► changed, with what others have turned
//
// All but the side goroutine, of which there is one at a time and none when nothing is to be done, belongs to the loop.
type hardware struct {
	node    controls
	aside   func(work, done func()) // does work in a goroutine, and then done on the loop
	log     func(format string, args ...any)
	changed func(others turned)

	elements []element // those watched
	seen     map[uint32][]int
	pending  map[uint32][]int // to be written, by numid
	stale    bool             // to be read
	busy     bool             // the side goroutine is at it
	closed   bool
}

// turned is elements, by numid.
type turned map[uint32]bool

// newHardware reads what the card is set to. It may wait for the hardware.
func newHardware(node controls, watched []element) (*hardware, error) {
	h := &hardware{node: node, elements: watched, pending: map[uint32][]int{}, changed: func(turned) {}}
	var err error
	h.seen, err = readAll(node, watched)
	return h, err
}

func readAll(node controls, elements []element) (seen map[uint32][]int, err error) {
	seen = map[uint32][]int{}
	for _, e := range elements {
		if seen[e.id.numid], err = node.read(e); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// values is what e is set to, as last seen.
func (h *hardware) values(e element) []int { return h.seen[e.id.numid] }

// set has values written to e, by the next call of work. What was to be written to it before and has not been is forgotten.
func (h *hardware) set(e element, values ...int) {
	h.pending[e.id.numid] = values
}

// refresh has everything read anew.
func (h *hardware) refresh() {
	h.stale = true
	h.work()
}

// work starts the side goroutine with all that there is to do, if there is anything and it is not at it already.
func (h *hardware) work() {
	if h.busy || h.closed {
		return
	}
	maps.DeleteFunc(h.pending, func(numid uint32, values []int) bool { return slices.Equal(h.seen[numid], values) })
	if len(h.pending) == 0 && !h.stale {
		return
	}
	writes, read := h.pending, h.stale
	h.pending, h.stale, h.busy = map[uint32][]int{}, false, true
	var seen map[uint32][]int
	var failed error
	h.aside(func() {
		for _, e := range h.elements { // in the card's order
			if values, ok := writes[e.id.numid]; ok {
				failed = cmp.Or(failed, h.node.write(e, values))
			}
		}
		if read || failed != nil {
			var err error
			seen, err = readAll(h.node, h.elements)
			failed = cmp.Or(failed, err)
		}
	}, func() {
		if h.busy = false; h.closed {
			h.node.close()
			return
		}
		h.finish(writes, seen, failed)
		h.work()
	})
}

// finish takes note of what was written, and of what was seen after that, nil if nothing was.
func (h *hardware) finish(writes, seen map[uint32][]int, failed error) {
	if failed != nil && !errors.Is(failed, unix.ENODEV) {
		h.log("the card's mixer: %v", failed)
	}
	before := h.seen
	if failed == nil {
		before = maps.Clone(h.seen)
		maps.Copy(before, writes)
	}
	if seen == nil {
		seen = before
	}
	others := turned{}
	for numid, values := range seen {
		if _, ours := h.pending[numid]; !ours && !slices.Equal(before[numid], values) { // what is still to be written has the last word
			others[numid] = true
		}
	}
	h.seen = seen
	if len(others)+len(writes) > 0 {
		h.changed(others)
	}
}

// close lets the control node go, as soon as nobody is at it.
func (h *hardware) close() {
	if h.closed = true; !h.busy {
		h.node.close()
	}
}
