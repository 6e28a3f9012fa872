// Package mixer turns many clients' bytes into one stream of frames, at the device's time.
//
//	Input.Write ─► queue ─► at each wake-up: decode ► volume ► channel map ► resample ► add ─► limit ─► device.Write
//	                                 └─► Listener: wants bytes / started / underrun / drained
//
// A Sink owns one device and the sink inputs that play on it. It writes ahead of the ear by as little as the least patient of them asked for,
// sleeps until that is nearly heard, and closes the device when nobody plays. Everything belongs to the loop's goroutine; from the
// first frame on, a cycle allocates nothing and waits for nobody.
package mixer

import (
	"errors"
	"fmt"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

const (
	quantum    = 2048                   // most frames mixed at once; what is wanted beyond is done in further rounds
	fewest     = 512                    // frames mixed at once where many play
	mostBusy   = 250 * time.Microsecond // of mixing at a stretch, while the clients wait to be heard
	maxLatency = 80 * time.Millisecond  // the most the mixer writes ahead of a device that gives nothing back: neither cork nor flush can undo it
	minLatency = 5 * time.Millisecond
	leastSleep = 40 * time.Millisecond  // on a device with a margin so long: whoever wakes up more often pays for that
	leastStep  = 2 * time.Millisecond   // by which the mixer goes on at least where a client is late
	rampTime   = 10 * time.Millisecond  // a volume change takes this long, so that it does not click
	startTime  = 100 * time.Millisecond // in which a card that has begun to play may fetch faster than it plays
	slackStep  = 5 * time.Millisecond
	mostLate   = 20 * time.Millisecond // what a single late wake-up can teach; the xruns of a machine that is later teach the rest
	mostSlack  = 100 * time.Millisecond
	lookAgain  = time.Second // after which a device that another program held may be free
)

// Sink mixes sink inputs into one device. Make it with NewSink.
type Sink struct {
	clock   loop.Clock
	log     func(format string, args ...any)
	wanted  device.Sink   // the device asked for
	device  device.Sink   // the one in use: wanted, or silence while that cannot be had
	trouble error         // why device is not wanted…
	failed  time.Duration // …and since when
	looked  time.Duration // when it was last asked whether it can be had
	conf    device.Config
	open    bool
	timer   *loop.Timer
	master

	suspended bool
	quality   Quality

	inputs  []*Input
	running []*Input      // those with something to play, or that let time pass
	latency int           // frames to be written ahead, between the bounds
	reach   int           // frames that are written ahead now: after a recall it takes some wake-ups to get that far
	midway  bool          // that is not done yet: the clients were to be heard first
	effort  time.Duration // what a quantum takes of late to be mixed and written
	settled time.Duration // when the device is past its start

	// What the device was found to need since it was opened.
	due   time.Duration // when the timer should have fired
	xruns uint64        // as far as they are known
	slack int           // frames of reserve beyond its margin

	taps      []*tap        // monitors that are listened to
	rendered  int64         // frames mixed since the sink was made, and not taken back
	firm      int64         // of those, the ones that cannot be taken back
	until     time.Duration // when all of them have been heard
	lastSound int64         // rendered, when an input last took part
	idleSince time.Duration // when lastSound had been heard; 0 while not idle
	peak      meter

	usual   *pcm.Resampler // not used: its filter is the one most streams want that are not at the device's rate
	limiter *pcm.Limiter
	dither  *pcm.Dither
	mix     []float32 // one quantum in the device's channels
	pending []float32 // the part of mix that the device has not taken
	alone   []float32 // what one input adds to mix, for its monitors
	fading  []float32 // the ends of inputs that were moved elsewhere
	scratch [3][]float32
}

// NewSink makes a sink on dev, which it opens and closes once to learn what it can do. Where that fails the sink plays into silence
// that keeps time, tries dev again as soon as it may be had and whenever something begins to play, and says so to log.
func NewSink(clock loop.Clock, dev device.Sink, log func(format string, args ...any)) *Sink {
	s := &Sink{clock: clock, log: log, wanted: dev, device: dev, master: master{changed: func() {}}}
	s.turning = s.recall
	s.timer = clock.NewTimer(s.wake)
	s.start()
	s.stop()
	s.listen(dev)
	return s
}

// NewSilence makes a sink without a device, that keeps time.
func NewSilence(clock loop.Clock, log func(format string, args ...any)) *Sink {
	null, err := device.New("null", clock)
	if err != nil {
		panic(err) // there is always silence
	}
	return NewSink(clock, null, log)
}

// Name is the --device form of the device that was asked for.
func (s *Sink) Name() string { return s.wanted.Name() }

// Spec is the format and channel map of the mix, as long as the device stays the same.
func (s *Sink) Spec() (pcm.Spec, pcm.ChannelMap) {
	return pcm.Spec{Format: pcm.Float32LE, Channels: uint8(len(s.conf.Channels)), Rate: uint32(s.conf.Rate)}, s.conf.Channels
}

// State is what a person would want to know of a sink.
type State struct {
	Device      string // its --device form
	Description string
	Hardware    string        // the format it runs at
	Trouble     string        // why it is not the device that was asked for; empty when it is
	Open        bool          // the hardware is held
	Suspended   bool          // by Suspend
	Latency     time.Duration // from the mixer to the ear, now; 0 when closed
	Xruns       uint64
	Peak        float32 // loudest sample of late, full scale 1, falling
}

// State is what the sink is and does now.
func (s *Sink) State() State {
	st := State{Device: s.device.Name(), Description: s.device.Description(), Hardware: s.conf.Hardware, Open: s.open, Suspended: s.suspended,
		Latency: s.duration(s.unheard()), Xruns: s.wanted.Stats().Xruns, Peak: s.peak.read(s.clock.Now())}
	if s.trouble != nil {
		st.Trouble = s.trouble.Error()
	}
	return st
}

// Sounding reports whether the device is open.
func (s *Sink) Sounding() bool { return s.open }

// Inputs are the sink inputs, corked ones included, in the order they came. The caller must not keep the slice.
func (s *Sink) Inputs() []*Input { return s.inputs }

// Close ends the sink and lets the device go. Its inputs are not to be used any more.
func (s *Sink) Close() {
	s.stop()
	s.suspended = true // a device on its way comes too late
}

func (s *Sink) duration(frames int) time.Duration {
	return time.Duration(frames) * time.Second / time.Duration(s.conf.Rate)
}

func (s *Sink) frames(d time.Duration) int {
	rate := int64(s.conf.Rate)
	return int(int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)) // d may be days
}

