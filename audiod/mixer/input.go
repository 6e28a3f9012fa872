package mixer

import (
	"errors"
	"slices"
	"time"

	"sandbox-audio/audiod/pcm"
)

// Listener hears what the mixer has to say of one sink input: its session. The calls come from the loop, most of them out of the audio
// cycle, so they must neither wait nor allocate; none may call back into the mixer.
type Listener interface {
	// Wants asks for so many more bytes (REQUEST).
	Wants(bytes int)
	// Started tells that the first sound after a start or an underrun was taken (STARTED).
	Started()
	// Underrun tells once that the queue ran empty, and where (UNDERFLOW).
	Underrun(readIndex int64)
	// Drained tells that all there was has been heard, after Drain.
	Drained()
	// Resized tells that the device needs more ahead, and Attr has changed for it (PLAYBACK_BUFFER_ATTR_CHANGED).
	Resized()
}

// InputOptions says what a sink input is like.
type InputOptions struct {
	Spec    pcm.Spec
	Map     pcm.ChannelMap
	Attr    BufferAttr // as asked for
	Latency LatencyMode
	Corked  bool
	Volume  []pcm.Volume // one for each channel, one for all, or none for full volume
	Muted   bool
	Gain    []float32 // see Input.SetGain; none is 1
	Tunable bool      // its rate may change while it plays (PA_STREAM_VARIABLE_RATE)
	NoRemap bool      // channels go by number, not by position (PA_STREAM_NO_REMAP_CHANNELS)
	NoRemix bool      // channels without their own position on the device are not mixed into others (PA_STREAM_NO_REMIX_CHANNELS)
	Budget  *Budget   // what the queue's memory is taken from; nil: without limit
	Sync    *Input    // another input to be flushed, corked, triggered and drained together with, or nil
}

// Input is one stream into a sink (a sink input). Make it with Sink.NewInput.
type Input struct {
	sink     *Sink
	listener Listener
	opts     InputOptions
	queue    *queue
	wish     time.Duration // for the device's latency…
	latency  time.Duration // …and what was granted
	group    []*Input      // those synchronised with it, itself among them

	matrix    *pcm.Matrix    // nil where channels go straight through
	resampler *pcm.Resampler // nil at the device's rate
	own       gains          // of the stream's channels
	users     gains          // of the sink's channels

	corked   bool
	running  bool // among the sink's running inputs
	sounding bool // its time passes: it took sound in its last cycle or waits for nothing (prebuf 0)
	starved  bool // ran empty and said so, or has nothing to say because it never played
	draining bool
	end      int64 // of the sink's frames, where what the input has given so far ends; what the resampler still holds included
	ahead    ahead // what may have to be given again
	wait     int64 // of the sink's frames, before which it is silent: it is still heard where it was moved from

	playingFor uint64 // bytes of its time since it last started
	underruns  uint64
	peak       meter
}

// NewInput adds a sink input. It returns an error for a spec or map that cannot be played, and ErrBudget; attributes and volumes are bent to what is possible.
func (s *Sink) NewInput(opts InputOptions, listener Listener) (*Input, error) {
	if err := opts.Spec.Check(); err != nil {
		return nil, err
	}
	if err := opts.Map.Check(opts.Spec.Channels); err != nil {
		return nil, err
	}
	in := &Input{sink: s, listener: listener, opts: opts, corked: opts.Corked, starved: true}
	in.opts.Volume = slices.Repeat([]pcm.Volume{pcm.VolumeNorm}, int(opts.Spec.Channels))
	if len(opts.Volume) > 0 {
		if err := in.SetVolume(opts.Volume); err != nil {
			return nil, err
		}
	}
	in.aim()
	in.own.settle()
	in.users.settle()
	var start int64
	if opts.Sync != nil {
		start = opts.Sync.queue.read
	}
	var attr BufferAttr
	attr, in.latency = opts.Attr.fix(opts.Spec, opts.Latency, in.grant)
	var err error
	if in.queue, err = newQueue(attr, opts.Latency, opts.Spec.FrameSize(), opts.Spec.Format.Silence(), start, opts.Budget); err != nil {
		return nil, err
	}
	if in.group = []*Input{in}; opts.Sync != nil {
		in.join(opts.Sync)
	}
	in.connect()
	in.keeps()
	s.inputs = append(s.inputs, in)
	return in, nil
}

func (in *Input) join(other *Input) {
	group := append(slices.Clip(other.group), in)
	for _, member := range group {
		member.group = group
	}
}

