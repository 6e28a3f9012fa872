package device

import (
	"slices"
	"strings"

	"github.com/gen2brain/alsa"
)

// path is the volumes and switches that sound passes one after the other on its way through a card, PulseAudio's word. What else the card has,
// such as a loudspeaker's own level beneath Master, is left as it is.
type path struct {
	volumes  []volumeElement
	switches []element
}

// volumeElement is an element whose values are known in dB.
type volumeElement struct {
	element
	scale scale
}

// direction is what tells the elements of playback from those of capture.
type direction struct {
	volume, toggle string     // what their names end with
	stages         [][]string // by what they begin with: of each stage the first that is there
	aside          []string   // not on the way: what the card lets through or makes itself
}

var (
	playing = direction{" Playback Volume", " Playback Switch",
		[][]string{{"Master", "Hardware Master", "Speaker", "Headphone", "Headset", "Line Out", "Front", "Digital", "DAC"}, {"PCM"}},
		[]string{"Mic", "Line", "CD", "Aux", "Video", "Phone", "Beep", "PC Speaker", "Loopback", "Sidetone", "IEC958", "Monitor", "Mono", "Synth", "Surround", "Center", "LFE", "Side"}}
	capturing = direction{" Capture Volume", " Capture Switch",
		[][]string{{"", "Mic", "Headset", "Internal Mic", "Front Mic", "Digital", "ADC", "Line", "PCM"}}, nil}
)

// findPath picks the path of sound in a direction from a card's elements. scaleOf tells an element's dB; one without takes no part as a
// volume, but may as a switch.
func findPath(all []element, d direction, scaleOf func(element) (scale, error)) (p path) {
	find := func(name string, kind alsa.MixerCtlType) (element, bool) {
		i := slices.IndexFunc(all, func(e element) bool {
			return e.name == strings.TrimPrefix(name, " ") && e.kind == kind && e.adjustable() && e.id.index == 0
		})
		if i < 0 {
			return element{}, false
		}
		return all[i], true
	}
	take := func(name string) (found bool) {
		if e, ok := find(name+d.volume, alsa.SNDRV_CTL_ELEM_TYPE_INTEGER); ok {
			if s, err := scaleOf(e); err == nil {
				p.volumes, found = append(p.volumes, volumeElement{e, s}), true
			}
		}
		if e, ok := find(name+d.toggle, alsa.SNDRV_CTL_ELEM_TYPE_BOOLEAN); ok {
			p.switches, found = append(p.switches, e), true
		}
		return found
	}
	for _, stage := range d.stages {
		for _, name := range stage {
			if take(name) {
				break
			}
		}
	}
	if len(p.volumes)+len(p.switches) > 0 {
		return p
	}
	for _, e := range all { // a name that only this device has
		name, ok := strings.CutSuffix(e.name, d.volume)
		if !ok || slices.ContainsFunc(d.aside, func(a string) bool { return strings.HasPrefix(name, a) }) {
			continue
		}
		if take(name) {
			break
		}
	}
	return p
}

// adjustable reports whether e is a setting of the card's mixer.
func (e element) adjustable() bool { return e.id.iface == ifaceMixer && e.access&accessWrite != 0 }

// split turns the gains wanted for each channel into values for every volume of the path, and says what they come to: of each volume the
// next step above what those before it left to do. What is wanted beyond the path's range is not reached.
func (p path) split(want []centibel) (values [][]int, got []centibel) {
	got = make([]centibel, len(want))
	left := slices.Clone(want)
	for _, v := range p.volumes {
		set := make([]int, v.count)
		if apart := v.count > 1 && v.count >= len(want) && len(want) > 1; !apart {
			for i := range set {
				set[i] = v.scale.least(slices.Max(left), v.low, v.high)
			}
		} else {
			for i := range set {
				gain := slices.Max(left)
				if i < len(left) {
					gain = left[i]
				}
				set[i] = v.scale.least(gain, v.low, v.high)
			}
		}
		values = append(values, set)
		for i, gain := range v.gains(set, len(want)) {
			got[i] = got[i].plus(gain)
			left[i] = want[i].minus(got[i])
		}
	}
	return values, got
}

// gains are what the values of one volume put on each of n channels.
func (v volumeElement) gains(values []int, n int) []centibel {
	gains := make([]centibel, n)
	for i := range gains {
		gains[i] = v.scale.at(values[min(i, len(values)-1)])
	}
	return gains
}

// gains are what values, of every volume of the path, put on each of n channels.
func (p path) gains(values [][]int, n int) []centibel {
	gains := make([]centibel, n)
	for k, v := range p.volumes {
		for i, gain := range v.gains(values[k], n) {
			gains[i] = gains[i].plus(gain)
		}
	}
	return gains
}

// plus and minus add gains in which silence stays silence.
func (c centibel) plus(d centibel) centibel {
	if c <= noSound || d <= noSound {
		return noSound
	}
	return c + d
}

func (c centibel) minus(d centibel) centibel {
	if c <= noSound || d <= noSound {
		return noSound
	}
	return c - d
}