// grant is the device latency an input gets for its wish.
func (s *Sink) grant(wish time.Duration) time.Duration {
	margin := s.duration(s.conf.Margin)
	lowest := max(minLatency, margin+min(margin, leastSleep)+s.duration(s.slack))
	highest := max(lowest, min(maxLatency, s.duration(s.conf.Buffer)))
	if s.patient(wish) {
		highest = max(highest, s.duration(s.conf.Ahead))
	}
	return min(max(wish, lowest), highest)
}

// start opens the device wanted or, failing that, silence; or nothing yet.
func (s *Sink) start() {
	if s.open {
		return
	}
	for _, t := range s.taps {
		t.turned()
	}
	conf, err := s.wanted.Open()
	if err == nil {
		before := s.trouble
		s.device, s.trouble = s.wanted, nil
		s.opened(conf)
		if before != nil {
			if !errors.Is(before, device.ErrNotYet) {
				s.log("%s plays again", s.wanted.Name())
			}
			s.order()
			s.changed()
		}
		return
	}
	if errors.Is(err, device.ErrSoon) && s.conf.Rate > 0 {
		return // Renew or Retry is called
	}
	s.opened(s.silence(err))
}

// opened takes note that the device is open and runs at conf.
func (s *Sink) opened(conf device.Config) {
	s.open, s.idleSince, s.reach, s.midway = true, 0, 0, false
	s.configure(conf)
	s.gains.settle()
}

