package mixer

import (
	"slices"

	"sandbox-audio/audiod/pcm"
)

// Move takes the input to another sink, with all that is queued, and with it those that it is synchronised with. What the old device has of it
// is still heard there, and the new one takes up where that ends, so that the stream's clock goes on without a leap. Attr tells what the new sink
// grants.
func (in *Input) Move(to *Sink) {
	for _, member := range in.group {
		if member.sink != to {
			member.move(to)
		}
	}
}

func (in *Input) move(to *Sink) {
	from := in.sink
	alike := func() bool {
		return from.conf.Rate == to.conf.Rate && from.conf.Channels.String() == to.conf.Channels.String()
	}
	if alike() { // or what is taken back would be of no use there
		in.recall()
	}
	left := in.Timing().Latency
	in.fade()
	running, sounding := in.running, in.sounding
	in.halt()
	from.inputs = slices.DeleteFunc(from.inputs, func(other *Input) bool { return other == in })

	in.sink, in.sounding = to, sounding
	if !alike() {
		in.ahead = ahead{}
	}
	in.ahead.held = in.ahead.back
	in.connect()
	in.keeps()
	in.own.now, in.own.ramping = [len(in.own.now)]float32{}, true // comes up from silence
	in.users.settle()
	to.inputs = append(to.inputs, in)
	in.fit()

	// What is left over there is reckoned as if it were here.
	in.end = to.heard() + int64(to.frames(left))
	in.wait, in.ahead.end = in.end, in.end
	to.lastSound = max(to.lastSound, in.end)
	if in.running = running; running {
		to.run(in)
	} else if left > 0 {
		to.kick()
	}
	in.changed()
}

// fade has the sink that the input leaves end it softly: what comes next goes down to silence there, while it comes up where the input goes.
func (in *Input) fade() {
	s, q := in.sink, in.queue
	n := min(s.frames(rampTime), quantum)
	need := n
	if in.resampler != nil {
		need = in.resampler.Need(n)
	}
	down := func() { in.own.to, in.own.ramping = [len(in.own.to)]float32{}, true }
	tail := make([]float32, n*len(s.conf.Channels))
	if in.ahead.back > 0 {
		down()
		in.sum(tail, in.ahead.next(n, len(s.conf.Channels)), true)
	} else {
		p := q.peek(need * q.base)
		if !in.sounding || q.inPrebuf || len(p) < need*q.base {
			return // there is nothing to go down with
		}
		src := make([]float32, need*int(in.opts.Spec.Channels))
		pcm.Decode(src, p, in.opts.Spec.Format)
		down()
		frames, uniform := in.convert(src, n)
		in.sum(tail, frames, uniform)
	}
	for i, x := range s.fading[:min(len(s.fading), len(tail))] {
		tail[i] += x
	}
	s.fading, s.lastSound = tail, s.rendered+int64(n)
}
