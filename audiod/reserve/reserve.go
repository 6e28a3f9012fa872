// Package reserve agrees with the other programs of a desktop on who has a sound card: org.freedesktop.ReserveDevice1, as PulseAudio, PipeWire
// and JACK speak it (reserve.txt at https://git.0pointer.net/reserve.git). Who owns a card's name on the session bus has the card:
//
//	Take ─► the name is free: ours ─► Give
//	  └─► another's: RequestRelease to him ─► TRUE: the name is replaced, ours
//	                                      └─► FALSE: his; Desk.Free is called when he gives it up
//	RequestRelease to us, by one of higher priority ─► Desk.Wanted, which closes the card ─► TRUE
package reserve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/audiod/sessionbus"
)

const (
	iface     = "org.freedesktop.ReserveDevice1"
	prefix    = iface + ".Audio"
	object    = "/org/freedesktop/ReserveDevice1/Audio"
	namesLost = "org.freedesktop.DBus.NameLost"
	changed   = "org.freedesktop.DBus.NameOwnerChanged"

	application = "sandbox-audio"
	priority    = 0 // PulseAudio's: of equals, who has a card keeps it. PipeWire has -20, JACK more

	answerTime = time.Second // that the others have in all, while a stream waits to begin
)

// Desk is our place on the bus. Any goroutine may call its methods.
type Desk struct {
	bus    *dbus.Conn
	wanted func(card int, by string)
	free   func(card int)

	mu   sync.Mutex
	ours map[int]bool // cards whose names we own
}

// Join takes a place on the session bus. wanted is called when another program, by its name, is to have a card of ours, and returns when the card is
// closed; free when another has given one up. They come from goroutines of their own.
func Join(wanted func(card int, by string), free func(card int)) (*Desk, error) {
	bus, err := sessionbus.Join()
	if err != nil {
		return nil, err
	}
	d := &Desk{bus: bus, wanted: wanted, free: free, ours: map[int]bool{}}
	signals := make(chan *dbus.Signal, 64)
	bus.Signal(signals)
	if err := bus.AddMatchSignal(dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchOption("arg0namespace", iface)); err != nil {
		bus.Close()
		return nil, fmt.Errorf("listening on the session bus: %w", err)
	}
	go func() {
		for s := range signals {
			d.heard(s)
		}
	}()
	return d, nil
}

// Close gives up all cards and leaves.
func (d *Desk) Close() { d.bus.Close() }

// Gone reports whether the bus has ended.
func (d *Desk) Gone() bool { return !d.bus.Connected() }

// HeldError says that another program has a card and keeps it.
type HeldError struct{ By string }

func (e *HeldError) Error() string { return "it is reserved by " + e.By }

// Take makes a card ours, for a device that is called device here. It waits for the others for no longer than a second. The error is a
// *HeldError where another has the card.
func (d *Desk) Take(card int, device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if err := d.export(card, device); err != nil {
		return err
	}
	const flags = dbus.NameFlagAllowReplacement | dbus.NameFlagDoNotQueue
	ours, err := d.request(ctx, card, flags)
	if err != nil || ours {
		return err
	}
	by, let := d.ask(ctx, card)
	if let {
		if ours, err = d.request(ctx, card, flags|dbus.NameFlagReplaceExisting); err != nil || ours {
			return err
		}
	}
	return &HeldError{by}
}

// request asks for a card's name, and reports whether it is ours.
func (d *Desk) request(ctx context.Context, card int, flags dbus.RequestNameFlags) (ours bool, err error) {
	d.mu.Lock() // so that the loss of a name is not heard of before it is known to be ours
	defer d.mu.Unlock()
	var reply dbus.RequestNameReply
	if err := d.bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.RequestName", 0, name(card), uint32(flags)).Store(&reply); err != nil {
		return false, fmt.Errorf("reserving card %d: %w", card, err)
	}
	ours = reply == dbus.RequestNameReplyPrimaryOwner || reply == dbus.RequestNameReplyAlreadyOwner
	d.ours[card] = ours
	return ours, nil
}