// silence puts the null device in the place of one that failed with err.
func (s *Sink) silence(err error) device.Config {
	if (s.trouble == nil || s.trouble.Error() != err.Error()) && !errors.Is(err, device.ErrNotYet) {
		s.log("%s cannot play: %v; playing into silence until it can", s.wanted.Name(), err)
	}
	defer s.changed()
	s.trouble, s.failed, s.looked = err, s.clock.Now(), s.clock.Now()
	err = nil
	if s.device == s.wanted {
		s.device, err = device.New("null", s.clock)
	}
	conf, err2 := s.device.Open()
	if err := errors.Join(err, err2); err != nil {
		panic(fmt.Sprintf("the null device: %v", err)) // there is nothing in it that could fail
	}
	return conf
}

// configure makes the buffers for a device that runs at conf.
func (s *Sink) configure(conf device.Config) {
	same := conf.Rate == s.conf.Rate && conf.Channels.String() == s.conf.Channels.String()
	s.conf, s.pending, s.fading = conf, nil, nil
	s.slack, s.xruns = 0, s.device.Stats().Xruns
	s.limiter, s.dither = pcm.NewLimiter(len(conf.Channels), conf.Rate), s.quality.dither(conf.Bits)
	if !same {
		for _, t := range s.taps {
			t.retune()
		}
		s.mix = make([]float32, quantum*len(conf.Channels))
		s.usual = pcm.NewResampler(s.quality.Resampler, 1, usualRate(conf.Rate), conf.Rate)
		for _, in := range s.inputs {
			in.ahead = ahead{}
			in.connect()
		}
	}
	for _, in := range s.inputs {
		in.keeps()
	}
	s.use(s.device)
	s.fit(len(conf.Channels))
	s.retarget()
}

// usualRate is the rate of most sound that is not at the device's. A filter is worked out for it before anybody plays, and with it what
// all filters share: ten million instructions, for which no stream that plays should have to wait.
func usualRate(device int) int {
	if device == 44100 {
		return 48000
	}
	return 44100
}

func (s *Sink) stop() {
	if !s.open {
		return
	}
	if err := s.device.Close(); err != nil {
		s.log("%s: %v", s.device.Name(), err)
	}
	s.timer.Stop()
	s.open, s.pending, s.slack = false, nil, 0
	for _, t := range s.taps {
		t.turned()
	}
	for _, in := range s.inputs {
		in.heard(s.rendered) // nothing more is, of what was rendered
	}
}

// Renew opens the device anew, and what plays goes on there: it is to be had again, or runs otherwise than it said.
func (s *Sink) Renew() {
	playing := s.inUse()
	s.recall()
	s.stop()
	if s.suspended {
		return
	}
	if s.start(); !playing {
		s.stop()
	} else if s.open {
		s.sleep(0)
	}
}

// Retry opens the device anew if something plays: it is to be had now, or not any more.
func (s *Sink) Retry() {
	if s.inUse() {
		s.Renew()
	}
}

// inUse reports whether the device is open, or should be: for an input that plays, or for the end of one that came from elsewhere.
func (s *Sink) inUse() bool {
	return s.open || !s.suspended && (len(s.running) > 0 || s.heard() < s.lastSound)
}

// Resize takes note that the device, which goes on at the same rate and channels, holds and needs otherwise than it said.
func (s *Sink) Resize(conf device.Config) {
	if s.device != s.wanted {
		return
	}
	s.conf = conf
	s.slack, s.xruns = 0, s.device.Stats().Xruns
	s.refit()
	if s.open && !s.suspended {
		s.sleep(0)
	}
}

// refit grants all inputs anew what they asked for, and tells those for which that has changed.
func (s *Sink) refit() {
	for _, in := range s.inputs {
		if in.fit() {
			in.listener.Resized()
			in.changed()
		}
	}
	s.retarget()
}

// Suspend lets the device go and holds all streams where they are, or lets them go on.
func (s *Sink) Suspend(suspended bool) {
	if s.suspended == suspended {
		return
	}
	s.suspended = suspended
	if suspended {
		s.recall()
		s.stop()
	} else if len(s.running) > 0 {
		s.kick()
	}
}

// kick makes the next turn of the loop mix what there is room for.
func (s *Sink) kick() {
	if s.suspended {
		return
	}
	if s.start(); s.open {
		s.sleep(0)
	}
}

// sleep has the cycle run after d.
func (s *Sink) sleep(d time.Duration) {
	s.due = s.clock.Now() + d
	s.timer.Set(s.due)
}

