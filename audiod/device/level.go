package device

import "slices"

// level is the volume and mute of one direction of a card: of all its elements those on the path.
type level struct {
	hardware *hardware
	path     path
	muted    bool // as wanted, where the card has no switch for it
}

// set turns the path to the gains wanted, one for each channel, or the next above that it can do; and mutes it, or does not.
func (l *level) set(gain []float32, muted bool) {
	want := make([]centibel, len(gain))
	for i, g := range gain {
		want[i] = centibels(float64(g))
	}
	values, _ := l.path.split(want)
	for i, v := range l.path.volumes {
		l.hardware.set(v.element, values[i]...)
	}
	l.muted = muted
	on := 1
	if muted {
		on = 0
	}
	for i, s := range l.path.switches {
		if i == 0 || !muted { // one is enough to be silent, and all are needed not to be
			l.hardware.set(s, slices.Repeat([]int{on}, s.count)...)
		}
	}
	l.hardware.work()
}

// get is what the path is set to, for n channels.
func (l *level) get(n int) (gain []float32, muted bool) {
	var values [][]int
	for _, v := range l.path.volumes {
		values = append(values, l.hardware.values(v.element))
	}
	for _, c := range l.path.gains(values, n) {
		gain = append(gain, float32(c.linear()))
	}
	muted = l.muted && len(l.path.switches) == 0
	for _, s := range l.path.switches {
		muted = muted || slices.Max(l.hardware.values(s)) == 0
	}
	return gain, muted
}

// among reports whether one of the path's elements is among those turned.
func (l *level) among(t turned) bool {
	return slices.ContainsFunc(l.path.volumes, func(v volumeElement) bool { return t[v.id.numid] }) ||
		slices.ContainsFunc(l.path.switches, func(s element) bool { return t[s.id.numid] })
}
