package mixer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// Source hands what one capture device hears to the source outputs that record from it. Make it with NewSource or NewMonitor.
//
//	device.Read ─► at each wake-up, for each output: channel map ► resample ► volume ► encode ─► backlog ─► Recorder ─► Output.Fetch
//
// The device is open only while an output runs. It is read as often as the least patient of them asked for; all sources wake at the same
// times where they can, so that many meters cost one wake-up. Everything belongs to the loop's goroutine.
type Source struct {
	clock     loop.Clock
	log       func(format string, args ...any)
	wanted    device.Source // the device asked for
	device    device.Source // the one in use: wanted, or silence while that cannot be had
	trouble   error         // why device is not wanted…
	looked    time.Duration // …and when it was last asked whether it can be had
	conf      device.Config
	open      bool
	opened    time.Duration
	suspended bool
	timer     *loop.Timer
	quality   Quality
	master

	outputs []*Output
	running []*Output
	period  time.Duration // between two wake-ups

	peak    meter
	frames  []float32 // one quantum as the device gave it
	scratch [3][]float32
}

const (
	minCapture = 10 * time.Millisecond // between two wake-ups
	maxCapture = 100 * time.Millisecond
	retryAfter = time.Second // a device that failed sooner after it was opened is not opened again at once, nor is one that was tried since then
)

// NewSource makes a source on dev, which it does not open before somebody records: until then it takes it for one of 48 kHz in stereo. Where
// the device cannot be had its outputs hear silence that keeps time; it is tried again as soon as it may be had and whenever recording starts, and
// log is told.
func NewSource(clock loop.Clock, dev device.Source, log func(format string, args ...any)) *Source {
	s := &Source{clock: clock, log: log, wanted: dev, device: dev, master: master{changed: func() {}}}
	s.timer = clock.NewTimer(s.wake)
	s.configure(device.Config{Rate: 48000, Channels: pcm.StereoMap, Buffer: 48000 / 5})
	s.listen(dev)
	return s
}

// NewQuiet makes a source without a device, silence that keeps time.
func NewQuiet(clock loop.Clock, log func(format string, args ...any)) *Source {
	null, err := device.NewSource("null", clock)
	if err != nil {
		panic(err) // there is always silence
	}
	return NewSource(clock, null, log)
}

// Spec is the format and channel map of what the device hears, as long as it stays the same.
func (s *Source) Spec() (pcm.Spec, pcm.ChannelMap) {
	return pcm.Spec{Format: pcm.Float32LE, Channels: uint8(len(s.conf.Channels)), Rate: uint32(s.conf.Rate)}, s.conf.Channels
}

// Name is the --source form of the device that was asked for.
func (s *Source) Name() string { return s.wanted.Name() }

// State is what the source is and does now. Its latency is since the oldest sound that the device has not given yet was heard.
func (s *Source) State() State {
	st := State{Device: s.device.Name(), Description: s.device.Description(), Hardware: s.conf.Hardware, Open: s.open, Suspended: s.suspended,
		Latency: s.unread(), Xruns: s.wanted.Stats().Xruns, Peak: s.peak.read(s.clock.Now())}
	if s.trouble != nil {
		st.Trouble = s.trouble.Error()
	}
	return st
}

// Recording reports whether an output runs.
func (s *Source) Recording() bool { return len(s.running) > 0 }

// Renew opens the device anew, if it is open: it is to be had again, or has failed.
func (s *Source) Renew() {
	s.stop()
	s.update()
}

// Suspend closes the device, or lets it be opened again; meanwhile the outputs get nothing.
func (s *Source) Suspend(suspended bool) {
	s.suspended = suspended
	s.update()
}

// Close ends the source and lets the device go. Its outputs are not to be used any more.
func (s *Source) Close() { s.stop() }

func (s *Source) duration(frames int) time.Duration {
	return time.Duration(frames) * time.Second / time.Duration(s.conf.Rate)
}

// grant is the period an output gets for its wish.
func (s *Source) grant(wish time.Duration) time.Duration {
	return max(minCapture, min(wish, maxCapture, s.duration(s.conf.Buffer)/2))
}

// unread is how much the device holds.
func (s *Source) unread() time.Duration {
	if !s.open {
		return 0
	}
	n, err := s.device.Available()
	if err != nil {
		return 0 // the next wake-up deals with it
	}
	return s.duration(n)
}

