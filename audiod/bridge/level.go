package bridge

import (
	"slices"
	"strings"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

// level is the volume and mute of a stream at the server, the very knob that the owner's mixer shows for it. It is what makes a Sink and a Source
// a device.Volume.
//
//	SetVolume ─► SET_…_VOLUME, SET_…_MUTE ─► the server
//	OnVolume ◄── GET_…_INFO ◄── event: the stream has changed
//
// What the server remembers of the stream stands when that is made: nothing is set before it has been told of. Later the last word counts, whosesoever.
type level struct {
	server *Link
	input  bool   // of a source output
	index  uint32 // of that or of the sink input; Invalid while there is none
	ready  func() // called once, when the volume is known, or the server has none

	volume  []pcm.Volume // nil: not known
	muted   bool
	told    bool // of what was there at first
	due     bool // an answer is…
	overdue bool // …and out of date when it comes
	turned  func(foreign bool)
}

func newLevel(l *Link, input bool) level {
	return level{server: l, input: input, index: native.Invalid, turned: func(bool) {}}
}

// begin takes up the volume of a new stream, and has ready called.
func (v *level) begin(index uint32, ready func()) {
	v.index, v.ready, v.volume, v.told = index, ready, nil, false
	v.look()
}

// end says that there is no stream.
func (v *level) end() { v.index, v.ready, v.volume = native.Invalid, nil, nil }

// forget says that no answer will come any more, either.
func (v *level) forget() {
	v.end()
	v.due, v.overdue = false, false
}

// look asks the server where the volume is now.
func (v *level) look() {
	if v.due {
		v.overdue = true
		return
	}
	v.due, v.overdue = true, false
	op := native.OpGetSinkInputInfo
	if v.input {
		op = native.OpGetSourceOutputInfo
	}
	v.server.call(op, &native.ByIndex{Index: v.index}, v.looked)
}

func (v *level) looked(fields []byte, err error) {
	v.due = false
	if v.index == native.Invalid {
		return
	}
	if v.overdue {
		v.look()
		return
	}
	volume, muted := v.volume, v.muted
	if err == nil {
		volume, muted, err = v.read(fields)
	}
	if v.volume == nil && v.ready != nil && v.server.blank(volume) {
		volume = nil
	}
	if err == nil && len(volume) > 0 && (muted != v.muted || !slices.Equal(volume, v.volume)) {
		v.volume, v.muted = volume, muted
		if v.told {
			v.turned(true)
		}
	}
	if ready := v.ready; ready != nil {
		v.ready = nil
		ready()
		v.told = true
		v.turned(true)
	}
}

// blank reports whether volume, a stream's first, is none yet: PipeWire says 0 until it knows, and tells of the change then.
func (l *Link) blank(volume []pcm.Volume) bool {
	return strings.Contains(l.server.Name, "PipeWire") && !slices.ContainsFunc(volume, func(v pcm.Volume) bool { return v > 0 })
}

// read is the volume of an answer; none where the stream has no such thing.
func (v *level) read(fields []byte) (volume []pcm.Volume, muted bool, err error) {
	if v.input {
		var info native.SourceOutputInfo
		err = native.Decode(fields, v.server.version, &info)
		return info.Volume, info.Muted, err
	}
	var info native.SinkInputInfo
	err = native.Decode(fields, v.server.version, &info)
	return info.Volume, info.Muted, err
}

// SetVolume, Volume and OnVolume are as in device.Volume.
func (v *level) SetVolume(gain []float32, muted bool) {
	if !v.told || len(gain) != len(v.volume) {
		return
	}
	volume := make(native.CVolume, len(gain))
	for i, g := range gain {
		volume[i] = pcm.VolumeOf(g)
	}
	setVolume, setMute := native.OpSetSinkInputVolume, native.OpSetSinkInputMute
	if v.input {
		setVolume, setMute = native.OpSetSourceOutputVolume, native.OpSetSourceOutputMute
	}
	if !slices.Equal(volume, v.volume) {
		v.volume, v.overdue = volume, v.due
		v.server.call(setVolume, &native.SetVolume{Index: v.index, Volume: volume}, nil)
	}
	if muted != v.muted {
		v.muted, v.overdue = muted, v.due
		v.server.call(setMute, &native.SetMute{Index: v.index, Muted: muted}, nil)
	}
}

// Volume is where the knob is.
func (v *level) Volume() (gain []float32, muted, ok bool) {
	for _, volume := range v.volume {
		gain = append(gain, volume.Linear())
	}
	return gain, v.muted, v.volume != nil
}

// OnVolume sets the function that hears of it.
func (v *level) OnVolume(turned func(foreign bool)) { v.turned = turned }
