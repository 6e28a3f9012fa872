package mixer

import (
	"math"
	"slices"

	"sandbox-audio/audiod/pcm"
)

// render adds n frames of the input to mix. It is the inside of the audio cycle.
func (in *Input) render(mix []float32, n int) {
	s := in.sink
	at := s.rendered
	if wait := int(in.wait - at); wait > 0 { // still playing where it was moved from
		wait = min(wait, n)
		at, n, mix = at+int64(wait), n-wait, mix[wait*len(s.conf.Channels):]
		if n == 0 {
			return
		}
	}
	if in.ahead.back > 0 {
		k := in.again(mix, n, at)
		at, n, mix = at+int64(k), n-k, mix[k*len(s.conf.Channels):]
		if n == 0 {
			return
		}
	}
	need := n
	if in.resampler != nil {
		need = in.resampler.Need(n)
	}
	src := s.scratch[0][:need*int(in.opts.Spec.Channels)]
	got := in.take(src, need)
	if got == 0 && need > 0 && in.end <= at {
		if in.queue.attr.Prebuf > 0 {
			in.halt()
			return
		}
		if in.resampler == nil { // which is to keep time, too
			return
		}
	}
	frames, uniform := in.convert(src, n)
	in.keep(frames, at, uniform || in.matrix == nil)
	in.sum(mix, frames, uniform)
	s.lastSound = at + int64(n)
	if got > 0 {
		in.end = at + int64(n-(need-got))
		if in.resampler != nil {
			held := in.resampler.Delay() - float64(need-got)
			in.end = s.lastSound + int64(math.Ceil(held*float64(s.conf.Rate)/float64(in.opts.Spec.Rate)))
		}
	}
}

// supply is how many frames the input can give before it runs dry; as many as anybody wants if it is dry already, or at its end.
func (in *Input) supply() int {
	if in.draining || in.starved || in.queue.inPrebuf {
		return math.MaxInt32
	}
	n := int(min(in.queue.length(), maxQueue)) / in.queue.base
	if in.resampler != nil {
		n = in.resampler.Gives(n)
	}
	return n + in.ahead.back + max(0, int(in.wait-in.sink.rendered))
}

// take fills src with need frames from the queue, and silence where there are none, and returns how many were real.
func (in *Input) take(src []float32, need int) (got int) {
	q := in.queue
	if q.inPrebuf && q.readable() {
		q.inPrebuf = false
	}
	channels := int(in.opts.Spec.Channels)
	for got < need && !q.inPrebuf {
		p := q.peek((need - got) * q.base)
		if len(p) == 0 {
			break
		}
		pcm.Decode(src[got*channels:], p, in.opts.Spec.Format)
		got += len(p) / q.base
		in.pass(len(p))
		in.starved = false
	}
	if got < need {
		clear(src[got*channels:])
		in.dry((need - got) * q.base)
	}
	if n := q.popMissing(); n > 0 {
		in.listener.Wants(n)
	}
	return got
}

// pass goes on by n bytes of the stream's time, the first of which start it.
func (in *Input) pass(n int) {
	if !in.sounding {
		in.sounding, in.playingFor = true, 0
		in.listener.Started()
	}
	in.playingFor += uint64(n)
	in.queue.drop(n)
}

// dry deals with a queue that gave n bytes less than the cycle needed: the stream stands still until it is filled again or, without prebuf,
// time passes and what comes late is not played.
func (in *Input) dry(n int) {
	q := in.queue
	at := q.read
	if q.attr.Prebuf > 0 {
		q.inPrebuf, in.sounding = true, false
	} else {
		in.pass(n) // and the silence counts as played
	}
	if in.starved {
		return
	}
	in.starved = true
	if !in.draining {
		in.underruns++
		in.listener.Underrun(at)
	}
}

// convert takes src, frames of the client's, to n frames at the device's rate and channels. They have the stream's own gains only where
// those are not uniform and belong to channels that are gone after the matrix.
func (in *Input) convert(src []float32, n int) (frames []float32, uniform bool) {
	s := in.sink
	channels, out := int(in.opts.Spec.Channels), len(s.conf.Channels)
	uniform = in.own.uniform(channels)
	if !uniform && in.matrix != nil {
		scaled := s.scratch[1][:len(src)]
		clear(scaled)
		in.add(scaled, src, channels, in.own.now[:channels], in.own.to[:channels])
		src = scaled
	}
	if in.matrix != nil && out <= channels {
		src = in.remap(src, channels, out)
	}
	if in.resampler != nil {
		resampled := s.scratch[2][:n*min(channels, out)]
		in.resampler.Process(resampled, src)
		src = resampled
	}
	if in.matrix != nil && out > channels {
		src = in.remap(src, channels, out)
	}
	return src, uniform
}

// sum adds src, which convert made, to mix.
func (in *Input) sum(mix, src []float32, uniform bool) {
	out := len(in.sink.conf.Channels)
	from, to := in.users.now, in.users.to
	for i := range out {
		switch {
		case in.matrix == nil:
			from[i], to[i] = from[i]*in.own.now[i], to[i]*in.own.to[i]
		case uniform:
			from[i], to[i] = from[i]*in.own.now[0], to[i]*in.own.to[0]
		}
	}
	in.add(mix, src, out, from[:out], to[:out])
	in.peak.add(pcm.Peak(src)*slices.Max(to[:out]), in.sink.clock.Now())
	in.own.settle()
	in.users.settle()
}

func (in *Input) remap(src []float32, from, to int) []float32 {
	if len(src) == 0 {
		return src
	}
	dst := in.sink.scratch[1]
	if &dst[0] == &src[0] {
		dst = in.sink.scratch[0]
	}
	dst = dst[:len(src)/from*to]
	in.matrix.Apply(dst, src)
	return dst
}

// add mixes src into dst, over rampTime from one gain to the other where they differ.
func (in *Input) add(dst, src []float32, channels int, from, to []float32) {
	if in.own.ramping || in.users.ramping {
		n := min(len(src), in.sink.frames(rampTime)*channels)
		pcm.MixInto(dst[:n], src[:n], channels, from, to)
		dst, src = dst[n:], src[n:]
	}
	pcm.MixInto(dst, src, channels, to, to)
}
