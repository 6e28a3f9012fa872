package device

import (
	"errors"
	"time"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/pcm"
)

// Opening a card takes a while: an HDA codec that sleeps, or is just falling asleep, has to be woken, and a USB card to be told over its wire. So
// there is a side goroutine for it, and a card has it opened in two calls:
//
//	Open ─► Take ─► ErrSoon … a side goroutine prepares the PCM … ready ─► Open ─► it is had
//	                                                                └─► nobody calls Open any more: it is closed again, and given back

// substream is a PCM of a card as it was opened.
type substream struct {
	handle *alsa.PCM
	kernel kernel // handle's
	size   int    // of the card's buffer: config.Buffer, or more
	config Config
	format pcm.Format
	bytes  []byte // one buffer's worth in the card's format
}

// opening is a PCM that is being opened.
type opening struct {
	endpoint
	done bool
	substream
	err  error
	free bool // the card is, right after an error
}

// OpenAside has dev, if it is a sink or source of a card, opened aside from now on, so that nobody waits for the hardware: Open returns an error that
// wraps ErrSoon, and ready is called on the loop when it is to be called again. Who does not call it then does without the device.
func (c *Cards) OpenAside(dev any, ready func()) {
	if pcm := cardIn(dev); pcm != nil {
		pcm.aside, pcm.ready = c.aside, ready
	}
}

// begin has p opened by prepare.
func (c *card) begin(p endpoint, prepare func(endpoint) (substream, error)) error {
	if c.taken && c.aside != nil {
		prepare = patiently(prepare)
	}
	o := &opening{endpoint: p}
	work := func() {
		if o.substream, o.err = prepare(p); o.err != nil {
			o.free = p.free("/proc")
		}
	}
	c.opening = o
	if c.aside == nil {
		work()
		return c.end()
	}
	c.aside(work, func() {
		o.done = true
		if c.taken && !c.arbiter.Has(c.number) { // it is let go for another by now
			c.drop(o)
		}
		c.ready()
		c.drop(o)
	})
	return ErrSoon
}

// closingTime is what others have to close a card that they have let go of. WirePlumber says that it has before it has PipeWire do so, and looks through
// the card's PCMs once more until it notices whose it is.
const closingTime = 500 * time.Millisecond

// patiently prepares a card that is ours by the arbiter's word, once others have closed it.
func patiently(prepare func(endpoint) (substream, error)) func(endpoint) (substream, error) {
	return func(p endpoint) (substream, error) {
		for deadline := time.Now().Add(closingTime); ; time.Sleep(closingTime / 10) {
			if s, err := prepare(p); !errors.Is(err, unix.EBUSY) || !time.Now().Before(deadline) {
				return s, err
			}
		}
	}
}

// end takes up what has become of the opening.
func (c *card) end() error {
	o := c.opening
	c.opening = nil
	c.refused.note(o.err, o.free)
	if o.err != nil {
		c.give()
		return o.err
	}
	c.substream = o.substream
	c.fresh()
	return nil
}

// drop does without what is opened, unless it was taken up.
func (c *card) drop(o *opening) {
	if c.opening != o {
		return
	}
	c.opening = nil
	if o.err == nil {
		o.handle.Close()
	}
	c.give()
}
