package audiod

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"sandbox-audio/audiod/reserve"
	"sandbox-audio/audiod/sessionbus"
)

// reserver is the keeper's part of reserving.go, for one worker: it reserves cards on the session bus, which it joins when the first is opened.
// A desktop without one, or that does not answer, has nobody to agree with: then the card is ours.
type reserver struct {
	tell func(cardReport)

	mu    sync.Mutex
	desk  *reserve.Desk
	given map[int]chan struct{} // closed when the worker has closed a card that another waits for
}

// maxCard is the highest number that a card can have (SNDRV_CARDS of the kernel's sound/core.h, at most).
const maxCard = 255

// closeTime is what the worker has to close a card in.
const closeTime = 2 * time.Second

// reserves tells whether the owner's desktop has a bus on which cards are reserved.
func (k *keeper) reserves() bool { return k.user.uid == 0 && sessionbus.Address() != "" }

func newReserver(tell func(cardReport)) *reserver {
	return &reserver{tell: tell, given: map[int]chan struct{}{}}
}

// take reserves a card, and tells what came of it.
func (r *reserver) take(card int) {
	var held *reserve.HeldError
	desk, err := r.join()
	if err == nil {
		err = desk.Take(card, cardName(card))
	}
	if errors.As(err, &held) {
		r.tell(cardReport{card, cardHeld, held.By})
		return
	}
	r.tell(cardReport{Card: card, State: cardOurs})
}

// join is our place on the bus.
func (r *reserver) join() (*reserve.Desk, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desk != nil && !r.desk.Gone() {
		return r.desk, nil
	}
	var err error
	r.desk, err = reserve.Join(r.wanted, func(card int) { r.tell(cardReport{Card: card, State: cardFree}) })
	return r.desk, err
}

// wanted has the worker close a card, and waits until it has.
func (r *reserver) wanted(card int, by string) {
	done := make(chan struct{})
	r.mu.Lock()
	r.given[card] = done
	r.mu.Unlock()
	r.tell(cardReport{card, cardWanted, by})
	select {
	case <-done:
	case <-time.After(closeTime):
	}
}

// give gives up a card that the worker has closed.
func (r *reserver) give(card int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desk != nil {
		r.desk.Give(card)
	}
	if done := r.given[card]; done != nil {
		close(done)
		delete(r.given, card)
	}
}

// close gives up all.
func (r *reserver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desk != nil {
		r.desk.Close()
	}
}

// cardName is a card as --device names it.
func cardName(card int) string {
	id, err := os.ReadFile(fmt.Sprintf("/proc/asound/card%d/id", card))
	if err != nil {
		return fmt.Sprintf("alsa:%d", card)
	}
	return "alsa:" + strings.TrimSpace(string(id))
}
