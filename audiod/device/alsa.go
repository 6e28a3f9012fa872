package device

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// card is one PCM of a sound card, held exclusively while open: what player and recorder have in common.
//
// Frames go through WRITEI and READI on a non-blocking descriptor, which take or give what they can and return. Nothing waits for the card; the
// mixer comes back by its own timer and asks how far it is. So the period only sets how often the card interrupts, and how finely a
// simple card tells its position.
type card struct {
	clock loop.Clock
	at    address
	name  string // for people
	substream
	xfer   xferi
	status pcmStatus

	opening *opening                // nil while it is not being opened
	aside   func(work, done func()) // does work in a goroutine, and then done on the loop; nil: it is opened at once
	ready   func()                  // see OpenAside
	refused refusal

	moved    int64 // frames written or read since the card was prepared
	smoother Smoother
	stats    Stats

	arbiter Arbiter // nil: nobody is asked
	taken   bool    // from arbiter,
	number  int     // the card of this number

	controlled
}

const (
	cardBuffer = 512 * time.Millisecond
	cardPeriod = 32 * time.Millisecond // a sixteenth: AC97 has a list of 32 periods, and with a number that does not go into it plays a silent one
	cardStall  = 4 * time.Second       // without moving, and it counts as gone, as in sndiod
)

func newCard(at address, clock loop.Clock) card {
	c := card{clock: clock, at: at, name: "Sound card " + at.card, controlled: uncontrolled}
	if p, err := findCard(at); err == nil {
		c.found(p)
	}
	return c
}

// found settles on p by the card's id, which stays when cards come and go; its number does not.
func (c *card) found(p endpoint) {
	c.at = p.address()
	_, short, _ := strings.Cut(p.card.Description, " - ")
	c.name = fmt.Sprintf("%s, %s", short, p.device.Description)
}

func (c *card) Name() string        { return c.at.String() }
func (c *card) Description() string { return c.name }
func (c *card) Stats() Stats        { return c.stats }

// open takes the card's PCM and prepares it, in two calls where it is opened aside.
func (c *card) open() (endpoint, error) {
	switch o := c.opening; {
	case c.handle != nil:
		return endpoint{}, errors.New("the device is open already")
	case o != nil && !o.done:
		return o.endpoint, ErrSoon
	case o != nil:
		return o.endpoint, c.end()
	}
	p, err := findCard(c.at)
	if err != nil {
		return p, err
	}
	c.found(p)
	if err := c.take(p); err != nil {
		return p, err
	}
	return p, c.begin(p, prepare)
}

// prepare opens p, which plays with the first frame written, or captures from now on.
func prepare(p endpoint) (substream, error) {
	handle, format, err := negotiate(p)
	if err != nil {
		return substream{}, explain(p, err)
	}
	kernel := pcmKernel(handle.Fd())
	rate, channels, period, buffer := int(handle.Rate()), int(handle.Channels()), int(handle.PeriodSize()), int(handle.BufferSize())
	size := buffer
	if !p.capture() {
		period, size, err = kernel.calm(format.card, channels, rate, period, buffer)
	}
	err = cmp.Or(err, setTiming(kernel, size), kernel(alsa.SNDRV_PCM_IOCTL_PREPARE, nil))
	if err == nil && p.capture() {
		err = kernel(alsa.SNDRV_PCM_IOCTL_START, nil)
	}
	if err != nil {
		handle.Close()
		return substream{}, explain(p, err)
	}
	return substream{handle, kernel, size, Config{
		Rate:     rate,
		Channels: pcm.DefaultMap(channels),
		Buffer:   buffer,
		Bits:     format.ours.Bits(),
		Hardware: fmt.Sprintf("%s %dch %dHz, period %d, buffer %d", format.ours, channels, rate, period, size),
	}, format.ours, make([]byte, buffer*channels*format.ours.Size())}, nil
}

func (c *card) fresh() {
	c.moved = 0
	c.smoother = NewSmoother(c.config.Rate, 0)
}

