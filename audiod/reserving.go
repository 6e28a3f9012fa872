package audiod

import (
	"fmt"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
)

// A card that a program of the owner's desktop has is not opened beside it, and one of ours is let go for who matters more: package reserve, which is
// the keeper's, since the worker may reach no bus.
//
//	mixer starts: card.Open ─► Take: a moment ─ takeCard ─► keeper ─ ours, or held by whom ─► mixer starts again, and has it; or plays silence
//	the last PCM of a card is closed ─► Give ─ giveCard ─► keeper
//	keeper ─ wanted ─► the card is closed: Give;  keeper ─ free ─► who would play on it tries again

// cardState is what the keeper says of a card.
type cardState int

const (
	cardOurs   cardState = iota
	cardHeld             // by another, who keeps it
	cardWanted           // by another, who is to have it
	cardFree             // again, after another had it
)

// cardReport is news of a card. By is who has it, or wants it.
type cardReport struct {
	Card  int
	State cardState
	By    string
}

// reservations is the worker's part: a device.Arbiter. It belongs to the loop.
type reservations struct {
	clock loop.Clock
	send  func(errand) error
	renew func(card int) // has all that is on a card, or would be, try to open it again
	cards map[int]*reservation
}

// reservation is one card's.
type reservation struct {
	users int // PCMs that are open, or being opened
	asked bool
	freed bool // by another, since it was asked for: the answer may still say that he has it
	ours  bool
	by    string        // another has it
	since time.Duration // he was heard of
}

// respite is how long a card is left to another before he is asked for it again.
const respite = 2 * time.Second

func newReservations(clock loop.Clock, send func(errand) error, renew func(card int)) *reservations {
	return &reservations{clock: clock, send: send, renew: renew, cards: map[int]*reservation{}}
}

// Take implements device.Arbiter.
func (rs *reservations) Take(card int) error {
	r := rs.cards[card]
	if r == nil {
		r = &reservation{}
		rs.cards[card] = r
	}
	switch {
	case r.ours:
		r.users++
		return nil
	case r.by != "" && rs.clock.Now()-r.since < respite:
		return fmt.Errorf("it is reserved by %s; it is free when that ends, or lets go of it", r.by)
	case !r.asked:
		if err := rs.send(errand{takeCard, int32(card)}); err != nil {
			return err
		}
		r.asked, r.freed = true, false
	}
	return device.ErrSoon
}

// Has implements device.Arbiter.
func (rs *reservations) Has(card int) bool { return rs.cards[card].ours }

// Give implements device.Arbiter.
func (rs *reservations) Give(card int) {
	r := rs.cards[card]
	if r.users--; r.users == 0 {
		rs.release(card, r)
	}
}

func (rs *reservations) release(card int, r *reservation) {
	r.ours = false
	rs.send(errand{giveCard, int32(card)}) // a keeper that is gone has given it up
}

// news takes what the keeper says of a card.
func (rs *reservations) news(n cardReport) {
	r := rs.cards[n.Card]
	if r == nil {
		return
	}
	switch n.State {
	case cardOurs:
		r.asked, r.ours, r.by = false, true, ""
		if rs.renew(n.Card); r.users == 0 && r.ours { // nobody wants it any more
			rs.release(n.Card, r)
		}
	case cardHeld:
		r.asked, r.by, r.since = false, n.By, rs.clock.Now()
		if r.freed {
			r.by = ""
		}
		rs.renew(n.Card)
	case cardWanted:
		if !r.ours {
			return
		}
		r.ours, r.by, r.since = false, n.By, rs.clock.Now()
		if r.users == 0 {
			rs.release(n.Card, r)
		}
		rs.renew(n.Card)
	case cardFree:
		r.freed = r.asked
		if r.by != "" {
			r.by = ""
			rs.renew(n.Card)
		}
	}
}
