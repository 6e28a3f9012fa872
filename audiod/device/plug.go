package device

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
)

// Cards is the sound cards that are there, as they come and go, each with its mixer:
//
//	uevent about sound ─► look at /proc/asound ─► a card more: open its control node aside ─► Plugged
//	                            └─► one less ─► Unplugged
//	control node has news ─► hardware ─► the volume and ports of the card's sinks and sources
//
// The kernel tells of a card's nodes before it lists the card, and udev gives the rights to them a moment later: so after each event there are
// some more looks. Everything belongs to the loop's goroutine.
type Cards struct {
	loop    *loop.Loop
	log     func(format string, args ...any)
	uevents int
	watch   *loop.Watch
	look    *loop.Timer
	looks   int // since the last event

	there     map[string]*plugged // by id
	connected []*card
	changed   func(id string, there bool)
}

// plugged is a card that is there.
type plugged struct {
	alsa.SoundCard
	opening  bool
	info     cardInfo
	node     control
	watch    *loop.Watch
	hardware *hardware // nil when its control node cannot be opened
	levels   [2]*level // of playback and of capture
	ports    map[address]*ports
}

// When to look after an event: at once and, as long as something is missing, for six seconds.
var looks = []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond,
	800 * time.Millisecond, 1600 * time.Millisecond, 3 * time.Second}

// NewCards looks at the cards there are, and watches for those that come and go where the kernel lets it: log is told when not.
func NewCards(l *loop.Loop, log func(format string, args ...any)) *Cards {
	c := &Cards{loop: l, log: log, uevents: -1, there: map[string]*plugged{}, changed: func(string, bool) {}}
	c.look = l.NewTimer(c.scan)
	var err error
	if c.uevents, err = openUevents(); err == nil {
		c.watch, err = l.Watch(c.uevents, loop.Readable, c.news)
	}
	if err != nil {
		log("sound cards that are plugged in will not be noticed: %v", err)
	}
	list, _ := alsa.EnumerateCards()
	for _, card := range list {
		p := &plugged{SoundCard: card}
		c.there[card.Name] = p
		c.opened(p, p.open())
	}
	return c
}

// OnChange sets the one function that is called when a card has come, with its nodes open to this process if they ever will be, or has gone.
func (c *Cards) OnChange(changed func(id string, there bool)) { c.changed = changed }

// Connect makes dev, if it is a sink or source of a card, one with that card's volume and ports, whenever the card is there.
func (c *Cards) Connect(dev any) {
	pcm := cardIn(dev)
	if pcm == nil {
		return
	}
	c.connected = append(c.connected, pcm)
	for _, p := range c.there {
		p.lend(pcm)
	}
}

// Disconnect undoes Connect, for a sink or source that is not used any more.
func (c *Cards) Disconnect(dev any) {
	c.connected = slices.DeleteFunc(c.connected, func(pcm *card) bool { return pcm == cardIn(dev) })
}

// cardIn is the card's part of dev, nil where dev is not on a card.
func cardIn(dev any) *card {
	switch d := dev.(type) {
	case *player:
		return &d.card
	case *recorder:
		return &d.card
	}
	return nil
}

// Close ends the watching.
func (c *Cards) Close() {
	c.look.Stop()
	if c.watch != nil {
		c.watch.Close()
	}
	if c.uevents >= 0 {
		unix.Close(c.uevents)
	}
	for _, p := range c.there {
		p.close()
	}
}

func (c *Cards) news(loop.Events) {
	sound, err := readUevents(c.uevents)
	if err != nil {
		c.log("sound cards that are plugged in will not be noticed any more: %v", err)
		c.watch.Close()
	}
	if sound {
		c.again()
	}
}

func (c *Cards) again() {
	c.looks = 0
	c.look.Set(c.loop.Now())
}

// scan compares the cards there are with those known.
func (c *Cards) scan() {
	list, _ := alsa.EnumerateCards() // without sound the kernel has no list
	for id, p := range c.there {
		if !slices.ContainsFunc(list, func(card alsa.SoundCard) bool { return card.Name == id && card.ID == p.ID }) {
			delete(c.there, id)
			c.gone(p)
		}
	}
	missing := false
	for _, card := range list {
		if c.there[card.Name] != nil {
			continue
		}
		p := &plugged{SoundCard: card}
		if !p.accessible() && c.looks < len(looks)-1 {
			missing = true
			continue
		}
		c.there[card.Name], p.opening = p, true
		var err error
		c.aside(func() { err = p.open() }, func() {
			if p.opening = false; c.there[p.Name] != p { // it left meanwhile
				p.close()
				return
			}
			c.opened(p, err)
			c.changed(p.Name, true)
		})
	}
	if c.looks++; c.looks < len(looks) && (missing || c.looks < 4) {
		c.look.Set(c.loop.Now() + looks[c.looks])
	}
}

func (c *Cards) aside(work, done func()) {
	go func() {
		work()
		c.loop.Post(done)
	}()
}

// gone tells of a card that left.
func (c *Cards) gone(p *plugged) {
	if p.opening {
		return // it was never told of, and is closed when it is open
	}
	p.close()
	for _, pcm := range c.connected {
		if pcm.at.card == p.Name {
			pcm.lent(nil, nil, nil)
		}
	}
	c.changed(p.Name, false)
}

