package audiod

import (
	"errors"
	"slices"
	"strings"

	"sandbox-audio/audiod/bridge"
	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/session"
)

// devices are what the server's clients play on and record from: those that were asked for, in step with the cards as they come and go. They belong to the
// loop's goroutine.
type devices struct {
	loop   *loop.Loop
	log    func(format string, args ...any)
	cards  *device.Cards
	server *session.Server

	quality                mixer.Quality
	sinkSpecs, sourceSpecs []string // as for device.NewSinks and device.NewSources
	sinks                  []sink
	sources                []source
	coming                 []device.Sink // of cards that have come, until it is known what they can do

	arbiter *reservations // of the owner's desktop; nil: there is none

	dials   int          // as Options.dials
	link    *bridge.Link // to the owner's sound server; nil: none is played at
	bridged []*session.Own
}

// sink is a device that clients play on.
type sink struct {
	device device.Sink
	mixer  *mixer.Sink
}

// source is a device that they record from.
type source struct {
	device device.Source
	mixer  *mixer.Source
}

// openDevices gives the server the sinks and sources that opts name, and from now on those of cards that are plugged in.
func openDevices(l *loop.Loop, opts Options, server *session.Server, log func(format string, args ...any)) (*devices, error) {
	d := &devices{loop: l, log: log, cards: device.NewCards(l, log), server: server, dials: opts.dials, sinkSpecs: slices.DeleteFunc(slices.Clone(opts.Devices), isBridge), sourceSpecs: opts.Sources,
		quality: mixer.Quality{Resampler: opts.Resampler, Dither: opts.Dither}}
	if len(d.sinkSpecs) < len(opts.Devices) {
		link, err := d.connect()
		if err != nil {
			return nil, err
		}
		d.bridge(link)
	}
	sinks, err := d.wantedSinks()
	if err != nil {
		return nil, err
	}
	sources, err := d.wantedSources()
	if err != nil {
		return nil, err
	}
	for _, dev := range sinks {
		d.add(dev)
	}
	for _, dev := range sources {
		d.addSource(dev)
	}
	d.cards.OnChange(d.changed)
	return d, nil
}

// wantedSinks and wantedSources are those that are asked for, as far as there are such now; at the owner's sound server aside.
func (d *devices) wantedSinks() ([]device.Sink, error) {
	if d.link != nil && len(d.sinkSpecs) == 0 {
		return nil, nil
	}
	return device.NewSinks(d.sinkSpecs, d.loop)
}

func (d *devices) wantedSources() ([]device.Source, error) {
	if d.listens() {
		return nil, nil
	}
	return device.NewSources(d.sourceSpecs, d.loop)
}

// listens tells whether the microphone is the owner's sound server's.
func (d *devices) listens() bool {
	return d.link != nil && (len(d.sourceSpecs) == 0 || slices.Equal(d.sourceSpecs, []string{auto}))
}

// connect makes a link to the owner's sound server.
func (d *devices) connect() (*bridge.Link, error) {
	dial, err := dialer(d.loop, d.dials)
	if err != nil {
		return nil, err
	}
	link := bridge.New(d.loop, "sandbox-audio", d.log)
	link.Connect(d.loop, dial)
	return link, nil
}

// bridge lets clients play at the owner's sound server and record from it: each helper by streams of his own, and everybody else by one more of each.
func (d *devices) bridge(link *bridge.Link) {
	d.link = link
	shared := d.streams("owner", "sandbox-audio")
	d.server.AddSink(shared.Sink)
	if shared.Source != nil {
		d.server.AddSource(shared.Source)
	}
	d.server.Personal(func(user string) *session.Own { return d.streams(user, user) })
	d.server.Prefer(shared.Sink)
}

// cross has everything played at the owner's sound server, which has come, and recorded from it: from now on that has the cards. Until it has let us
// in they play on, since a socket may be there for a server that cannot start.
func (d *devices) cross() {
	link, err := d.connect()
	if err != nil {
		d.log("the owner's sound server is there, but cannot be used: %v", err)
		return
	}
	link.OnUp(func() {
		if d.link != nil {
			return
		}
		d.log("the owner's sound server is there, and plays from now on")
		d.bridge(link)
		d.sinkSpecs, d.coming = nil, nil
		d.remove(func(device.Sink) bool { return true })
		if d.listens() {
			d.removeSources(func(string) bool { return true })
		}
	})
}

// sounding reports whether something plays or records, or did so moments ago.
func (d *devices) sounding() bool {
	return slices.ContainsFunc(d.sinks, func(s sink) bool { return s.mixer.Sounding() }) ||
		slices.ContainsFunc(d.sources, func(s source) bool { return s.mixer.Recording() }) ||
		slices.ContainsFunc(d.bridged, func(o *session.Own) bool { return o.Sink.Sounding() || o.Source != nil && o.Source.Recording() })
}

// streams are those of one user at the owner's sound server.
func (d *devices) streams(name, title string) *session.Own {
	out := d.link.NewSink(name, title)
	sink := mixer.NewSink(d.loop, out, d.log)
	sink.SetQuality(d.quality)
	out.OnChange(sink.Renew)
	out.OnResize(sink.Resize)
	own := &session.Own{Sink: sink, Playing: func(t session.Title) { out.Show(t.Name, t.What, t.Icon) }, Recording: func(session.Title) {}}
	if d.listens() {
		in := d.link.NewSource(name, title)
		own.Source = mixer.NewSource(d.loop, in, d.log)
		own.Source.SetQuality(d.quality)
		in.OnChange(own.Source.Renew)
		own.Recording = func(t session.Title) { in.Show(t.Name, t.What, t.Icon) }
	}
	d.bridged = append(d.bridged, own)
	return own
}

