package mixer

import "slices"

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
	left := max(0, from.duration(int(in.end()-from.rendered)+from.unheard()))
	running, sounding := in.running, in.sounding
	in.halt()
	from.inputs = slices.DeleteFunc(from.inputs, func(other *Input) bool { return other == in })

	in.sink, in.tail, in.sounding = to, 0, sounding
	in.connect()
	in.own.now, in.own.ramping = [len(in.own.now)]float32{}, true // comes up from silence
	in.users.settle()
	to.inputs = append(to.inputs, in)
	attr, latency := in.opts.Attr.fix(in.opts.Spec, in.opts.Latency, to.grant)
	in.latency = latency
	in.queue.setAttr(attr, in.opts.Latency)

	// What is left over there is reckoned as if it were here.
	in.from = to.rendered - int64(to.unheard())
	in.to, in.hole, in.moved = in.from+int64(to.frames(left)), hole{}, true
	to.lastSound = max(to.lastSound, in.to)
	if in.running = running; running {
		to.run(in)
	} else if left > 0 {
		to.kick()
	}
	in.changed()
}

// hole is a span of the sink's frames in which an input that was moved there had to be silent, because more than it was still playing elsewhere
// had been rendered already.
type hole struct{ from, to int64 }

// after is how many of the hole's frames come after the given one.
func (h hole) after(frame int64) int64 { return max(0, h.to-max(frame, h.from)) }
