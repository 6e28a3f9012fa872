package device

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/pcm"
)

// format is an encoding by the kernel's number and by ours.
type format struct {
	card alsa.PcmFormat
	ours pcm.Format
}

// formats are the encodings a card may want, best first.
var formats = []format{
	{alsa.SNDRV_PCM_FORMAT_S32_LE, pcm.S32LE},
	{alsa.SNDRV_PCM_FORMAT_FLOAT_LE, pcm.Float32LE},
	{alsa.SNDRV_PCM_FORMAT_S24_LE, pcm.S24In32LE},
	{alsa.SNDRV_PCM_FORMAT_S24_3LE, pcm.S24LE},
	{alsa.SNDRV_PCM_FORMAT_S32_BE, pcm.S32BE},
	{alsa.SNDRV_PCM_FORMAT_FLOAT_BE, pcm.Float32BE},
	{alsa.SNDRV_PCM_FORMAT_S24_BE, pcm.S24In32BE},
	{alsa.SNDRV_PCM_FORMAT_S24_3BE, pcm.S24BE},
	{alsa.SNDRV_PCM_FORMAT_S16_LE, pcm.S16LE},
	{alsa.SNDRV_PCM_FORMAT_S16_BE, pcm.S16BE},
	{alsa.SNDRV_PCM_FORMAT_U8, pcm.U8},
	{alsa.SNDRV_PCM_FORMAT_MU_LAW, pcm.ULaw},
	{alsa.SNDRV_PCM_FORMAT_A_LAW, pcm.ALaw},
}

// negotiate asks what p can do and opens it with the best of that: stereo if it can, at 48 kHz, else at 44.1, else near, with a buffer of
// about half a second. gen2brain/alsa fixes the number of periods and the least size of one; what does not suit the card fails with EINVAL.
func negotiate(p endpoint) (*alsa.PCM, format, error) {
	can, err := alsa.PcmParamsGet(uint(p.card.ID), uint(p.device.ID), p.flag())
	if err != nil {
		return nil, format{}, err
	}
	f := slices.IndexFunc(formats, func(f format) bool { return can.FormatIsSupported(f.card) })
	if f < 0 {
		return nil, format{}, errors.New("it knows none of the PCM formats there are")
	}
	channels := nearest(can, alsa.SNDRV_PCM_HW_PARAM_CHANNELS, 2)
	if channels > pcm.MaxChannels {
		return nil, format{}, fmt.Errorf("it works with no less than %d channels at once, and %d are served", channels, pcm.MaxChannels)
	}
	rates := [...]uint32{48000, 44100, nearest(can, alsa.SNDRV_PCM_HW_PARAM_RATE, 48000)}
	for i, rate := range rates {
		handle, err := fit(p, alsa.Config{Format: formats[f].card, Channels: channels, Rate: rate})
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return nil, format{}, err
		}
		if err != nil {
			continue
		}
		// The card may have chosen the next rate above; that will do when nothing else is left.
		if got := handle.Rate(); got == rate || i == len(rates)-1 && got <= pcm.MaxRate {
			return handle, formats[f], nil
		}
		handle.Close()
	}
	return nil, format{}, fmt.Errorf("it accepts no combination of %s, %d channels and any rate up to %d Hz", formats[f].ours, channels, pcm.MaxRate)
}

func (p endpoint) flag() alsa.PcmFlag {
	if p.capture() {
		return alsa.PCM_IN
	}
	return alsa.PCM_OUT
}

// fit opens with the largest buffer up to cardBuffer that the card accepts, in as many periods as come nearest to cardPeriod.
func fit(p endpoint, c alsa.Config) (handle *alsa.PCM, err error) {
	for buffer := uint32(framesIn(cardBuffer, int(c.Rate))); buffer >= 64; buffer /= 2 {
		for _, periods := range []uint32{uint32(cardBuffer / cardPeriod), 8, 4, 2} {
			c.PeriodCount, c.PeriodSize = periods, buffer/periods
			handle, err = alsa.PcmOpen(uint(p.card.ID), uint(p.device.ID), p.flag()|alsa.PCM_NONBLOCK|alsa.PCM_MONOTONIC, &c)
			if err == nil || !errors.Is(err, unix.EINVAL) {
				return handle, err
			}
		}
	}
	return nil, err
}

// nearest is the value in the card's range for an interval parameter that comes nearest to want.
func nearest(can *alsa.PcmParams, param alsa.PcmParam, want uint32) uint32 {
	low, _ := can.Min(param)
	high, _ := can.Max(param)
	return max(low, min(want, high))
}
