package mixer

import (
	"slices"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
)

// master is the volume of a sink or source: the hardware does what it can of it, the rest is done here.
type master struct {
	volume   []pcm.Volume // as it was set, for each channel…
	before   []pcm.Volume // …and as it was when the device in use had another number of them
	muted    bool
	gains    gains         // what of it is done here
	hardware device.Volume // of the device in use; nil where it has none
	ports    device.Ports  // of the device wanted; nil where it has none
	card     device.OnCard // the device wanted, where it is on one
	changed  func()        // see OnChange
	turning  func()        // called when gains are about to change; nil: nothing is to be done for it
}

// OnChange sets the one function that is called when the device has changed without being told to: its volume was turned by hand, something
// was plugged in, it was lost or is there again.
func (m *master) OnChange(changed func()) { m.changed = changed }

// Volume is the volume of each of the device's channels, and whether it is muted. The caller must not change it.
func (m *master) Volume() ([]pcm.Volume, bool) { return m.volume, m.muted }

// SetVolume sets each channel's volume; one value stands for all. It stays when the device is closed.
func (m *master) SetVolume(v []pcm.Volume) error {
	if err := setVolume(m.volume, v); err != nil {
		return err
	}
	m.order()
	return nil
}

// SetMuted silences the device, or lets it be heard.
func (m *master) SetMuted(muted bool) {
	m.muted = muted
	m.order()
}

// Hardware tells whether the device has a volume of its own, which then does what it can.
func (m *master) Hardware() bool {
	if m.hardware == nil {
		return false
	}
	_, _, ok := m.hardware.Volume()
	return ok
}

// listen takes up the volume that the hardware of dev, the device wanted, has by itself, now and whenever it is turned by hand, and hears of
// its ports and of its card.
func (m *master) listen(dev any) {
	m.card, _ = dev.(device.OnCard)
	if p, ok := dev.(device.Ports); ok {
		m.ports = p
		p.OnPorts(func() { m.changed() })
	}
	if v, ok := dev.(device.Volume); ok {
		v.OnVolume(m.turned)
		m.turned(true)
	}
	m.gains.settle()
}

// use has the volume be that of dev, the device in use now.
func (m *master) use(dev any) { m.hardware, _ = dev.(device.Volume) }

// fit makes the volume one of n channels: that of the device that had as many before, unless it was turned since.
func (m *master) fit(n int) {
	if len(m.volume) != n {
		volume := m.before
		if len(volume) != n || loudest(volume) != loudest(m.volume) {
			volume = slices.Repeat([]pcm.Volume{loudest(m.volume)}, n)
		}
		m.volume, m.before = volume, m.volume
	}
	m.aim()
}

// order hands the volume to the hardware, where there is one, and does the rest.
func (m *master) order() {
	if m.hardware != nil {
		gain := make([]float32, len(m.volume))
		for i, volume := range m.volume {
			gain[i] = volume.Linear()
		}
		m.hardware.SetVolume(gain, m.muted)
	}
	m.aim()
}

// aim works out what is left to do here: what the hardware is too loud by, never what it is too soft by, or a card that is slow would be loud
// for a moment.
func (m *master) aim() {
	var hardware []float32
	if m.hardware != nil {
		if gain, _, ok := m.hardware.Volume(); ok {
			hardware = gain
		}
	}
	for i, volume := range m.volume {
		g := volume.Linear()
		switch {
		case m.muted:
			g = 0
		case i < len(hardware) && hardware[i] > 0:
			g = min(g/hardware[i], max(g, 1))
		}
		m.gains.aim(i, g)
	}
	if m.gains.ramping && m.turning != nil {
		m.turning()
	}
}

// turned is called by the device when its hardware is where it should be, or where somebody else has put it: then that is the volume.
func (m *master) turned(foreign bool) {
	if m.hardware == nil {
		return
	}
	if gain, muted, ok := m.hardware.Volume(); ok && foreign && len(gain) == len(m.volume) {
		for i, g := range gain {
			m.volume[i] = min(pcm.VolumeOf(g), Loudest)
		}
		m.muted = muted
	}
	m.aim()
	if foreign {
		m.changed()
	}
}

// amplify puts the gains on buf, frames of n channels; a change takes ramp of them.
func (g *gains) amplify(buf []float32, n, ramp int) {
	if g.unity(n) {
		return
	}
	if g.ramping {
		first := min(len(buf), max(1, ramp)*n)
		pcm.Scale(buf[:first], n, g.now[:n], g.to[:n])
		buf = buf[first:]
		g.settle()
	}
	pcm.Scale(buf, n, g.to[:n], g.to[:n])
}