// retarget sets how far ahead to write: as little as the least patient running input was granted, and no further than usual for monitors.
func (s *Sink) retarget() {
	least := s.grant(maxLatency)
	if len(s.running) > 0 && len(s.taps) == 0 {
		least = s.grant(s.running[0].wish)
	}
	for _, in := range s.running {
		least = min(least, s.grant(in.wish))
	}
	s.latency = s.frames(least)
}

// unheard is the number of frames rendered and not yet heard.
func (s *Sink) unheard() int {
	if !s.open {
		return 0
	}
	queued, err := s.device.Queued()
	if err != nil {
		return 0 // the next wake-up deals with it
	}
	return max(0, queued) + s.backlog()
}

// heard is how many of the rendered frames have reached the ear.
func (s *Sink) heard() int64 { return s.rendered - int64(s.unheard()) }

func (s *Sink) backlog() int { return len(s.pending) / len(s.conf.Channels) }

// wake is the audio cycle: fill the device up to the latency in force, and sleep until that is nearly heard.
func (s *Sink) wake() {
	queued, err := s.device.Queued()
	if err != nil {
		s.lose(err)
		return
	}
	if s.device != s.wanted {
		look(s.wanted, s.clock.Now(), &s.looked)
	}
	if s.learn() {
		s.sleep(0) // what is queued may have been taken back for it
		return
	}
	if queued == 0 && s.conf.Margin > 0 { // opened, or run dry
		s.settled = s.clock.Now() + startTime
	}
	queued += s.backlog()
	heard := s.rendered - int64(max(0, queued))
	for _, in := range s.inputs {
		in.heard(heard)
	}
	if len(s.running) == 0 && s.rest(heard) {
		return
	}
	if !s.midway {
		s.reach = max(2*s.reach, s.frames(maxLatency))
	}
	s.reach = min(s.latency, s.reach)
	if queued, err = s.fill(queued); err != nil {
		s.lose(err)
		return
	}
	s.until = s.clock.Now() + s.duration(max(0, queued))
	if s.midway {
		s.sleep(0)
		return
	}
	sleep := max(0, queued) - s.reserve()
	if s.clock.Now() < s.settled {
		sleep = min(sleep, s.conf.Margin)
	}
	s.sleep(max(s.duration(sleep), time.Millisecond))
}

// fill mixes and writes what is to be written ahead, beyond the frames queued, and returns how many are queued then. What takes long and is not
// urgent it leaves midway.
func (s *Sink) fill(queued int) (int, error) {
	s.midway = false
	began := s.clock.Now()
	now := began
	for queued < s.reach || len(s.pending) > 0 {
		if s.midway = now-began >= mostBusy && queued >= s.reserve(); s.midway {
			break
		}
		n := 0
		if len(s.pending) == 0 {
			if n = min(s.step(), s.room(queued)); n <= 0 {
				break // the rest when more has come
			}
			s.cycle(n)
			queued += n
		}
		taken, err := s.device.Write(s.pending)
		if err != nil {
			return queued, err
		}
		s.pending = s.pending[taken*len(s.conf.Channels):]
		if len(s.pending) > 0 {
			break // the device is full
		}
		before := now
		if now = s.clock.Now(); n > 0 {
			s.effort += ((now-before)*quantum/time.Duration(n) - s.effort) / 4
		}
	}
	return queued, nil
}

// step is how many frames to mix at once.
func (s *Sink) step() int {
	if s.effort <= mostBusy {
		return quantum
	}
	return max(fewest, int(quantum*mostBusy/s.effort))
}

// look has a device that could not be had, and is not played on since, looked at once a second.
func look(dev any, now time.Duration, looked *time.Duration) {
	if shared, ok := dev.(device.Shared); ok && now-*looked >= lookAgain {
		*looked = now
		shared.Look()
	}
}

// room is how many frames more are to be rendered now, beside those queued: up to the latency in force or, while there is still time for a client
// that is late, no more than all who play can give.
func (s *Sink) room(queued int) int {
	most := s.reach
	for _, in := range s.running {
		most = min(most, queued+in.supply())
	}
	return min(max(most, s.reserve()+s.frames(leastStep)), s.reach) - queued
}