// ask has the owner of a card's name release it, and reports who he is and whether he does.
func (d *Desk) ask(ctx context.Context, card int) (by string, let bool) {
	owner := d.bus.Object(name(card), path(card))
	by = d.nameOf(ctx, owner)
	err := owner.CallWithContext(ctx, iface+".RequestRelease", 0, int32(priority)).Store(&let)
	return by, err == nil && let
}

// nameOf is what the owner of a name calls himself.
func (d *Desk) nameOf(ctx context.Context, owner dbus.BusObject) string {
	var v dbus.Variant
	if err := owner.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, "ApplicationName").Store(&v); err == nil {
		if s, ok := v.Value().(string); ok && s != "" {
			return strconv.Quote(s[:min(len(s), 100)])
		}
	}
	return d.processOf(owner.Destination())
}

// processOf is the process that has a name, by the bus's word. Who has just asked for something does not answer questions of ours: most wait for the
// answer to theirs.
func (d *Desk) processOf(name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	var pid uint32
	if err := d.bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&pid); err != nil {
		return "another program"
	}
	process := "process " + strconv.FormatUint(uint64(pid), 10)
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		return fmt.Sprintf("%q (%s)", strings.TrimSuffix(string(comm), "\n"), process)
	}
	return process
}

// Give gives a card up.
func (d *Desk) Give(card int) {
	d.mu.Lock()
	d.ours[card] = false
	d.mu.Unlock()
	d.bus.ReleaseName(name(card))
}

// lose takes note that a card is not ours any more, and reports whether it was.
func (d *Desk) lose(card int) (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was = d.ours[card]
	d.ours[card] = false
	return was
}

// heard takes a signal: that a name of ours was taken without a word, or that another's is free. What came first is told first, or a card that is free
// would be taken for another's.
func (d *Desk) heard(s *dbus.Signal) {
	var of, before, after string
	switch {
	case s.Name == namesLost && dbus.Store(s.Body, &of) == nil:
		if card, ok := cardOf(of); ok && d.lose(card) {
			d.wanted(card, d.processOf(of))
		}
	case s.Name == changed && dbus.Store(s.Body, &of, &before, &after) == nil:
		if card, ok := cardOf(of); ok && after == "" && before != d.bus.Names()[0] {
			d.free(card)
		}
	}
}

func name(card int) string          { return prefix + strconv.Itoa(card) }
func path(card int) dbus.ObjectPath { return dbus.ObjectPath(object + strconv.Itoa(card)) }

// cardOf is the card that a name reserves.
func cardOf(name string) (card int, ok bool) {
	n, found := strings.CutPrefix(name, prefix)
	card, err := strconv.Atoi(n)
	return card, found && err == nil && card >= 0 && card <= math.MaxInt32
}

// export puts a card's object on the bus, which others ask.
func (d *Desk) export(card int, device string) error {
	o := &held{desk: d, card: card, device: device}
	return errors.Join(d.bus.Export(o, path(card), iface), d.bus.ExportMethodTable(map[string]any{"Get": o.get, "GetAll": o.getAll}, path(card), "org.freedesktop.DBus.Properties"))
}

// held is the object that stands for a card.
type held struct {
	desk   *Desk
	card   int
	device string
}

// RequestRelease is called over the bus, by who wants the card.
func (h *held) RequestRelease(sender dbus.Sender, his int32) (released bool, _ *dbus.Error) {
	if his <= priority {
		return false, nil
	}
	if h.desk.lose(h.card) {
		h.desk.wanted(h.card, h.desk.processOf(string(sender)))
	}
	return true, nil
}

func (h *held) properties() map[string]dbus.Variant {
	return map[string]dbus.Variant{"Priority": dbus.MakeVariant(int32(priority)), "ApplicationName": dbus.MakeVariant(application), "ApplicationDeviceName": dbus.MakeVariant(h.device)}
}

func (h *held) get(of, property string) (dbus.Variant, *dbus.Error) {
	if v, ok := h.properties()[property]; ok && (of == iface || of == "") {
		return v, nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"there is no property " + property})
}

func (h *held) getAll(of string) (map[string]dbus.Variant, *dbus.Error) {
	if of != iface && of != "" {
		return map[string]dbus.Variant{}, nil
	}
	return h.properties(), nil
}
