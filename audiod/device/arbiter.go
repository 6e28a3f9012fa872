package device

import "fmt"

// ErrSoon is wrapped by what Open returns while the device is being opened, or others are asked whether it may be had, which takes but a moment: who wants
// it waits for that, and is told when to try again. It is a case of ErrNotYet.
var ErrSoon = fmt.Errorf("%w: it is being opened", ErrNotYet)

// Arbiter agrees with other programs on who has a sound card, by its number. Its methods are called from the loop.
type Arbiter interface {
	// Take is called before a PCM of a card is opened. The error wraps ErrSoon, or says who else has the card.
	Take(card int) error
	// Has reports whether a card that was taken, and not yet given back, is still ours.
	Has(card int) bool
	// Give is called for every successful Take, when that PCM is closed.
	Give(card int)
}

// Arbitrate has an arbiter asked before dev, if it is a sink or source of a card, is opened from now on.
func Arbitrate(dev any, by Arbiter) {
	if pcm := cardIn(dev); pcm != nil {
		pcm.arbiter = by
	}
}

// IsOn reports whether dev is a sink or source of the card that has this number now.
func IsOn(dev any, card int) bool {
	pcm := cardIn(dev)
	if pcm == nil {
		return false
	}
	if pcm.taken {
		return pcm.number == card
	}
	p, err := findCard(pcm.at)
	return err == nil && p.card.ID == card
}

// take agrees with the others on p.
func (c *card) take(p endpoint) error {
	if c.arbiter == nil {
		return nil
	}
	if err := c.arbiter.Take(p.card.ID); err != nil {
		return fmt.Errorf("%s: %w", p.address(), err)
	}
	c.taken, c.number = true, p.card.ID
	return nil
}

// give tells them that it is free again.
func (c *card) give() {
	if c.taken {
		c.taken = false
		c.arbiter.Give(c.number)
	}
}