// update opens or closes the device, as the running outputs need it, and sets the period to what the least patient of them was granted.
func (s *Source) update() {
	if len(s.running) == 0 || s.suspended {
		s.stop()
		return
	}
	if s.start(); !s.open {
		return
	}
	s.period = s.grant(maxCapture)
	for _, o := range s.running {
		s.period = min(s.period, s.grant(o.latency))
	}
	s.schedule()
}

// schedule sets the next wake-up: at a multiple of the period on the clock that all sources share.
func (s *Source) schedule() {
	now := s.clock.Now()
	s.timer.Set(now - now%s.period + s.period)
}

// start opens the device wanted or, failing that, silence; or nothing yet.
func (s *Source) start() {
	if s.open {
		return
	}
	conf, err := s.wanted.Open()
	if err == nil {
		before := s.trouble
		s.device, s.trouble = s.wanted, nil
		s.begin(conf)
		if before != nil {
			if !errors.Is(before, device.ErrNotYet) {
				s.log("%s records again", s.wanted.Name())
			}
			s.order()
			s.changed()
		}
		return
	}
	if errors.Is(err, device.ErrSoon) {
		return // Renew is called
	}
	s.begin(s.silence(err))
}

// begin takes note that the device is open and runs at conf.
func (s *Source) begin(conf device.Config) {
	s.open, s.opened = true, s.clock.Now()
	s.configure(conf)
	s.gains.settle()
}

// silence puts the null source in the place of one that failed with err.
func (s *Source) silence(err error) device.Config {
	if (s.trouble == nil || s.trouble.Error() != err.Error()) && !errors.Is(err, device.ErrNotYet) {
		s.log("%s cannot record: %v; recording silence until it can", s.wanted.Name(), err)
	}
	defer s.changed()
	s.trouble, s.looked = err, s.clock.Now()
	err = nil
	if s.device == s.wanted {
		s.device, err = device.NewSource("null", s.clock)
	}
	conf, err2 := s.device.Open()
	if err := errors.Join(err, err2); err != nil {
		panic(fmt.Sprintf("the null source: %v", err)) // there is nothing in it that could fail
	}
	return conf
}

// configure makes the buffers for a device that runs at conf.
func (s *Source) configure(conf device.Config) {
	same := conf.Rate == s.conf.Rate && slices.Equal(conf.Channels, s.conf.Channels)
	s.conf = conf
	if !same {
		s.frames = make([]float32, quantum*len(conf.Channels))
		for _, o := range s.outputs {
			o.connect()
		}
	}
	s.use(s.device)
	s.fit(len(conf.Channels))
}

func (s *Source) stop() {
	s.timer.Stop()
	if !s.open {
		return
	}
	if err := s.device.Close(); err != nil {
		s.log("%s: %v", s.device.Name(), err)
	}
	s.open = false
}

// wake hands on what the device has heard, and sleeps.
func (s *Source) wake() {
	s.flush()
	for _, o := range s.running {
		if o.backlog.length() > 0 {
			o.recorder.Captured()
		}
	}
	if s.device != s.wanted {
		look(s.wanted, s.clock.Now(), &s.looked)
	}
	s.schedule()
}

// flush hands on what the device has heard until now.
func (s *Source) flush() {
	if !s.open {
		return
	}
	if err := s.pull(); err != nil {
		s.lose(err)
	}
}

// pull reads all that the device has, into the backlogs.
func (s *Source) pull() error {
	left, err := s.device.Available()
	if err != nil {
		return err
	}
	channels := len(s.conf.Channels)
	for left > 0 {
		n, err := s.device.Read(s.frames[:min(left, quantum)*channels])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		left -= n
		frames := s.frames[:n*channels]
		s.gains.amplify(frames, channels, int(int64(rampTime)*int64(s.conf.Rate)/int64(time.Second)))
		s.peak.add(pcm.Peak(frames), s.clock.Now())
		for _, o := range s.running {
			o.take(frames)
		}
	}
	return nil
}

// lose deals with a device that failed while open: one that ran well, or has changed as it says itself, is opened again at once; for another
// the outputs hear silence, until it is next needed.
func (s *Source) lose(err error) {
	s.device.Close()
	s.open = false
	if s.device == s.wanted && (s.clock.Now()-s.opened >= retryAfter || errors.Is(err, errRetuned)) {
		s.start()
		return
	}
	s.begin(s.silence(err))
}
