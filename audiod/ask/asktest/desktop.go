// Package asktest is a desktop for tests: a real session bus, and on it what shows notifications.
package asktest

import (
	"bufio"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service = "org.freedesktop.Notifications"
	object  = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// Desktop shows notifications to the test.
type Desktop struct {
	t       testing.TB
	shown   chan Notification
	closed  chan uint32
	bus     *dbus.Conn
	next    atomic.Uint32
	buttons atomic.Bool
}

// Notification is one that was shown.
type Notification struct {
	ID            uint32
	Summary, Body string
	Actions       []string
}

// Bus starts a session bus, which lasts as long as t, and makes it that of this process's environment. It skips t where there is no dbus-daemon.
func Bus(t testing.TB) (address string) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs the program of the package dbus: ", err)
	}
	cmd := exec.Command(program, "--session", "--nofork", "--nopidfile", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	return address
}

// New is a desktop on a Bus of its own.
func New(t testing.TB) *Desktop {
	t.Helper()
	bus, err := dbus.Connect(Bus(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	d := &Desktop{t: t, shown: make(chan Notification, 16), closed: make(chan uint32, 16), bus: bus}
	d.buttons.Store(true)
	if err := bus.Export(methods{d}, object, service); err != nil {
		t.Fatal(err)
	}
	if reply, err := bus.RequestName(service, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the name %s: %v, %v", service, reply, err)
	}
	return d
}

// Shown waits for the next notification.
func (d *Desktop) Shown() Notification { return next(d.t, d.shown) }

// Closed waits until one is taken back, and tells which.
func (d *Desktop) Closed() (id uint32) { return next(d.t, d.closed) }

func next[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing was asked of the desktop")
	}
	return v
}

// NoButtons makes it a desktop that shows none.
func (d *Desktop) NoButtons() { d.buttons.Store(false) }

// Press presses a button of a notification.
func (d *Desktop) Press(id uint32, key string) { d.emit("ActionInvoked", id, key) }

// Dismiss waves a notification away.
func (d *Desktop) Dismiss(id uint32) { d.emit("NotificationClosed", id, uint32(2)) }

func (d *Desktop) emit(signal string, args ...any) {
	d.t.Helper()
	if err := d.bus.Emit(object, service+"."+signal, args...); err != nil {
		d.t.Fatal(err)
	}
}

// methods is what is called over the bus.
type methods struct{ d *Desktop }

func (m methods) GetCapabilities() ([]string, *dbus.Error) {
	if m.d.buttons.Load() {
		return []string{"body", "actions"}, nil
	}
	return []string{"body"}, nil
}

func (m methods) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	n := Notification{ID: m.d.next.Add(1), Summary: summary, Body: body, Actions: actions}
	m.d.shown <- n
	return n.ID, nil
}

func (m methods) CloseNotification(id uint32) *dbus.Error {
	m.d.closed <- id
	return nil
}