// add and remove give a sink to the server and take it back.
func (d *devices) add(dev device.Sink) {
	d.cards.Connect(dev)
	s := sink{dev, mixer.NewSink(d.loop, dev, d.log)}
	s.mixer.SetQuality(d.quality)
	d.arbitrate(dev)
	d.cards.OpenAside(dev, s.mixer.Retry)
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

// addSource and removeSources do so with sources.
func (d *devices) addSource(dev device.Source) {
	d.cards.Connect(dev)
	s := source{dev, mixer.NewSource(d.loop, dev, d.log)}
	s.mixer.SetQuality(d.quality)
	d.arbitrate(dev)
	d.cards.OpenAside(dev, s.mixer.Renew)
	d.sources = append(d.sources, s)
	d.server.AddSource(s.mixer)
}

func (d *devices) removeSources(gone func(name string) bool) {
	d.sources = slices.DeleteFunc(d.sources, func(s source) bool {
		if !gone(s.device.Name()) {
			return false
		}
		d.server.RemoveSource(s.mixer)
		d.cards.Disconnect(s.device)
		return true
	})
}

// changed is called when a card has come or gone. What was asked for and is on it goes with it.
func (d *devices) changed(card string, there bool) {
	named := func(name string) bool { return name == "alsa:"+card || strings.HasPrefix(name, "alsa:"+card+",") }
	on := func(dev device.Sink) bool { return named(dev.Name()) }
	d.coming = slices.DeleteFunc(d.coming, on)
	if !there {
		d.log("sound card %s has gone", card)
		d.remove(on)
		d.removeSources(named)
		return
	}
	d.log("sound card %s is there", card)
	wanted, err := d.wantedSinks()
	if err != nil {
		d.log("%v", err)
		return
	}
	sources, err := d.wantedSources()
	if err != nil {
		d.log("%v", err)
		return
	}
	d.removeSources(named)
	for _, dev := range sources {
		if named(dev.Name()) {
			d.addSource(dev)
		}
	}
	d.remove(on) // it was asked for before it was there
	for _, dev := range wanted {
		if on(dev) {
			d.coming = append(d.coming, dev)
			d.cards.OpenAside(dev, func() { d.come(dev) })
			if _, err := dev.Open(); !errors.Is(err, device.ErrSoon) {
				d.come(dev)
			}
		}
	}
}

// come adds a sink that was coming: from then on its card, which is open now, need not be waited for. What is not asked for any more goes: the silence
// that auto is without cards, and names that mean another device now.
func (d *devices) come(dev device.Sink) {
	i := slices.Index(d.coming, dev)
	if i < 0 {
		return // it has gone already
	}
	d.coming = slices.Delete(d.coming, i, i+1)
	d.add(dev)
	wanted, err := d.wantedSinks()
	if err != nil {
		d.log("%v", err)
		return
	}
	d.remove(func(dev device.Sink) bool {
		return !slices.ContainsFunc(wanted, func(w device.Sink) bool { return w.Name() == dev.Name() })
	})
}

// reserve has cards agreed upon with the owner's desktop, from now on: for the moment in which a sink learns what its card can do nobody is asked.
func (d *devices) reserve(keeper *keeperLink) {
	d.arbiter = newReservations(d.loop, keeper.send, d.retry)
	keeper.card = d.arbiter.news
	for _, s := range d.sinks {
		d.arbitrate(s.device)
	}
	for _, s := range d.sources {
		d.arbitrate(s.device)
	}
}

func (d *devices) arbitrate(dev any) {
	if d.arbiter != nil {
		device.Arbitrate(dev, d.arbiter)
	}
}

// retry has all that is on a card of a number try to open it again, or let it go.
func (d *devices) retry(card int) {
	for _, s := range d.sinks {
		if device.IsOn(s.device, card) {
			s.mixer.Retry()
		}
	}
	for _, s := range d.sources {
		if device.IsOn(s.device, card) {
			s.mixer.Renew()
		}
	}
}

// names is the devices that play for people; written is the files that they write, and read those that sources read.
func (d *devices) names() (text string, written, read []string) {
	var all []string
	if d.link != nil {
		all = append(all, "pulse, the owner's sound server")
	}
	for _, s := range d.sinks {
		state := s.mixer.State()
		all = append(all, state.Device+", "+state.Description)
		if file, ok := strings.CutPrefix(s.device.Name(), "wav:"); ok {
			written = append(written, file)
		}
	}
	for _, s := range d.sources {
		if file, ok := strings.CutPrefix(s.device.Name(), "wav:"); ok {
			read = append(read, file)
		}
	}
	return strings.Join(all, "; "), written, read
}

// close lets all devices go.
func (d *devices) close() {
	for _, s := range d.sinks {
		s.mixer.Close()
	}
	for _, s := range d.sources {
		s.mixer.Close()
	}
	for _, own := range d.bridged {
		own.Sink.Close()
		if own.Source != nil {
			own.Source.Close()
		}
	}
	d.cards.Close()
}
