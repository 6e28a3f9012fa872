package audiod

import (
	"slices"
	"strings"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/session"
)

// devices are what the server's clients play on: those that were asked for, in step with the cards as they come and go. They belong to the
// loop's goroutine.
type devices struct {
	loop   *loop.Loop
	log    func(format string, args ...any)
	cards  *device.Cards
	server *session.Server
	specs  []string // as for device.NewSinks
	sinks  []sink
}

// sink is a device that clients play on.
type sink struct {
	device device.Sink
	mixer  *mixer.Sink
}

// openDevices gives the server the sinks that specs name, and from now on those of cards that are plugged in.
func openDevices(l *loop.Loop, specs []string, server *session.Server, log func(format string, args ...any)) (*devices, error) {
	all, err := device.NewSinks(specs, l)
	if err != nil {
		return nil, err
	}
	d := &devices{loop: l, log: log, cards: device.NewCards(l, log), server: server, specs: specs}
	for _, dev := range all {
		d.add(dev)
	}
	d.cards.OnChange(d.changed)
	return d, nil
}

// add and remove give a sink to the server and take it back.
func (d *devices) add(dev device.Sink) {
	d.cards.Connect(dev)
	s := sink{dev, mixer.NewSink(d.loop, dev, d.log)}
	d.sinks = append(d.sinks, s)
	d.server.AddSink(s.mixer)
}

func (d *devices) remove(gone func(device.Sink) bool) {
	d.sinks = slices.DeleteFunc(d.sinks, func(s sink) bool {
		if !gone(s.device) {
			return false
		}
		d.server.RemoveSink(s.mixer)
		s.mixer.Close()
		d.cards.Disconnect(s.device)
		return true
	})
}

// changed is called when a card has come or gone. What was asked for and is on it goes with it.
func (d *devices) changed(card string, there bool) {
	on := func(dev device.Sink) bool {
		return dev.Name() == "alsa:"+card || strings.HasPrefix(dev.Name(), "alsa:"+card+",")
	}
	if !there {
		d.log("sound card %s has gone", card)
		d.remove(on)
		return
	}
	d.log("sound card %s is there", card)
	wanted, err := device.NewSinks(d.specs, d.loop)
	if err != nil {
		d.log("%v", err)
		return
	}
	d.remove(on) // it was asked for before it was there
	for _, dev := range wanted {
		if on(dev) {
			d.add(dev)
		}
	}
	d.remove(func(dev device.Sink) bool { // the silence that auto is without cards, and names that mean another device now
		return !slices.ContainsFunc(wanted, func(w device.Sink) bool { return w.Name() == dev.Name() })
	})
}

// names is the devices for people, and written the files that they write.
func (d *devices) names() (text string, written []string) {
	var all []string
	for _, s := range d.sinks {
		state := s.mixer.State()
		all = append(all, state.Device+", "+state.Description)
		if file, ok := strings.CutPrefix(s.device.Name(), "wav:"); ok {
			written = append(written, file)
		}
	}
	return strings.Join(all, "; "), written
}

// close lets all devices go.
func (d *devices) close() {
	for _, s := range d.sinks {
		s.mixer.Close()
	}
	d.cards.Close()
}
