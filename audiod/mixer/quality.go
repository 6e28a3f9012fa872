package mixer

import "sandbox-audio/audiod/pcm"

// Quality is what sound may cost beyond the usual; its zero value is the usual.
type Quality struct {
	Resampler pcm.Quality
	Dither    bool // what is neither there in 16 bits already nor to have more goes to them, or fewer, through a pcm.Dither
}

// dither is for samples of so many bits.
func (q Quality) dither(bits int) *pcm.Dither {
	if !q.Dither {
		return nil
	}
	return pcm.NewDither(bits)
}

// SetQuality says how the sink and its monitors treat sound, those made from now on. Call it before there are inputs.
func (s *Sink) SetQuality(q Quality) {
	s.quality = q
	s.dither = q.dither(s.conf.Bits)
	s.usual = pcm.NewResampler(q.Resampler, 1, usualRate(s.conf.Rate), s.conf.Rate)
}

// Quality is how the sink treats sound. Its dither is on where that is of use to the device.
func (s *Sink) Quality() Quality { return Quality{s.quality.Resampler, s.dither != nil} }

// SetQuality says how the source treats sound. Call it before there are outputs.
func (s *Source) SetQuality(q Quality) { s.quality = q }
