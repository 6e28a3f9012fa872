package mixer

import (
	"time"

	"sandbox-audio/audiod/device"
)

// A sink on a device that gives back what it has not played (device.Rewinder) writes far ahead while all who play are patient, and so wakes
// a few times a second. What each of them gave is kept meanwhile, at the device's rate but before any gain:
//
//	render ─► ahead ─► sum: gains ► add ─► mix ─► device
//	            ▲                                    │
//	            └── Sink.recall: somebody is in a hurry, or something is to change at once: what is not played yet is taken back
//
// and given once more, with whoever came meanwhile and by the gains that hold now. So what was taken from a queue is played once whatever
// happens, no resampler has to go back, and nothing clicks.

// ahead is the latest frames that an input gave, which it may have to give again.
type ahead struct {
	ring  []float32 // interleaved, in the device's channels; nil for an input that is not patient
	total int64     // frames kept so far, ever: the next goes to total modulo the ring
	held  int       // of the ring's frames, those that are good…
	back  int       // …and the latest of them that are to be given again
	end   int64     // of the sink's frames: where the last that was given, and not taken back, ends
	tail  int64     // frames that the resampler held when they were taken back
}

// keep holds on to frames that the input gives at a frame of the sink. What cannot be given again, if only since it is not known which gains are
// in it, is not taken back.
func (in *Input) keep(frames []float32, at int64, again bool) {
	s, a, channels := in.sink, &in.ahead, len(in.sink.conf.Channels)
	n := len(frames) / channels
	if a.ring == nil || !again {
		s.firm, a.held = at+int64(n), 0
		return
	}
	if at != a.end { // it gave nothing in between
		s.firm, a.held = max(s.firm, a.end), 0
	}
	a.held, a.end = min(len(a.ring)/channels, a.held+n), at+int64(n)
	for len(frames) > 0 {
		k := copy(a.part(a.total, n, channels), frames)
		frames, a.total, n = frames[k:], a.total+int64(k/channels), n-k/channels
	}
}

// part is the ring's frames from the given one on, up to n of them, fewer where the ring ends.
func (a *ahead) part(from int64, n, channels int) []float32 {
	i := int(from%int64(len(a.ring)/channels)) * channels
	return a.ring[i:min(len(a.ring), i+n*channels)]
}

// next is a copy of the first frames to be given again, up to n of them.
func (a *ahead) next(n, channels int) (frames []float32) {
	n = min(n, a.back)
	for from := a.total - int64(a.back); len(frames) < n*channels; {
		part := a.part(from, n-len(frames)/channels, channels)
		frames, from = append(frames, part...), from+int64(len(part)/channels)
	}
	return frames
}

// keeps has the input keep what it gives, if it is patient and the device gives back.
func (in *Input) keeps() {
	s := in.sink
	switch size := (s.conf.Ahead + quantum) * len(s.conf.Channels); {
	case s.patient(in.wish):
		if len(in.ahead.ring) != size {
			in.ahead = ahead{ring: make([]float32, size)}
		}
	case in.ahead.back == 0:
		in.ahead = ahead{}
	}
}

// again gives up to n of the frames that were taken back, from the sink's frame at on, and returns how many these were.
func (in *Input) again(mix []float32, n int, at int64) int {
	a, channels := &in.ahead, len(in.sink.conf.Channels)
	n = min(n, a.back)
	in.end = at + int64(a.back) + a.tail
	in.sink.lastSound = at + int64(n)
	for left := n; left > 0; {
		part := a.part(a.total-int64(a.back), left, channels)
		in.sum(mix, part, true)
		k := len(part) / channels
		a.back, left, mix = a.back-k, left-k, mix[len(part):]
	}
	a.end = at + int64(n)
	return n
}

// recalled has the input give again what it gave from the sink's frame from on, and run for that if it had come to its end.
func (in *Input) recalled(from int64) {
	a := &in.ahead
	k := a.end - from
	if k <= 0 || a.ring == nil {
		return
	}
	if a.back == 0 {
		a.tail = max(0, in.end-a.end)
	}
	if most := int64(a.held - a.back); k > most { // it began in between
		in.wait, k = from+k-most, most
	}
	a.back, a.end = a.back+int(k), a.end-k
	if !in.running && !in.corked && a.back > 0 {
		in.running = true
		in.sink.running = append(in.sink.running, in)
	}
}

// forget drops what was to be given again, as if the input had not taken it from its queue: the client's time goes back by as much.
func (in *Input) forget() {
	n := in.owed()
	in.queue.read, in.queue.write, in.queue.end = in.queue.read-n, in.queue.write-n, in.queue.end-n
	in.ahead.held, in.ahead.back, in.ahead.tail = 0, 0, 0
}

// owed is how many bytes of the client's are to be given again.
func (in *Input) owed() int64 {
	spec := in.opts.Spec
	n := int64(in.ahead.back) * int64(spec.Rate) / int64(in.sink.conf.Rate)
	return min(n, in.queue.read/int64(spec.FrameSize())) * int64(spec.FrameSize())
}

// patient tells whether who wishes for so much latency may be written far ahead.
func (s *Sink) patient(wish time.Duration) bool {
	return s.conf.Ahead > 0 && wish >= 2*s.duration(s.conf.Ahead)
}

// recall takes back what the device has not played, but for as much as it takes to write it anew. It is not for the audio cycle.
func (s *Sink) recall() {
	if s.conf.Ahead == 0 || !s.open || len(s.taps) > 0 {
		return
	}
	queued, err := s.device.Queued()
	if err != nil {
		s.lose(err)
		return
	}
	back := min(queued-s.frames(s.grant(0)), int(s.rendered-s.firm)-s.backlog())
	if back <= s.conf.Margin { // not worth the while
		return
	}
	n, err := s.device.(device.Rewinder).Rewind(back)
	switch {
	case err != nil:
		s.lose(err)
	case n == 0: // the card's driver does not give back after all
		s.conf.Ahead = 0
		s.retarget()
	default:
		s.takeBack(n + s.backlog())
		s.reach, s.midway = 0, false // or whoever has it done again and again would have all mixed again and again
		s.sleep(0)
	}
}

// recall is the sink's, where the input has a part in what is played.
func (in *Input) recall() {
	if in.ahead.end > in.sink.firm || in.running {
		in.sink.recall()
	}
}

// takeBack has the inputs give the last n frames again.
func (s *Sink) takeBack(n int) {
	s.pending = nil
	s.rendered -= int64(n)
	for _, in := range s.inputs {
		in.recalled(s.rendered)
	}
}
