package device

import (
	"github.com/gen2brain/alsa"

	"sandbox-audio/audiod/pcm"
)

// recorder is a sound card's capture PCM. It runs from Open on, and is let go at once by Close: a microphone that nobody listens to is closed.
type recorder struct{ card }

func (c *recorder) Open() (Config, error) {
	if _, err := c.open(); err != nil {
		return Config{}, err
	}
	return c.config, nil
}

func (c *recorder) Read(frames []float32) (int, error) {
	if c.handle == nil {
		return 0, errClosed
	}
	channels := len(c.config.Channels)
	n := min(len(frames)/channels, c.config.Buffer)
	if n == 0 {
		return 0, nil
	}
	n, err := c.transfer(alsa.SNDRV_PCM_IOCTL_READI_FRAMES, n)
	pcm.Decode(frames[:n*channels], c.bytes[:n*channels*c.format.Size()], c.format)
	return n, err
}

func (c *recorder) Available() (int, error) {
	running, err := c.look()
	if err != nil || !running {
		return 0, err
	}
	captured, err := c.position(c.moved+int64(c.status.delay), c.status.delay-int(c.status.avail))
	return max(0, int(captured-c.moved)), err
}
