package devicetest

import (
	"fmt"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// Mic is a device.Source that behaves as a sound card's capture side does: a buffer that fills from Open on, overruns when nobody reads, and
// then begins anew. Its time is the hand clock's, so it captures frame n of its world at precisely n/rate.
type Mic struct {
	// Sound is what there is to hear: the sample of all channels at each frame since the clock's time 0. Nil is silence.
	Sound func(frame int64) float32

	clock  *loop.Hand
	config device.Config
	refuse error
	gone   bool
	open   bool
	opens  int
	opened int64 // frame that was captured first since then
	stats  device.Stats
	next   int64 // frame to be read next
}

// NewMic makes a closed source. Zero fields of c become 48000 frames per second, stereo and a Buffer of 200 ms.
func NewMic(clock *loop.Hand, c device.Config) *Mic {
	if c.Rate == 0 {
		c.Rate = 48000
	}
	if c.Channels == nil {
		c.Channels = pcm.StereoMap
	}
	if c.Buffer == 0 {
		c.Buffer = c.Rate / 5
	}
	if c.Hardware == "" {
		c.Hardware = fmt.Sprintf("float32le %dch %dHz", len(c.Channels), c.Rate)
	}
	return &Mic{clock: clock, config: c}
}

// Unplug makes every Open, Read and Available fail with device.ErrGone from now on; Plug undoes that. The source must be opened anew.
func (m *Mic) Unplug() { m.gone = true }
func (m *Mic) Plug()   { m.gone = false }

// Refuse makes every Open fail with err, as a card does that another program holds; nil ends that.
func (m *Mic) Refuse(err error) { m.refuse = err }

// IsOpen tells whether the source is open now; Opens how often it was opened since NewMic.
func (m *Mic) IsOpen() bool { return m.open }
func (m *Mic) Opens() int   { return m.opens }

// Opened is the first frame that was captured since the last Open.
func (m *Mic) Opened() int64 { return m.opened }

func (m *Mic) Name() string        { return "hand" }
func (m *Mic) Description() string { return "Microphone ticked by hand" }
func (m *Mic) Stats() device.Stats { m.Available(); return m.stats }

func (m *Mic) Open() (device.Config, error) {
	switch {
	case m.open:
		return device.Config{}, fmt.Errorf("open a source that is open")
	case m.refuse != nil:
		return device.Config{}, m.refuse
	case m.gone:
		return device.Config{}, fmt.Errorf("open hand: %w", device.ErrGone)
	}
	m.open = true
	m.opens++
	m.opened, m.next = m.now(), m.now()
	return m.config, nil
}

func (m *Mic) Close() error {
	m.open = false
	return nil
}

func (m *Mic) Available() (int, error) {
	if m.gone {
		return 0, fmt.Errorf("available: %w", device.ErrGone)
	}
	if !m.open {
		return 0, fmt.Errorf("available: the source is closed")
	}
	n := m.now() - m.next
	if n > int64(m.config.Buffer) {
		m.stats.Xruns++
		m.next, n = m.now(), 0
	}
	return int(n), nil
}

func (m *Mic) Read(frames []float32) (int, error) {
	n, err := m.Available()
	channels := len(m.config.Channels)
	n = min(n, len(frames)/channels)
	for i := range n {
		for c := range channels {
			frames[i*channels+c] = m.at(m.next + int64(i))
		}
	}
	m.next += int64(n)
	return n, err
}

func (m *Mic) at(frame int64) float32 {
	if m.Sound == nil {
		return 0
	}
	return m.Sound(frame)
}

// now is the number of frames of the world that are over.
func (m *Mic) now() int64 {
	t := m.clock.Now()
	return int64(t/time.Second)*int64(m.config.Rate) + int64(t%time.Second)*int64(m.config.Rate)/int64(time.Second)
}