// transfer moves up to n frames between c.bytes and the card, and returns how many these were. A card found dry, or full, is restarted.
func (c *card) transfer(request uintptr, n int) (int, error) {
	c.xfer = xferi{buf: unsafe.Pointer(&c.bytes[0]), frames: uint(n)}
	err := c.kernel(request, unsafe.Pointer(&c.xfer))
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ESTRPIPE) {
		if err := c.restart(err); err != nil {
			return 0, err
		}
		err = c.kernel(request, unsafe.Pointer(&c.xfer))
	}
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	if err != nil {
		return 0, c.gone("transfer", err)
	}
	c.moved += int64(c.xfer.result)
	return c.xfer.result, nil
}

// look reads the status. It reports false while the card stands still: just prepared, or now because it had run dry or full.
func (c *card) look() (running bool, err error) {
	if c.handle == nil {
		return false, errClosed
	}
	for range 2 {
		if err := c.kernel(alsa.SNDRV_PCM_IOCTL_STATUS, unsafe.Pointer(&c.status)); err != nil {
			return false, c.gone("status", err)
		}
		switch c.status.state {
		case alsa.SNDRV_PCM_STATE_PREPARED:
			return false, nil
		case alsa.SNDRV_PCM_STATE_XRUN:
			return false, c.restart(unix.EPIPE)
		case alsa.SNDRV_PCM_STATE_SUSPENDED:
			return false, c.restart(unix.ESTRPIPE)
		case alsa.SNDRV_PCM_STATE_RUNNING:
			if int(c.status.avail) < c.size {
				return true, nil
			}
			// The very call that brought the status found the card dry; the next one says so.
		default:
			return false, c.gone("status", unix.EBADFD)
		}
	}
	return false, nil
}

// position is how many frames a running card has played or captured since it was prepared: reading is the figure of the status just read, of
// which inHardware are on their way between the buffer and the ear. The status's stamp says when the position last moved. A driver that
// tells what is on its way, as USB does, reckons that up to the present instead.
func (c *card) position(reading int64, inHardware int) (int64, error) {
	now := c.clock.Now()
	at := min(now, time.Duration(c.status.tstamp.Nano()))
	if inHardware != 0 {
		at = now
	}
	c.smoother.Read(now, at, reading)
	if c.smoother.stalled(now) > cardStall {
		return 0, fmt.Errorf("%s has not moved for %v: %w", c.at, cardStall, ErrGone)
	}
	return int64(c.smoother.Position(now)), nil
}

// restart makes the card ready after it ran dry (EPIPE) or the machine slept (ESTRPIPE), and has it capture again. A player is set off by the next
// write. Sound that the machine slept away is no xrun: the card lacked nothing.
func (c *card) restart(why error) error {
	if !errors.Is(why, unix.ESTRPIPE) {
		c.stats.Xruns++
	}
	c.fresh()
	err := c.kernel(alsa.SNDRV_PCM_IOCTL_PREPARE, nil)
	if err == nil && c.at.capture {
		err = c.kernel(alsa.SNDRV_PCM_IOCTL_START, nil)
	}
	if err != nil {
		return c.gone("restart", err)
	}
	return nil
}

// gone is for every error that preparing does not cure: unplugged (ENODEV), or not in a state to work (EBADFD).
func (c *card) gone(what string, err error) error {
	return fmt.Errorf("%s %s: %w: %w", what, c.at, ErrGone, err)
}

func (c *card) Close() error {
	if c.handle == nil {
		return nil
	}
	drop := c.kernel(alsa.SNDRV_PCM_IOCTL_DROP, nil)
	if errors.Is(drop, unix.ENODEV) || errors.Is(drop, unix.EBADFD) {
		drop = nil // it does not run any more
	}
	err := c.handle.Close()
	c.handle, c.bytes = nil, nil
	c.give()
	return errors.Join(drop, err)
}