// accessible reports whether this process may open the card's nodes.
func (p *plugged) accessible() bool {
	if unix.Access(fmt.Sprintf("/dev/snd/controlC%d", p.ID), unix.R_OK|unix.W_OK) != nil {
		return false
	}
	for _, d := range p.Devices {
		if unix.Access(endpoint{p.SoundCard, d}.node(), unix.R_OK|unix.W_OK) != nil {
			return false
		}
	}
	return true
}

// open opens the card's control node and reads what is there. It may wait for the hardware.
func (p *plugged) open() error {
	node, err := openControl(p.ID)
	if err != nil {
		return err
	}
	p.node = node
	if p.info, err = node.info(); err == nil {
		err = p.read(node)
	}
	if err = errors.Join(err, node.subscribe()); err != nil {
		node.close()
		p.hardware = nil
	}
	return err
}

// read finds the card's paths and ports among its controls.
func (p *plugged) read(node controls) error {
	all, err := node.elements()
	if err != nil {
		return err
	}
	var watched []element
	watch := func(e element) {
		if !slices.ContainsFunc(watched, func(w element) bool { return w.id.numid == e.id.numid }) {
			watched = append(watched, e)
		}
	}
	p.ports = map[address]*ports{}
	var sockets [2][]socket
	for capture, d := range []direction{playing, capturing} {
		path := findPath(all, d, node.scale)
		p.levels[capture] = &level{path: path}
		for _, v := range path.volumes {
			watch(v.element)
		}
		for _, s := range path.switches {
			watch(s)
		}
		sockets[capture] = findSockets(all, capture == 1)
		for _, s := range sockets[capture] {
			for _, e := range slices.Concat(s.jacks, s.choose) {
				watch(e)
			}
		}
	}
	h, err := newHardware(node, watched)
	if err != nil {
		return err
	}
	p.hardware = h
	for capture, l := range p.levels {
		l.hardware = h
		for _, d := range p.Devices {
			e := endpoint{p.SoundCard, d}
			if e.capture() == (capture == 1) {
				p.ports[e.address()] = newPorts(h, p.of(e, sockets[capture]))
			}
		}
	}
	return nil
}

// analog reports whether e is the card's PCM that its mixer is about.
func (p *plugged) analog(e endpoint) bool {
	first, err := choose([]alsa.SoundCard{p.SoundCard}, address{p.Name, anyDevice, e.capture()})
	return err == nil && first.rank() == 0 && first.device.ID == e.device.ID
}

// of picks the sockets that e plays to.
func (p *plugged) of(e endpoint, sockets []socket) (its []socket) {
	for _, s := range sockets {
		if s.pcm == e.device.ID || s.pcm == anyDevice && p.analog(e) {
			its = append(its, s)
		}
	}
	return its
}

// opened has the control node watched, and lends the card's mixer to its sinks and sources.
func (c *Cards) opened(p *plugged, err error) {
	if err == nil {
		p.hardware.aside, p.hardware.log, p.hardware.changed = c.aside, c.log, func(others turned) { c.turned(p, others) }
		p.watch, err = c.loop.Watch(int(p.node), loop.Readable, func(loop.Events) { c.control(p) })
	}
	if err != nil {
		c.log("the mixer of sound card %s cannot be used: %v", p.Name, err)
		return
	}
	for _, pcm := range c.connected {
		p.lend(pcm)
	}
}

// control takes the news of a card's control node.
func (c *Cards) control(p *plugged) {
	mask, err := p.node.drain()
	if err != nil { // ENODEV: it has gone, whether or not /proc/asound says so yet
		delete(c.there, p.Name)
		c.gone(p)
		c.again()
		return
	}
	if mask != 0 {
		p.hardware.refresh()
	}
}

// turned tells the card's sinks and sources that its mixer has changed.
func (c *Cards) turned(p *plugged, others turned) {
	moved := map[*ports]bool{}
	for _, ports := range p.ports {
		moved[ports] = ports.follow()
	}
	for _, pcm := range c.connected {
		if pcm.level != nil && pcm.level.hardware == p.hardware {
			pcm.onVolume(pcm.level.among(others))
		}
		if moved[pcm.ports] {
			pcm.onPorts()
		}
	}
}

// lend gives pcm the card's volume and ports, if it is one of the card's.
func (p *plugged) lend(pcm *card) {
	if p.opening || p.hardware == nil || pcm.at.card != p.Name && pcm.at.card != strconv.Itoa(p.ID) {
		return
	}
	e, err := choose([]alsa.SoundCard{p.SoundCard}, pcm.at)
	if err != nil {
		return
	}
	var l *level
	if p.analog(e) {
		capture := 0
		if e.capture() {
			capture = 1
		}
		l = p.levels[capture]
	}
	pcm.lent(&p.info, l, p.ports[e.address()])
}

// close lets the card's control node go.
func (p *plugged) close() {
	if p.watch != nil {
		p.watch.Close()
	}
	if p.hardware != nil {
		p.hardware.close()
	}
	p.watch, p.hardware = nil, nil
}
