package mixer

import (
	"slices"
	"time"

	"sandbox-audio/audiod/pcm"
)

// Recorder hears from the mixer that a source output has something: its session. The call comes out of the audio cycle, so it must neither
// wait nor allocate, and of the mixer it may call Output.Ready and Output.Fetch only.
type Recorder interface {
	Captured()
}

// OutputOptions says what a source output is like.
type OutputOptions struct {
	Spec    pcm.Spec
	Map     pcm.ChannelMap
	Attr    RecordAttr // as asked for
	Latency LatencyMode
	Corked  bool
	Volume  []pcm.Volume // one for each channel, one for all, or none for full volume
	Muted   bool
	Tunable bool    // its rate may change while it records (PA_STREAM_VARIABLE_RATE)
	Budget  *Budget // what the queue's memory is taken from; nil: without limit
	NoRemap bool    // channels go by number, not by position (PA_STREAM_NO_REMAP_CHANNELS)
	NoRemix bool    // channels without their own position on the device are not mixed into others (PA_STREAM_NO_REMIX_CHANNELS)
	Peaks   bool    // each frame is the loudest of its time, for meters; the rate may be as low as 1 Hz (PA_STREAM_PEAK_DETECT)
}

// Output is one stream out of a source (a source output). Make it with Source.NewOutput.
type Output struct {
	source   *Source
	recorder Recorder
	opts     OutputOptions
	attr     RecordAttr
	latency  time.Duration // between two wake-ups of the source, as granted
	backlog  backlog

	matrix    *pcm.Matrix    // nil where channels go straight through
	resampler *pcm.Resampler // nil at the device's rate, and where peaks is not
	peaks     *peaks
	dither    *pcm.Dither
	gain      float32 // see SetGain
	gains     gains   // of the stream's channels
	corked    bool
	peak      meter
}

