package device

import (
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

// card is a sound card's playback PCM, held exclusively while open.
//
// Frames are written with WRITEI on a non-blocking descriptor: it takes what fits and returns. Nothing waits for the card; the mixer comes
// back by its own timer and asks how much is left. So the period only sets how often the card interrupts, and how finely a simple
// card tells its position.
type card struct {
	clock  loop.Clock
	at     address
	name   string // for people
	handle *alsa.PCM
	fd     uintptr
	config Config
	format pcm.Format
	bytes  []byte // one buffer's worth in the card's format
	xfer   xferi
	status pcmStatus

	written  int64 // frames since the card was prepared
	smoother smoother
	stats    Stats
}

const (
	cardBuffer = 200 * time.Millisecond
	cardPeriod = 20 * time.Millisecond

	// What must be in a card's buffer for it to keep playing: HDA fetches and reports in steps of 1 to 2 ms. USB takes up to 18 ms ahead
	// (MAX_QUEUE in the kernel's sound/usb/card.h), which counts as queued until it is heard.
	cardMargin = 10 * time.Millisecond
	usbMargin  = 28 * time.Millisecond

	cardLinger = 5 * time.Second // as PulseAudio: opening may click, and takes up to 0.1 s on USB
	cardStall  = 4 * time.Second // without moving, and it counts as gone, as in sndiod
)

func newCard(at address, clock loop.Clock) *card {
	c := &card{clock: clock, at: at, name: "Sound card " + at.card}
	if p, err := findCard(at); err == nil {
		c.found(p)
	}
	return c
}

// found settles on p by the card's id, which stays when cards come and go; its number does not.
func (c *card) found(p playback) {
	c.at = p.address()
	_, short, _ := strings.Cut(p.card.Description, " - ")
	c.name = fmt.Sprintf("%s, %s", short, p.device.Description)
}

func (c *card) Name() string        { return c.at.String() }
func (c *card) Description() string { return c.name }
func (c *card) Stats() Stats        { return c.stats }

func (c *card) Open() (Config, error) {
	if c.handle != nil {
		return Config{}, errors.New("the device is open already")
	}
	p, err := findCard(c.at)
	if err != nil {
		return Config{}, err
	}
	c.found(p)
	handle, format, err := negotiate(p)
	if err != nil {
		return Config{}, explain(p, err)
	}
	buffer := int(handle.BufferSize())
	if err := errors.Join(setTiming(handle.Fd(), buffer), handle.Prepare()); err != nil {
		handle.Close()
		return Config{}, explain(p, err)
	}
	rate, channels := int(handle.Rate()), int(handle.Channels())
	c.handle, c.fd, c.format = handle, handle.Fd(), format
	c.bytes = make([]byte, buffer*channels*format.Size())
	c.fresh(rate)
	margin := cardMargin
	if p.driver() == "USB-Audio" {
		margin = usbMargin
	}
	c.config = Config{
		Rate:     rate,
		Channels: pcm.DefaultMap(channels),
		Buffer:   buffer,
		Margin:   min(int(framesIn(margin, rate)), buffer/2),
		Linger:   cardLinger,
		Hardware: fmt.Sprintf("%s %dch %dHz, period %d, buffer %d%s", format, channels, rate, handle.PeriodSize(), buffer, silenced(p)),
	}
	return c.config, nil
}

func (c *card) fresh(rate int) {
	c.written = 0
	c.smoother = smoother{rate: rate}
}

func (c *card) Write(frames []float32) (int, error) {
	if c.handle == nil {
		return 0, errClosed
	}
	channels := len(c.config.Channels)
	n := min(len(frames)/channels, c.config.Buffer)
	if n == 0 {
		return 0, nil
	}
	pcm.Encode(c.bytes, frames[:n*channels], c.format)
	c.xfer = xferi{buf: unsafe.Pointer(&c.bytes[0]), frames: uint(n)}
	err := ioctl(c.fd, alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES, unsafe.Pointer(&c.xfer))
	if ranDry(err) {
		if err = c.restart(); err == nil {
			err = ioctl(c.fd, alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES, unsafe.Pointer(&c.xfer))
		}
	}
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	if err != nil {
		return 0, c.gone("write", err)
	}
	c.written += int64(c.xfer.result)
	return c.xfer.result, nil
}

func (c *card) Queued() (int, error) {
	if c.handle == nil {
		return 0, errClosed
	}
	for range 2 {
		if err := ioctl(c.fd, alsa.SNDRV_PCM_IOCTL_STATUS, unsafe.Pointer(&c.status)); err != nil {
			return 0, c.gone("status", err)
		}
		switch c.status.state {
		case alsa.SNDRV_PCM_STATE_PREPARED:
			return 0, nil
		case alsa.SNDRV_PCM_STATE_XRUN, alsa.SNDRV_PCM_STATE_SUSPENDED:
			if err := c.restart(); err != nil {
				return 0, c.gone("restart", err)
			}
			return 0, nil
		case alsa.SNDRV_PCM_STATE_RUNNING:
			if int(c.status.avail) < c.config.Buffer {
				return c.queued()
			}
			// The very call that brought the status found the card dry; the next one says so.
		default:
			return 0, c.gone("status", unix.EBADFD)
		}
	}
	return 0, nil
}

// queued is Queued of a card that plays, from the status just read. Its stamp says when the position last moved. A driver that tells
// how much is on its way in the hardware, as USB does, reckons that up to the present instead.
func (c *card) queued() (int, error) {
	now := c.clock.Now()
	at := min(now, time.Duration(c.status.tstamp.Nano()))
	if c.status.delay != c.config.Buffer-int(c.status.avail) {
		at = now
	}
	c.smoother.read(now, at, c.written-int64(c.status.delay))
	if c.smoother.stalled(now) > cardStall {
		return 0, fmt.Errorf("%s has not moved for %v: %w", c.at, cardStall, ErrGone)
	}
	return max(0, int(c.written-int64(c.smoother.position(now)))), nil
}

// restart makes the card ready after it ran dry; the next write sets it off.
func (c *card) restart() error {
	c.stats.Xruns++
	c.fresh(c.config.Rate)
	return ioctl(c.fd, alsa.SNDRV_PCM_IOCTL_PREPARE, nil)
}

// gone is for every error that preparing does not cure: unplugged (ENODEV), or not in a state to play (EBADFD).
func (c *card) gone(what string, err error) error {
	return fmt.Errorf("%s %s: %w: %w", what, c.at, ErrGone, err)
}

func (c *card) Close() error {
	if c.handle == nil {
		return nil
	}
	drop := ioctl(c.fd, alsa.SNDRV_PCM_IOCTL_DROP, nil)
	if errors.Is(drop, unix.ENODEV) || errors.Is(drop, unix.EBADFD) {
		drop = nil // nothing plays any more
	}
	err := c.handle.Close()
	c.handle, c.bytes = nil, nil
	return errors.Join(drop, err)
}
