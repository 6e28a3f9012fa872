package device

import (
	"time"
	"unsafe"

	"github.com/gen2brain/alsa"

	"sandbox-audio/audiod/pcm"
)

// player is a sound card's playback PCM.
type player struct{ card }

const (
	// What must be in a card's buffer for it to keep playing: HDA fetches and reports in steps of 1 to 2 ms. USB takes up to 18 ms ahead
	// (MAX_QUEUE in the kernel's sound/usb/card.h), which counts as queued until it is heard.
	cardMargin = 10 * time.Millisecond
	usbMargin  = 28 * time.Millisecond

	// How far ahead a card is written while nobody is in a hurry: what sleeps until a third of that is left wakes four times a second.
	cardAhead = 400 * time.Millisecond

	cardLinger = 5 * time.Second // as PulseAudio: opening may click, and takes up to 0.1 s on USB
)

func (c *player) Open() (Config, error) {
	p, err := c.open()
	if err != nil {
		return Config{}, err
	}
	margin := cardMargin
	if p.driver() == "USB-Audio" {
		margin = usbMargin
	}
	c.config.Margin = min(int(framesIn(margin, c.config.Rate)), c.config.Buffer/2)
	if ahead := int(framesIn(cardAhead, c.config.Rate)); ahead < c.config.Buffer {
		c.config.Ahead = ahead
	}
	c.config.Linger = cardLinger
	return c.config, nil
}

func (c *player) Write(frames []float32) (int, error) {
	if c.handle == nil {
		return 0, errClosed
	}
	channels := len(c.config.Channels)
	n := min(len(frames)/channels, c.config.Buffer)
	if c.size > c.config.Buffer && n > 0 { // the card would take more than is to be queued
		if _, err := c.look(); err != nil {
			return 0, err
		}
		n = min(n, c.config.Buffer-(c.size-int(c.status.avail)))
	}
	if n <= 0 {
		return 0, nil
	}
	pcm.Encode(c.bytes, frames[:n*channels], c.format)
	return c.transfer(alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES, n)
}

func (c *player) Queued() (int, error) {
	running, err := c.look()
	if err != nil || !running {
		return 0, err
	}
	heard, err := c.position(c.moved-int64(c.status.delay), c.status.delay-(c.size-int(c.status.avail)))
	return max(0, int(c.moved-heard)), err
}

// Rewind implements Rewinder. A USB card whose whole buffer is taken from under it stands still and never says so, not even once prepared anew.
func (c *player) Rewind(frames int) (int, error) {
	if running, err := c.look(); err != nil || !running {
		return 0, err
	}
	n := uint(max(0, min(frames, c.status.delay-c.config.Margin))) // snd_pcm_uframes_t: what is wanted, then what it came to
	if n == 0 {
		return 0, nil
	}
	if err := c.kernel(pcmRewind, unsafe.Pointer(&n)); err != nil {
		return 0, c.gone("rewind", err)
	}
	c.moved -= int64(n)
	return int(n), nil
}
