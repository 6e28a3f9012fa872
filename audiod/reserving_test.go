package audiod

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/audiod/ask/asktest"
	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
)

// reservingCard is a device on card 0, which somebody wants to have open, and tries when it is told to.
type reservingCard struct {
	rs     *reservations
	wanted bool
	open   bool
	err    error
}

func (c *reservingCard) retry(int) {
	c.close()
	if !c.wanted {
		return
	}
	if c.err = c.rs.Take(0); c.err == nil {
		c.open = true
	}
}

func (c *reservingCard) close() {
	if c.open {
		c.open = false
		c.rs.Give(0)
	}
}

// jack is another program of the desktop.
type jack struct {
	*testing.T
	*dbus.Conn
}

func (j jack) RequestRelease(int32) (bool, *dbus.Error) { return false, nil }

func (j jack) Get(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant("Jack"), nil }

// own has it ask for the card's name, and returns whether it has it.
func (j jack) own(flags dbus.RequestNameFlags) bool {
	reply, err := j.RequestName("org.freedesktop.ReserveDevice1.Audio0", flags|dbus.NameFlagDoNotQueue)
	if err != nil {
		j.Fatal(err)
	}
	return reply == dbus.RequestNameReplyPrimaryOwner
}

// TestReserving has worker and keeper agree on a card with another program, over a real bus.
func TestReserving(t *testing.T) {
	asktest.Bus(t)
	clock := new(loop.Hand)
	news := make(chan cardReport, 8)
	keeper := newReserver(func(r cardReport) { news <- r })
	defer keeper.close()
	card := &reservingCard{wanted: true}
	card.rs = newReservations(clock, func(e errand) error {
		switch e.Kind {
		case takeCard:
			go keeper.take(int(e.Number))
		case giveCard:
			keeper.give(int(e.Number))
		}
		return nil
	}, card.retry)
	told := func(want cardReport) {
		t.Helper()
		select {
		case got := <-news:
			if got != want {
				t.Fatalf("told %+v, want %+v", got, want)
			}
			card.rs.news(got)
		case <-time.After(time.Minute):
			t.Fatalf("never told %+v", want)
		}
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other := jack{t, conn}
	for _, iface := range []string{"org.freedesktop.ReserveDevice1", "org.freedesktop.DBus.Properties"} {
		if err := conn.Export(other, "/org/freedesktop/ReserveDevice1/Audio0", iface); err != nil {
			t.Fatal(err)
		}
	}

	// Another has it: it is said who, and it is ours when he lets go.
	if !other.own(0) {
		t.Fatal("the card is not free at first")
	}
	card.retry(0)
	if !errors.Is(card.err, device.ErrSoon) {
		t.Fatalf("before it is known: %v", card.err)
	}
	told(cardReport{0, cardHeld, `"Jack"`})
	if card.open || card.err == nil || !strings.Contains(card.err.Error(), `reserved by "Jack"`) || errors.Is(card.err, device.ErrSoon) {
		t.Fatalf("held by another: open %v, %v", card.open, card.err)
	}
	if _, err := conn.ReleaseName("org.freedesktop.ReserveDevice1.Audio0"); err != nil {
		t.Fatal(err)
	}
	told(cardReport{0, cardFree, ""})
	told(cardReport{0, cardOurs, ""})
	if !card.open {
		t.Fatalf("it is free, and not opened: %v", card.err)
	}
	if other.own(0) {
		t.Fatal("another could have a card that is open")
	}

	// One who matters more wants it: it is closed, and only then is he told that he may have it.
	let := make(chan bool, 1)
	go func() {
		var yes bool
		if err := conn.Object("org.freedesktop.ReserveDevice1.Audio0", "/org/freedesktop/ReserveDevice1/Audio0").Call("org.freedesktop.ReserveDevice1.RequestRelease", 0, int32(100)).Store(&yes); err != nil {
			t.Error(err)
		}
		let <- yes
	}()
	select {
	case r := <-news:
		if r.Card != 0 || r.State != cardWanted || !strings.HasSuffix(r.By, fmt.Sprintf("(process %d)", os.Getpid())) || len(let) != 0 {
			t.Fatalf("told %+v; answered before: %v", r, len(let) != 0)
		}
		card.rs.news(r)
	case <-time.After(time.Minute):
		t.Fatal("nobody wants the card")
	}
	if card.open || !strings.Contains(card.err.Error(), "reserved by") || !<-let {
		t.Fatalf("wanted by another: open %v, %v", card.open, card.err)
	}
	if !other.own(dbus.NameFlagReplaceExisting) {
		t.Fatal("another cannot have the card that was let go for him")
	}
	clock.Advance(respite) // he is asked, and keeps it
	card.retry(0)
	told(cardReport{0, cardHeld, `"Jack"`})

	// It is free when nobody wants it any more: it stays so.
	card.wanted = false
	if _, err := conn.ReleaseName("org.freedesktop.ReserveDevice1.Audio0"); err != nil {
		t.Fatal(err)
	}
	told(cardReport{0, cardFree, ""})
	card.wanted = true
	card.retry(0)
	card.wanted = false
	told(cardReport{0, cardOurs, ""})
	if card.open || !other.own(0) {
		t.Error("a card that nobody wants any more is kept")
	}
}

// TestHeldNoMore has another program let go of the card just while he is asked for it: the news of that may come before his answer.
func TestHeldNoMore(t *testing.T) {
	card := &reservingCard{wanted: true}
	asked := 0
	card.rs = newReservations(new(loop.Hand), func(errand) error { asked++; return nil }, card.retry)
	card.retry(0)
	card.rs.news(cardReport{0, cardFree, ""})
	card.rs.news(cardReport{0, cardHeld, "Jack"})
	if asked != 2 || !errors.Is(card.err, device.ErrSoon) {
		t.Fatalf("asked %d times: %v", asked, card.err)
	}
	card.rs.news(cardReport{0, cardHeld, "PulseAudio"})
	if asked != 2 || errors.Is(card.err, device.ErrSoon) {
		t.Fatalf("asked %d times: %v", asked, card.err)
	}
	card.rs.news(cardReport{0, cardFree, ""})
	card.rs.news(cardReport{0, cardOurs, ""})
	if asked != 3 || !card.open {
		t.Errorf("asked %d times: %v", asked, card.err)
	}
}

// TestNoDesktop has nobody to agree with.
func TestNoDesktop(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
	news := make(chan cardReport, 1)
	keeper := newReserver(func(r cardReport) { news <- r })
	defer keeper.close()
	keeper.take(3)
	if got := <-news; got != (cardReport{Card: 3, State: cardOurs}) {
		t.Errorf("%+v", got)
	}
	keeper.give(3)
}
