package mixer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/device"
)

// NewMonitor makes a source that hears what sink plays or, where in is not nil, what that input of the sink gives to it. It costs nothing
// while nobody records from it, and does not keep the sink's device open: while that is closed it hears silence.
func NewMonitor(sink *Sink, in *Input) *Source {
	t := &tap{sink: sink, input: in}
	s := NewSource(sink.clock, t, sink.log)
	s.quality = sink.quality
	s.configure(t.config())
	return s
}

// tap is a capture device that hears the frames of a sink at the time that they are heard.
//
//	Sink.cycle ─► hear ─► ring ─► … until the sink's device has played them ─► Read
//	sink closed ─► silence, by the clock ┘
type tap struct {
	sink  *Sink
	input *Input // nil: all of the sink's
	open  bool
	stats device.Stats

	ring          []float32
	written, read int64         // frames since Open
	fed           bool          // in this cycle
	since         time.Duration // while the sink is closed: when…
	base          int64         // …that many frames had been written
}

// tapBuffer is how many seconds of frames may wait for a late reader; the ring has room for as many that were not heard yet.
const tapBuffer = 0.25

var errRetuned = errors.New("the sink's device runs at another format now")

func (t *tap) config() device.Config {
	c := t.sink.conf
	return device.Config{Rate: c.Rate, Channels: c.Channels, Buffer: int(tapBuffer * float64(c.Rate)), Hardware: c.Hardware}
}

func (t *tap) Name() string        { return "monitor:" + t.sink.wanted.Name() }
func (t *tap) Description() string { return "Monitor of " + t.sink.wanted.Description() }
func (t *tap) Stats() device.Stats { return t.stats }

func (t *tap) Open() (device.Config, error) {
	if t.open {
		return device.Config{}, errors.New("the monitor is open already")
	}
	if t.input != nil && t.input.sink != t.sink {
		return device.Config{}, fmt.Errorf("the stream plays elsewhere: %w", device.ErrGone)
	}
	t.sink.recall()
	c := t.config()
	t.ring = make([]float32, 2*c.Buffer*len(c.Channels))
	t.open, t.written, t.read, t.base, t.since = true, 0, 0, 0, t.sink.clock.Now()
	t.sink.taps = append(t.sink.taps, t)
	t.sink.retarget()
	t.hear(nil, min(t.sink.unheard(), c.Buffer)) // what is heard by then was mixed already
	return c, nil
}

func (t *tap) Close() error {
	t.sink.taps = slices.DeleteFunc(t.sink.taps, func(other *tap) bool { return other == t })
	t.sink.firm = t.sink.rendered
	t.sink.retarget()
	t.open, t.ring = false, nil
	return nil
}

func (t *tap) Available() (int, error) {
	channels := len(t.sink.conf.Channels)
	switch {
	case !t.open:
		return 0, errors.New("the monitor is closed")
	case len(t.ring) == 0:
		return 0, errRetuned
	}
	t.pass()
	n := t.written - t.read - int64(t.unheard())
	if n > int64(len(t.ring)/channels/2) {
		t.stats.Xruns++
		t.read += n
		n = 0
	}
	return int(max(0, n)), nil
}

// unheard is how many of the written frames the sink's device has still to play: none of those that were written when it was closed.
func (t *tap) unheard() int64 { return min(int64(t.sink.unheard()), t.written-t.base) }

func (t *tap) Read(frames []float32) (int, error) {
	n, err := t.Available()
	channels := len(t.sink.conf.Channels)
	n = min(n, len(frames)/channels)
	for done := 0; done < n*channels; {
		at := int((t.read*int64(channels) + int64(done)) % int64(len(t.ring)))
		done += copy(frames[done:n*channels], t.ring[at:])
	}
	t.read += int64(n)
	return n, err
}

// hear takes frames that the sink has mixed, or silence where src is nil.
func (t *tap) hear(src []float32, n int) {
	if len(t.ring) == 0 {
		return
	}
	channels := len(t.sink.conf.Channels)
	for done := 0; done < n*channels; {
		at := int((t.written*int64(channels) + int64(done)) % int64(len(t.ring)))
		part := t.ring[at:min(len(t.ring), at+n*channels-done)]
		if src == nil {
			clear(part)
		} else {
			copy(part, src[done:])
		}
		done += len(part)
	}
	t.written += int64(n)
}

// pass writes the silence that is due of a closed sink.
func (t *tap) pass() {
	if t.sink.open {
		return
	}
	due := t.base + int64(t.sink.frames(t.sink.clock.Now()-t.since)) - t.written
	t.hear(nil, int(min(due, int64(len(t.ring)/len(t.sink.conf.Channels)))))
}

// turned is called before the sink opens its device, and after it closed it.
func (t *tap) turned() {
	t.pass()
	t.since, t.base = t.sink.clock.Now(), t.written
}

// retune is called when the sink's format changes: whoever reads must open the monitor anew.
func (t *tap) retune() { t.ring = nil }

// catchUp ends a cycle of n frames: a monitor of all hears the mix, one of an input that gave nothing silence.
func (t *tap) catchUp(mix []float32, n int) {
	switch {
	case t.input == nil:
		t.hear(mix, n)
	case !t.fed:
		t.hear(nil, n)
	}
	t.fed = false
}

// overheard is render while monitors are listened to: those of this input hear what it adds to mix.
func (in *Input) overheard(mix []float32, n int) {
	if !slices.ContainsFunc(in.sink.taps, func(t *tap) bool { return t.input == in }) {
		in.render(mix, n)
		return
	}
	s := in.sink
	if len(s.alone) < len(mix) {
		s.alone = make([]float32, len(s.mix))
	}
	alone := s.alone[:len(mix)]
	clear(alone)
	in.render(alone, n)
	for i, x := range alone {
		mix[i] += x
	}
	for _, t := range s.taps {
		if t.input == in {
			t.hear(alone, n)
			t.fed = true
		}
	}
}
