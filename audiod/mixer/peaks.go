package mixer

// peaks makes one frame of as many as pass between two of a slower stream: the largest absolute value in each channel, as PulseAudio's
// "peaks" resampler. That is what meters show.
type peaks struct {
	channels int
	in, out  int // rates
	phase    int // of the frame under way, in 1/in of it
	largest  []float32
}

func newPeaks(channels, in, out int) *peaks {
	return &peaks{channels: channels, in: in, out: out, largest: make([]float32, channels)}
}

// reduce takes frames and returns those that are complete, in dst, which holds as many as src.
func (p *peaks) reduce(dst, src []float32) []float32 {
	n := 0
	for ; len(src) >= p.channels; src = src[p.channels:] {
		for c, x := range src[:p.channels] {
			p.largest[c] = max(p.largest[c], x, -x)
		}
		if p.phase += p.out; p.phase >= p.in {
			p.phase -= p.in
			n += copy(dst[n:], p.largest)
			clear(p.largest)
		}
	}
	return dst[:n]
}