// NewOutput adds a source output. It returns an error for a spec or map that cannot be served, and ErrBudget; attributes and volumes are bent to what is
// possible. Nothing is recorded before Start.
func (s *Source) NewOutput(opts OutputOptions, recorder Recorder) (*Output, error) {
	spec := opts.Spec
	if opts.Peaks && spec.Rate > 0 {
		spec.Rate = max(spec.Rate, pcm.MinRate)
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if err := opts.Map.Check(opts.Spec.Channels); err != nil {
		return nil, err
	}
	o := &Output{source: s, recorder: recorder, opts: opts, corked: true, gain: 1, backlog: backlog{frame: opts.Spec.FrameSize(), budget: opts.Budget}}
	o.opts.Volume = slices.Repeat([]pcm.Volume{pcm.VolumeNorm}, int(opts.Spec.Channels))
	if len(opts.Volume) > 0 {
		if err := o.SetVolume(opts.Volume); err != nil {
			return nil, err
		}
	}
	o.aim()
	o.gains.settle()
	o.SetAttr(opts.Attr, opts.Latency)
	if usual := o.opts.Spec.Bytes(2 * o.latency); o.backlog.reserve(min(max(usual, o.backlog.frame), o.backlog.max)) == 0 {
		return nil, ErrBudget
	}
	s.outputs = append(s.outputs, o)
	o.connect()
	return o, nil
}

// Start lets a new output record, unless it was made corked. The recorder is not called before.
func (o *Output) Start() { o.Cork(o.opts.Corked) }

// connect makes what lies between the device's frames and this output's, and the room a quantum needs for it.
func (o *Output) connect() {
	s, spec := o.source, o.opts.Spec
	o.matrix, o.resampler, o.peaks, o.dither = nil, nil, nil, s.quality.dither(spec.Format.Bits())
	if m := o.matching(s.conf.Channels); !m.Identity() {
		o.matrix = m
	}
	switch channels := min(int(spec.Channels), len(s.conf.Channels)); {
	case o.opts.Peaks && int(spec.Rate) < s.conf.Rate:
		o.peaks = newPeaks(channels, s.conf.Rate, int(spec.Rate))
	case int(spec.Rate) != s.conf.Rate || o.opts.Tunable:
		o.resampler = pcm.NewResampler(s.quality.Resampler, channels, s.conf.Rate, int(spec.Rate))
	}
	o.makeRoom()
}

// makeRoom makes the source's scratch large enough for what becomes of a quantum here.
func (o *Output) makeRoom() {
	s, spec, most := o.source, o.opts.Spec, quantum
	if o.resampler != nil {
		held := o.resampler.Delay() // of which a new rate may let much go at once
		most = max(most, int((quantum+held)*float64(spec.Rate)/float64(s.conf.Rate))+2)
	}
	size := most * max(int(spec.Channels), len(s.conf.Channels))
	for i := range s.scratch {
		if len(s.scratch[i]) < size {
			s.scratch[i] = make([]float32, size)
		}
	}
}

func (o *Output) matching(from pcm.ChannelMap) *pcm.Matrix {
	switch {
	case o.opts.NoRemap:
		return pcm.MatchIndex(from, o.opts.Map)
	case o.opts.NoRemix:
		return pcm.MatchName(from, o.opts.Map)
	}
	return pcm.NewMatrix(from, o.opts.Map)
}

// Close takes the output out; the recorder is not called again. The device is closed with the last that runs.
func (o *Output) Close() {
	o.leave()
	o.backlog.free()
}

func (o *Output) leave() {
	s := o.source
	s.outputs = slices.DeleteFunc(s.outputs, func(other *Output) bool { return other == o })
	o.halt()
}

func (o *Output) halt() {
	s := o.source
	s.running = slices.DeleteFunc(s.running, func(other *Output) bool { return other == o })
	s.update()
}

// Cork holds the stream back, or lets it go on. What is heard meanwhile is not recorded.
func (o *Output) Cork(corked bool) {
	if o.corked == corked {
		return
	}
	if o.corked = corked; corked {
		o.halt()
	} else {
		o.run()
	}
}

// run begins with what is heard from now on: what waits in the device is for the others.
func (o *Output) run() {
	s := o.source
	s.flush()
	s.running = append(s.running, o)
	if s.device != s.wanted && s.clock.Now()-s.opened >= retryAfter {
		s.stop() // it is tried again
	}
	s.update()
}

// Corked tells whether the stream is held back.
func (o *Output) Corked() bool { return o.corked }

// Move has the stream record from another source. What the old one has heard until now fades out, and the new one fades in.
func (o *Output) Move(to *Source) {
	if to == o.source {
		return
	}
	running := !o.corked
	o.silence()
	o.source.flush()
	o.leave()
	o.source = to
	o.gains.settle()
	o.aim()
	to.outputs = append(to.outputs, o)
	o.connect()
	if o.SetAttr(o.opts.Attr, o.opts.Latency); running {
		o.run()
	}
}

// Flush drops what waits to be fetched.
func (o *Output) Flush() { o.backlog.flush() }

// Source is where the output records from; Spec and Map are the client's own format and channel map.
func (o *Output) Source() *Source     { return o.source }
func (o *Output) Spec() pcm.Spec      { return o.opts.Spec }
func (o *Output) Map() pcm.ChannelMap { return o.opts.Map }

// Attr is the buffer attributes in force, and how much the source gathers before it hands it on.
func (o *Output) Attr() (RecordAttr, time.Duration) { return o.attr, o.latency }

// SetAttr asks for other buffer attributes; Attr then tells what was granted.
func (o *Output) SetAttr(attr RecordAttr, mode LatencyMode) {
	o.opts.Attr, o.opts.Latency = attr, mode
	o.attr, o.latency = attr.fix(o.opts.Spec, mode, o.source.grant)
	o.backlog.limit(int(o.attr.MaxLength))
	if !o.corked {
		o.source.update()
	}
}

// SetRate records at another rate from now on, without a step; what waits keeps its own. It returns ErrFixedRate unless the stream is
// Tunable, and another error for a rate that cannot be served.
func (o *Output) SetRate(rate uint32) error {
	spec := o.opts.Spec
	spec.Rate = rate
	switch err := spec.Check(); {
	case err != nil:
		return err
	case !o.opts.Tunable:
		return ErrFixedRate
	}
	o.opts.Spec = spec
	if o.resampler == nil {
		o.connect()
		return nil
	}
	o.resampler.Retune(o.source.conf.Rate, int(rate))
	o.makeRoom()
	return nil
}

// Ready is the size of the next fragment in bytes, 0 when there is none.
func (o *Output) Ready() int { return min(o.backlog.length(), int(o.attr.FragSize)) }

// Fetch moves the next n bytes, whole frames and no more than Ready, to the end of dst.
func (o *Output) Fetch(dst []byte, n int) []byte { return o.backlog.appendNext(dst, n) }

// RecordTiming is a moment of a record stream, for the client's clock.
type RecordTiming struct {
	Latency    time.Duration // since the byte at WriteIndex was heard: device and resampler
	Recording  bool
	WriteIndex int64 // bytes that came
	ReadIndex  int64 // bytes that were fetched, or lost
}

// Timing is the stream's state now.
func (o *Output) Timing() RecordTiming {
	t := RecordTiming{Recording: !o.corked && o.source.open, WriteIndex: o.backlog.write, ReadIndex: o.backlog.read}
	if t.Recording {
		t.Latency = o.source.unread()
		if o.resampler != nil {
			t.Latency += time.Duration(o.resampler.Delay() * float64(time.Second) / float64(o.source.conf.Rate))
		}
	}
	return t
}

// Queued is what waits to be fetched, and Peak how loud the stream was of late, full scale 1.
func (o *Output) Queued() time.Duration { return o.opts.Spec.Duration(int64(o.backlog.length())) }
func (o *Output) Peak() float32         { return o.peak.read(o.source.clock.Now()) }

// Volume is the volume of each channel, and whether the stream is muted.
func (o *Output) Volume() ([]pcm.Volume, bool) { return o.opts.Volume, o.opts.Muted }

// SetVolume sets each channel's volume; one value stands for all.
func (o *Output) SetVolume(v []pcm.Volume) error {
	if err := setVolume(o.opts.Volume, v); err != nil {
		return err
	}
	o.aim()
	return nil
}

// SetMuted silences the stream, or lets it record.
func (o *Output) SetMuted(muted bool) {
	o.opts.Muted = muted
	o.aim()
}

// SetGain sets what multiplies with the stream's own volume, for its user's sake: the volume of the source as he has it.
func (o *Output) SetGain(gain float32) {
	o.gain = gain
	o.aim()
}

// aim works out the gains that volume, mute and the user's gain amount to; silence has them all go to 0.
func (o *Output) aim() {
	for i, v := range o.opts.Volume {
		g := v.Linear() * o.gain
		if o.opts.Muted {
			g = 0
		}
		o.gains.aim(i, g)
	}
}

func (o *Output) silence() {
	for i := range o.opts.Volume {
		o.gains.aim(i, 0)
	}
}

// take records frames of the device. It is the inside of the audio cycle.
func (o *Output) take(src []float32) {
	s := o.source
	from, to := len(s.conf.Channels), int(o.opts.Spec.Channels)
	if o.matrix != nil && to <= from {
		src = o.remap(src, from, to)
		from = to
	}
	switch {
	case o.peaks != nil:
		src = o.peaks.reduce(s.scratch[1], src)
	case o.resampler != nil:
		n, _ := o.resampler.Process(s.scratch[1][:len(s.scratch[1])/from*from], src)
		src = s.scratch[1][:n*from]
	}
	if o.matrix != nil && from < to {
		src = o.remap(src, from, to)
	}
	if len(src) == 0 {
		return
	}
	if !o.gains.unity(to) {
		src = append(s.scratch[2][:0], src...)
		o.gains.amplify(src, to, int(int64(rampTime)*int64(o.opts.Spec.Rate)/int64(time.Second)))
	}
	o.peak.add(pcm.Peak(src), s.clock.Now())
	if o.dither != nil {
		src = append(s.scratch[2][:0], src...) // others record the same frames
		o.dither.Add(src)
	}
	o.backlog.push(src, o.opts.Spec.Format)
}

func (o *Output) remap(src []float32, from, to int) []float32 {
	dst := o.source.scratch[0][:len(src)/from*to]
	o.matrix.Apply(dst, src)
	return dst
}
