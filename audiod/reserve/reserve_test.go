package reserve

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/audiod/ask/asktest"
)

// peer is another program that reserves card 0, by the text of the protocol.
type peer struct {
	t     *testing.T
	bus   *dbus.Conn
	lets  bool // go of the card when asked
	asked chan int32
}

func newPeer(t *testing.T, lets bool) *peer {
	t.Helper()
	p := &peer{t: t, bus: join(t), lets: lets, asked: make(chan int32, 8)}
	for _, i := range []string{iface, "org.freedesktop.DBus.Properties"} {
		if err := p.bus.Export(p, "/org/freedesktop/ReserveDevice1/Audio0", i); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func join(t *testing.T) *dbus.Conn {
	t.Helper()
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

func (p *peer) RequestRelease(priority int32) (bool, *dbus.Error) {
	p.asked <- priority
	return p.lets, nil
}

func (p *peer) Get(_, property string) (dbus.Variant, *dbus.Error) {
	if property != "ApplicationName" {
		return dbus.Variant{}, dbus.MakeFailedError(errors.New(property))
	}
	return dbus.MakeVariant("Jack"), nil
}

// own has the peer ask for the name with flags, and says whether it has it now.
func (p *peer) own(flags dbus.RequestNameFlags) bool {
	p.t.Helper()
	reply, err := p.bus.RequestName("org.freedesktop.ReserveDevice1.Audio0", flags|dbus.NameFlagDoNotQueue)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply == dbus.RequestNameReplyPrimaryOwner
}

func (p *peer) release() {
	p.t.Helper()
	if _, err := p.bus.ReleaseName("org.freedesktop.ReserveDevice1.Audio0"); err != nil {
		p.t.Fatal(err)
	}
}

// request has the peer ask us for the card.
func (p *peer) request(priority int32) (let bool) {
	p.t.Helper()
	if err := p.bus.Object("org.freedesktop.ReserveDevice1.Audio0", "/org/freedesktop/ReserveDevice1/Audio0").Call(iface+".RequestRelease", 0, priority).Store(&let); err != nil {
		p.t.Fatal(err)
	}
	return let
}

// event is a call of one of a Desk's functions.
type event struct {
	what string
	card int
	by   string
}

func newDesk(t *testing.T) (*Desk, chan event) {
	t.Helper()
	events := make(chan event, 8)
	d, err := Join(func(card int, by string) { events <- event{"wanted", card, by} }, func(card int) { events <- event{"free", card, ""} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, events
}

func expect(t *testing.T, events chan event, want event) {
	t.Helper()
	select {
	case got := <-events:
		if got != want {
			t.Errorf("%v, want %v", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no %v", want)
	}
}

func take(t *testing.T, d *Desk) {
	t.Helper()
	if err := d.Take(0, "alsa:Intel"); err != nil {
		t.Fatal(err)
	}
}

// thisProcess is how the bus knows the peer, who is part of the test.
func thisProcess(t *testing.T) string {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%q (process %d)", strings.TrimSpace(string(comm)), os.Getpid())
}

func TestAFreeCard(t *testing.T) {
	asktest.Bus(t)
	d, _ := newDesk(t)
	p := newPeer(t, false)
	take(t, d)
	take(t, d)
	if p.own(0) {
		t.Error("a card that is ours could be had")
	}
	object := p.bus.Object("org.freedesktop.ReserveDevice1.Audio0", "/org/freedesktop/ReserveDevice1/Audio0")
	for property, want := range map[string]any{"Priority": int32(0), "ApplicationName": "sandbox-audio", "ApplicationDeviceName": "alsa:Intel"} {
		if v, err := object.GetProperty(iface + "." + property); err != nil || v.Value() != want {
			t.Errorf("%s is %v, %v", property, v, err)
		}
	}
	var all map[string]dbus.Variant
	if err := object.Call("org.freedesktop.DBus.Properties.GetAll", 0, iface).Store(&all); err != nil || len(all) != 3 {
		t.Errorf("properties %v, %v", all, err)
	}
	d.Give(0)
	if !p.own(0) {
		t.Error("a card that was given up cannot be had")
	}
}

func TestACardOfAnother(t *testing.T) {
	asktest.Bus(t)
	d, events := newDesk(t)
	p := newPeer(t, false)
	if !p.own(dbus.NameFlagAllowReplacement) {
		t.Fatal("the name is not free")
	}
	var held *HeldError
	if err := d.Take(0, "alsa:Intel"); !errors.As(err, &held) || held.By != `"Jack"` {
		t.Fatalf("taken from who keeps it: %v", err)
	}
	if asked := <-p.asked; asked != 0 {
		t.Errorf("asked for it with priority %d", asked)
	}
	p.release()
	expect(t, events, event{"free", 0, ""})
	take(t, d)
	d.Give(0)

	p.lets = true
	if !p.own(dbus.NameFlagAllowReplacement) {
		t.Fatal("the name is not free")
	}
	take(t, d)
	if p.own(0) {
		t.Error("the card is not ours, though its owner let it go")
	}
}

func TestOurCardIsWanted(t *testing.T) {
	asktest.Bus(t)
	d, events := newDesk(t)
	p := newPeer(t, false)
	take(t, d)
	for _, low := range []int32{0, -20, -1 << 31} {
		if p.request(low) {
			t.Errorf("released to one of priority %d", low)
		}
	}
	if !p.request(1) {
		t.Fatal("not released to one of higher priority")
	}
	expect(t, events, event{"wanted", 0, thisProcess(t)})
	if !p.own(dbus.NameFlagReplaceExisting) {
		t.Fatal("released, but the name is kept")
	}
	p.release()
	expect(t, events, event{"free", 0, ""})

	take(t, d)
	if !p.own(dbus.NameFlagReplaceExisting) {
		t.Fatal("the name cannot be replaced")
	}
	expect(t, events, event{"wanted", 0, thisProcess(t)})
	p.bus.Close()
	expect(t, events, event{"free", 0, ""})
}

// TestTakenAndGivenUp has another take our card without a word and give it up at once: that it is free is told last.
func TestTakenAndGivenUp(t *testing.T) {
	asktest.Bus(t)
	d, events := newDesk(t)
	take(t, d)
	d.heard(&dbus.Signal{Name: namesLost, Body: []any{name(0)}})
	d.heard(&dbus.Signal{Name: changed, Body: []any{name(0), ":1.99", ""}})
	expect(t, events, event{"wanted", 0, thisProcess(t)})
	expect(t, events, event{"free", 0, ""})
}

func TestTheBusEnds(t *testing.T) {
	asktest.Bus(t)
	d, _ := newDesk(t)
	take(t, d)
	d.bus.Close()
	if !d.Gone() || d.Take(0, "alsa:Intel") == nil {
		t.Error("it is not noticed")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
	if _, err := Join(nil, nil); err == nil {
		t.Error("joined no bus")
	}
}