// connect makes what lies between this input's frames and the device's, and the room a cycle needs for it.
func (in *Input) connect() {
	s, spec := in.sink, in.opts.Spec
	in.matrix, in.resampler = nil, nil
	in.aim()
	if m := in.matching(s.conf.Channels); !m.Identity() {
		in.matrix = m
	}
	if int(spec.Rate) != s.conf.Rate || in.opts.Tunable {
		in.resampler = pcm.NewResampler(s.quality.Resampler, min(int(spec.Channels), len(s.conf.Channels)), int(spec.Rate), s.conf.Rate)
	}
	in.makeRoom()
}

// makeRoom makes the sink's scratch large enough for what a cycle takes of this input.
func (in *Input) makeRoom() {
	s, need := in.sink, quantum
	if in.resampler != nil {
		need = max(need, in.resampler.Need(quantum)+1)
	}
	size := need * max(int(in.opts.Spec.Channels), len(s.conf.Channels))
	for i := range s.scratch {
		if len(s.scratch[i]) < size {
			s.scratch[i] = make([]float32, size)
		}
	}
}

// ErrFixedRate is returned for a stream that was not made to change its rate.
var ErrFixedRate = errors.New("not a stream of variable rate")

// SetRate plays what the stream takes from now on at another rate, without a step; its queue's indexes and attributes stay, in bytes. It
// returns ErrFixedRate unless the stream is Tunable, and another error for a rate that cannot be played.
func (in *Input) SetRate(rate uint32) error {
	spec := in.opts.Spec
	spec.Rate = rate
	switch err := spec.Check(); {
	case err != nil:
		return err
	case !in.opts.Tunable:
		return ErrFixedRate
	case rate == in.opts.Spec.Rate:
		return nil
	}
	in.opts.Spec = spec
	in.resampler.Retune(int(rate), in.sink.conf.Rate)
	in.makeRoom()
	return nil
}

func (in *Input) matching(to pcm.ChannelMap) *pcm.Matrix {
	switch {
	case in.opts.NoRemap:
		return pcm.MatchIndex(in.opts.Map, to)
	case in.opts.NoRemix:
		return pcm.MatchName(in.opts.Map, to)
	}
	return pcm.NewMatrix(in.opts.Map, to)
}

// Close takes the input out. What the device has of it and does not give back is still heard; the listener is not called again.
func (in *Input) Close() {
	in.recall()
	in.halt()
	in.queue.free()
	s := in.sink
	s.inputs = slices.DeleteFunc(s.inputs, func(other *Input) bool { return other == in })
	group := slices.DeleteFunc(slices.Clone(in.group), func(other *Input) bool { return other == in })
	for _, member := range group {
		member.group = group
	}
}

// Spec and Map are the client's own format and channel map.
func (in *Input) Spec() pcm.Spec      { return in.opts.Spec }
func (in *Input) Map() pcm.ChannelMap { return in.opts.Map }

// Attr is the buffer attributes in force, and the device latency that belongs to them.
func (in *Input) Attr() (BufferAttr, time.Duration) { return in.queue.attr, in.latency }

// SetAttr asks for other buffer attributes; Attr then tells what was granted.
func (in *Input) SetAttr(attr BufferAttr, mode LatencyMode) {
	in.opts.Attr, in.opts.Latency = attr, mode
	in.recall()
	in.fit()
	in.sink.retarget()
	in.changed()
}

// fit works out the attributes anew from what was asked for, and reports whether they changed.
func (in *Input) fit() bool {
	attr, latency := in.opts.Attr.fix(in.opts.Spec, in.opts.Latency, in.grant)
	if attr == in.queue.attr && latency == in.latency {
		return false
	}
	in.latency = latency
	in.queue.setAttr(attr, in.opts.Latency)
	in.keeps()
	return true
}

func (in *Input) grant(wish time.Duration) time.Duration {
	in.wish = wish
	return in.sink.grant(wish)
}

// Start lets a new input play, if it need not wait for anything. The listener is not called before.
func (in *Input) Start() { in.changed() }

// Missing is the number of bytes the client should send now, counted as asked for. A new input's first answer goes into the reply to its
// creation; later ones come by Listener.Wants.
func (in *Input) Missing() int { return in.queue.popMissing() }

// Write queues p at the write index. It reports false when some of it found no room and was dropped (OVERFLOW).
func (in *Input) Write(p []byte) bool {
	fits := in.queue.push(p)
	if !in.running {
		in.changed()
	}
	return fits
}

// SeekWrite moves the write index (pa_seek_mode_t).
func (in *Input) SeekWrite(offset int64, mode int) {
	in.queue.seek(offset, mode)
	in.changed()
}