// reserve is how many frames are still to be heard when the sink wakes: those the device needs or, where that is more, a third of
// what is written ahead, since the processor may be late. An ordinary process waits 12 ms for a slow one that starts other programs.
func (s *Sink) reserve() int {
	if s.conf.Margin == 0 {
		return 0
	}
	return max(s.conf.Margin+s.slack, s.reach/3)
}

// learn looks whether the last sleep was too long: the device ran dry or, since the processor was late, nearly did. From then on, and until
// the device is closed, more is held in reserve, whatever the clients wish for; they are told how much longer their buffers are to be
// for it. PulseAudio's ALSA sink raises its watermark and its least latency by such steps, too (increase_watermark). It reports whether it was so.
func (s *Sink) learn() bool {
	if s.conf.Margin == 0 {
		return false
	}
	step := s.frames(slackStep)
	late := max(0, s.clock.Now()-s.due)
	slack := (s.frames(min(late, mostLate)) - s.conf.Margin/2 + step - 1) / step * step
	if xruns := s.device.Stats().Xruns; xruns != s.xruns {
		s.xruns = xruns
		slack = max(slack, s.reserve()-s.conf.Margin+2*step)
	}
	slack = min(slack, s.frames(mostSlack), s.conf.Buffer-3*s.conf.Margin)
	if slack <= s.slack {
		return false
	}
	s.slack = slack
	s.log("%s: written %v late (%d xruns so far); from now on at least %v ahead", s.device.Name(), late.Round(time.Millisecond), s.xruns, s.grant(0))
	s.refit()
	return true
}

// cycle renders n frames into pending.
func (s *Sink) cycle(n int) {
	mix := s.mix[:n*len(s.conf.Channels)]
	clear(mix)
	for i := 0; i < len(s.running); i++ {
		in := s.running[i]
		if len(s.taps) > 0 {
			in.overheard(mix, n)
		} else {
			in.render(mix, n)
		}
		if !in.running { // it took itself out, and the last one its place
			i--
		}
	}
	if len(s.fading) > 0 {
		for i, x := range s.fading[:min(len(s.fading), len(mix))] {
			mix[i] += x
		}
		s.fading = s.fading[min(len(s.fading), len(mix)):]
		s.firm = s.rendered + int64(n)
	}
	s.rendered += int64(n)
	s.gains.amplify(mix, len(s.conf.Channels), s.frames(rampTime))
	s.peak.add(s.limiter.Limit(mix), s.clock.Now())
	for _, t := range s.taps {
		t.catchUp(mix, n)
	}
	s.dither.Add(mix)
	s.pending = mix
}

// rest is what wake does when no input runs: the device plays out, lingers on silence as long as it asks to, and is closed. It reports
// whether it was closed.
func (s *Sink) rest(heard int64) bool {
	now := s.clock.Now()
	if heard < s.lastSound {
		return false
	}
	if s.idleSince == 0 {
		s.idleSince = now
	}
	if now-s.idleSince < s.conf.Linger {
		return false
	}
	s.stop()
	return true
}

// lose deals with a device that failed while open: the inputs play on into silence, and the device is tried again when next needed.
func (s *Sink) lose(err error) {
	s.device.Close()
	if s.conf.Ahead > 0 && len(s.taps) == 0 { // what was not heard is heard elsewhere
		s.takeBack(min(s.frames(max(0, s.until-s.clock.Now())), int(s.rendered-s.firm)))
	}
	s.pending = nil
	s.configure(s.silence(err))
	s.sleep(0)
}

// run and halt put an input among the running ones and take it out.
func (s *Sink) run(in *Input) {
	s.recall()
	s.running = append(s.running, in)
	s.idleSince = 0
	if s.open && s.device != s.wanted && s.clock.Now()-s.failed >= startTime {
		s.Renew()
	}
	s.retarget()
	s.kick()
}

func (s *Sink) halt(in *Input) {
	last := len(s.running) - 1
	for i, other := range s.running {
		if other == in {
			s.running[i], s.running[last] = s.running[last], nil
			s.running = s.running[:last]
			break
		}
	}
	s.retarget()
}
