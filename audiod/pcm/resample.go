package pcm

import "github.com/tphakala/simd/f32"

const (
	block = 512 // input frames the history takes beyond one filter length; few enough to stay in the first level cache
	back  = 16  // input frames it keeps before that, for Retune
)

// Resampler makes frames at one rate from frames at another. It is a polyphase windowed sinc: every output frame lies at some
// phase between two input frames, and the filter for that phase is a row of a table. Time is counted in whole input frames and
// a numerator, so the two rates never drift apart and the result does not depend on how the sound was cut into blocks.
//
// The first output frame is of the same instant as the first input frame. Only one goroutine may use a Resampler at a time.
type Resampler struct {
	channels int
	quality  Quality
	filter   *filter
	row      []float32 // for a filter between two rows of the table, where it does not have all

	history [][]float32 // for each channel the input not yet done with
	fill    int         // frames in history
	pos     int         // where in history the next output frame's filter begins
	phase   int64       // how far beyond pos it is, in 1/out of an input frame
	in, out int64       // the two rates, divided by what they have in common
}

// NewResampler returns a Resampler for 1 to MaxChannels interleaved channels between rates of MinRate to MaxRate frames per second.
// It is the only part that allocates; a filter is worked out once for all resamplers that can use it.
func NewResampler(quality Quality, channels, inRate, outRate int) *Resampler {
	common := gcd(inRate, outRate)
	r := &Resampler{
		channels: channels,
		quality:  quality,
		filter:   filterFor(quality, inRate/common, outRate/common),
		history:  make([][]float32, channels),
		in:       int64(inRate / common),
		out:      int64(outRate / common),
	}
	for c := range r.history {
		r.history[c] = make([]float32, 2*r.filter.taps+back+block)
	}
	if r.filter.rows != outRate/common {
		r.row = make([]float32, r.filter.taps)
	}
	r.Reset()
	return r
}

// Reset forgets all input, as if nothing had been played.
func (r *Resampler) Reset() {
	r.pos, r.phase = 0, 0
	r.fill = r.filter.taps/2 - 1
	for _, h := range r.history {
		clear(h[:r.fill])
	}
}

// Delay is how many input frames went in that lie after the last output frame, group delay and all. That many frames of silence
// push out the rest of a stream that ends.
func (r *Resampler) Delay() float64 {
	return float64(r.fill-r.pos-(r.filter.taps/2-1)) - float64(r.phase)/float64(r.out)
}

// Need is how many frames more must go in before frames can come out.
func (r *Resampler) Need(frames int) int {
	if frames <= 0 {
		return 0
	}
	last := int64(r.pos) + (r.phase+int64(frames-1)*r.in)/r.out
	return max(0, int(last)+r.filter.taps-r.fill)
}

// Gives is how many frames can come out when no more than so many go in.
func (r *Resampler) Gives(frames int) int {
	last := int64(r.fill + frames - r.pos - r.filter.taps)
	if last < 0 {
		return 0
	}
	return int(((last+1)*r.out-1-r.phase)/r.in) + 1
}

// Process takes interleaved frames from in and fills out until one of them ends. It takes no more than out needs:
// what it did not take must come again in the next call.
func (r *Resampler) Process(out, in []float32) (outFrames, inFrames int) {
	want, have := len(out)/r.channels, len(in)/r.channels
	for {
		outFrames += r.produce(out[outFrames*r.channels : want*r.channels])
		if outFrames == want || inFrames == have {
			return outFrames, inFrames
		}
		n := min(have-inFrames, r.Need(want-outFrames))
		inFrames += r.take(in[inFrames*r.channels : (inFrames+n)*r.channels])
	}
}

// take puts frames into the history, as many as it has room for, which is at least one block.
func (r *Resampler) take(in []float32) int {
	size := len(r.history[0])
	n := min(len(in)/r.channels, size-(r.fill-r.pos)-back)
	if r.fill+n > size {
		done := r.pos - back
		for _, h := range r.history {
			copy(h, h[done:r.fill])
		}
		r.fill -= done
		r.pos = back
	}
	if r.channels == 2 {
		f32.Deinterleave2(r.history[0][r.fill:r.fill+n], r.history[1][r.fill:r.fill+n], in)
	} else {
		for c, h := range r.history {
			h = h[r.fill : r.fill+n]
			for i := range h {
				h[i] = in[i*r.channels+c]
			}
		}
	}
	r.fill += n
	return n
}

// produce makes frames until out is full or the history too short.
func (r *Resampler) produce(out []float32) (frames int) {
	f := r.filter
	spare := int64(r.fill - r.pos - f.taps)
	if spare < 0 {
		return 0
	}
	// The last frame that can be made is the last whose filter begins no more than spare frames beyond pos.
	frames = int(min(int64(len(out)/r.channels), ((spare+1)*r.out-1-r.phase)/r.in+1))
	if r.row == nil {
		r.convolve(out, frames, walk{coef: f.coef, phase: int(r.phase), rest: int(r.in % r.out), rows: f.rows, whole: int(r.in / r.out)})
		r.advance(int64(frames))
		return frames
	}
	for k := range frames {
		f.between(r.row, float64(r.phase)/float64(r.out))
		r.convolve(out[k*r.channels:], 1, walk{coef: r.row, rows: 1})
		r.advance(1)
	}
	return frames
}

// convolve makes frames of all channels, two at a time.
func (r *Resampler) convolve(out []float32, frames int, w walk) {
	w.taps, w.stride, w.frames = r.filter.taps, r.channels, frames
	for c := 0; c < r.channels && frames > 0; c += 2 {
		w.second = min(1, r.channels-1-c)
		w.out, w.a, w.b = out[c:], r.history[c][r.pos:r.fill], r.history[c+w.second][r.pos:r.fill]
		w.run()
	}
}

// advance goes on by so many output frames.
func (r *Resampler) advance(frames int64) {
	r.phase += frames * r.in
	r.pos += int(r.phase / r.out)
	r.phase %= r.out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