// changed looks at what a change of queue or state means: bytes to ask for, or something to play.
func (in *Input) changed() {
	if !in.running && !in.corked && in.ready() {
		in.running = true
		in.sink.run(in)
	}
	if n := in.queue.popMissing(); n > 0 {
		in.listener.Wants(n)
	}
}

// ready tells whether there is something to play now.
func (in *Input) ready() bool {
	return in.queue.readable() || in.ahead.back > 0 && (in.draining || !in.queue.inPrebuf)
}

func (in *Input) halt() {
	if in.running {
		in.running, in.sounding = false, false
		in.sink.halt(in)
	}
}

// Cork holds the stream back, or lets it go. A corked stream keeps its place to the frame, and is filled while it waits.
func (in *Input) Cork(corked bool) {
	for _, member := range in.group {
		if member.corked == corked {
			continue
		}
		member.corked = corked
		if !member.draining { // or what is left might be too little to start with
			member.queue.forcePrebuf()
		}
		if corked {
			member.recall()
			member.halt()
			member.starved = true // silence that was asked for is no underrun
		}
		member.changed()
	}
}

// Corked tells whether the stream is held back.
func (in *Input) Corked() bool { return in.corked }

// Flush drops what is queued.
func (in *Input) Flush() {
	for _, member := range in.group {
		member.recall()
		member.queue.flush()
		member.forget()
		member.changed()
	}
}

// Prebuf makes the stream wait for prebuf bytes again before it goes on.
func (in *Input) Prebuf() {
	for _, member := range in.group {
		member.queue.forcePrebuf()
		member.changed()
	}
}

// Trigger ends the waiting for prebuf bytes, where there is anything to play.
func (in *Input) Trigger() {
	for _, member := range in.group {
		if !member.empty() {
			member.queue.inPrebuf = false
		}
		member.changed()
	}
}

// Drain asks to be told by Listener.Drained when all that is queued has been heard. It reports true, and does not call the listener,
// when that is so already.
func (in *Input) Drain() (done bool) {
	in.Trigger()
	if in.over(in.sink.heard()) {
		return true
	}
	in.draining = true
	return false
}

func (in *Input) empty() bool { return in.ahead.back == 0 && in.queue.length() < int64(in.queue.base) }

// over reports whether all there was has been heard, when that is so of the sink's frames up to upTo.
func (in *Input) over(upTo int64) bool {
	end := in.end
	if in.corked { // what the resampler holds is for later
		end = min(end, in.sink.rendered)
	}
	return in.empty() && end <= upTo
}

// heard is called at each wake-up with the sink's frames that have reached the ear.
func (in *Input) heard(upTo int64) {
	if in.draining && in.over(upTo) {
		in.draining = false
		in.listener.Drained()
	}
}

// Timing is a moment of a stream, for the client's clock: what libpulse and its users make of it is the stream's own time at the ear
// (pulse/stream.c, calc_time).
type Timing struct {
	Latency     time.Duration // from ReadIndex to the ear, resampler and device; while it does not play, what is still to be heard
	Playing     bool
	WriteIndex  int64  // bytes
	ReadIndex   int64  // bytes
	UnderrunFor uint64 // bytes of silence after the sound that Latency counts: none; all ones before the first sound
	PlayingFor  uint64 // bytes since the stream last started
}

// Timing is the stream's state now.
func (in *Input) Timing() Timing {
	s := in.sink
	owed := in.owed()
	t := Timing{Playing: in.sounding && !s.suspended, WriteIndex: in.queue.write, ReadIndex: in.queue.read - owed, PlayingFor: in.playingFor - min(in.playingFor, uint64(owed))}
	if t.Playing {
		t.Latency = s.duration(int(max(s.rendered, in.wait) - s.heard()))
		if in.resampler != nil {
			t.Latency += time.Duration(in.resampler.Delay() * float64(time.Second) / float64(in.opts.Spec.Rate))
		}
	} else {
		end := in.end
		if in.corked { // the rest is for later
			end = min(end, max(s.rendered, in.wait))
		}
		t.Latency = s.duration(int(max(0, end-s.heard())))
	}
	if in.playingFor == 0 {
		t.UnderrunFor = ^uint64(0)
	}
	return t
}

// InputState is what a person would want to know of a sink input.
type InputState struct {
	Timing    Timing
	Queued    time.Duration // in the stream's queue
	Underruns uint64
	Peak      float32 // as heard, of late, full scale 1
}

// State is what the input is and does now.
func (in *Input) State() InputState {
	return InputState{Timing: in.Timing(), Queued: in.opts.Spec.Duration(in.queue.length()), Underruns: in.underruns, Peak: in.peak.read(in.sink.clock.Now())}
}
