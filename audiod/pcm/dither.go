package pcm

// Dither readies sound for few bits. Rounding bends what is soft, and swallows what is softer than half a step; with noise added before, of two steps
// from end to end and falling off evenly to both sides (TPDF), what rounding leaves is a steady hiss instead, under which sound goes on
// undistorted: for 16 bits 96 dB below full scale. Sound that lies on the steps already goes through bit for bit, and so does silence.
//
// Only one goroutine may use a Dither at a time.
type Dither struct {
	steps float32 // from 0 to full scale
	state uint64  // of a linear congruential generator (Knuth's MMIX)
}

// NewDither makes a Dither for samples of so many bits, or nil, which adds nothing, where these are so many that none is of use: more than
// 16, or those of floats, which Format.Bits counts as 0.
func NewDither(bits int) *Dither {
	if bits < 1 || bits > 16 {
		return nil
	}
	return &Dither{steps: float32(int(1) << (bits - 1)), state: 1}
}

// Add adds the noise to buf, unless all of it lies on the steps.
func (d *Dither) Add(buf []float32) {
	if d == nil || d.exact(buf) {
		return
	}
	state, scale := d.state, 1/d.steps/(1<<16)
	for i := range buf {
		state = state*6364136223846793005 + 1442695040888963407
		// Two even distributions, of the upper bits, which are the better ones: their difference is spread as a triangle.
		one, other := int32(state>>48), int32(state>>32&0xFFFF)
		buf[i] += float32(one-other) * scale
	}
	d.state = state
}

// exact reports whether rounding would change nothing.
func (d *Dither) exact(buf []float32) bool {
	for _, x := range buf {
		if v := x * d.steps; v != float32(int32(v)) {
			return false
		}
	}
	return true
}
