// Package ask asks the person at the desk whether a helper may use the microphone, by a notification of the desktop with buttons
// (org.freedesktop.Notifications 1.2, on the session bus):
//
//	bus ─► can it show buttons? ─► Notify ─► ActionInvoked, NotificationClosed, or the end of patience ─► Answer
//
// It is meant for a process of its own, which lives as long as the question.
package ask

import (
	"context"
	"errors"
	"fmt"
	"html"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/audiod/sessionbus"
)

// Answer is what came of a question.
type Answer uint32

const (
	Nobody     Answer = iota // there is no desktop that could be asked
	Unanswered               // nobody pressed a button
	Denied
	Once // allowed, this time
	Hour // allowed for an hour
	numAnswers
)

// Valid reports whether a is one of the answers there are.
func (a Answer) Valid() bool { return a < numAnswers }

func (a Answer) String() string {
	return [...]string{"there is nobody to ask", "no answer", "denied", "allowed", "allowed for an hour"}[a]
}

// Question says who wants to record: the user in words ("user ann"), the program as it calls itself, "" when that is not known.
type Question struct{ User, Program string }

func (q Question) text() string {
	who := "A program"
	if q.Program != "" {
		who = fmt.Sprintf("A program that calls itself “%s”", q.Program)
	}
	return html.EscapeString(fmt.Sprintf("%s, run by %s, wants to record from the microphone.", who, q.User)) // the body is markup
}

const (
	service = "org.freedesktop.Notifications"
	object  = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// The buttons: what the desktop reports, and what it shows.
var buttons = []struct {
	key, label string
	answer     Answer
}{
	{"once", "Allow", Once},
	{"hour", "Allow for an hour", Hour},
	{"deny", "Deny", Denied},
}

// Desktop shows q and waits for a button until ctx ends; then the notification is taken back. connected is called once there is a connection to
// the bus, after which nothing is opened any more; its error ends the attempt. With an error the answer is Nobody.
func Desktop(ctx context.Context, q Question, connected func() error) (Answer, error) {
	bus, err := sessionbus.Join()
	if err != nil {
		return Nobody, err
	}
	defer bus.Close()
	if err := connected(); err != nil {
		return Nobody, err
	}
	desktop := bus.Object(service, object)
	var can []string
	if err := desktop.CallWithContext(ctx, service+".GetCapabilities", 0).Store(&can); err != nil {
		return Nobody, fmt.Errorf("the desktop shows no notifications: %w", err)
	}
	if !slices.Contains(can, "actions") {
		return Nobody, errors.New("the desktop's notifications have no buttons")
	}
	signals := make(chan *dbus.Signal, 16)
	bus.Signal(signals)
	if err := bus.AddMatchSignalContext(ctx, dbus.WithMatchSender(service), dbus.WithMatchInterface(service), dbus.WithMatchObjectPath(object)); err != nil {
		return Nobody, fmt.Errorf("listening for the desktop's answer: %w", err)
	}
	var actions []string
	for _, b := range buttons {
		actions = append(actions, b.key, b.label)
	}
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(byte(2)), "transient": dbus.MakeVariant(true)} // critical: it stays until we take it back
	showing, shown := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)                            // what is shown has a number to be taken back by
	defer shown()
	var id uint32
	if err := desktop.CallWithContext(showing, service+".Notify", 0, "sandbox-audio", uint32(0), "audio-input-microphone", "Microphone", q.text(), actions, hints, int32(0)).Store(&id); err != nil {
		return Nobody, fmt.Errorf("showing a notification: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			desktop.Call(service+".CloseNotification", 0, id)
			return Unanswered, nil
		case s, open := <-signals:
			if !open {
				return Nobody, errors.New("the session bus has ended")
			}
			if a, ok := answered(s, id); ok {
				return a, nil
			}
		}
	}
}

// answered is the answer that a signal brings, if it is about notification id.
func answered(s *dbus.Signal, id uint32) (_ Answer, ok bool) {
	var about uint32
	var key string
	switch s.Name {
	case service + ".ActionInvoked":
		if dbus.Store(s.Body, &about, &key) != nil || about != id {
			return Nobody, false
		}
		for _, b := range buttons {
			if b.key == key {
				return b.answer, true
			}
		}
	case service + ".NotificationClosed":
		var reason uint32
		if dbus.Store(s.Body, &about, &reason) == nil && about == id {
			return Unanswered, true
		}
	}
	return Nobody, false
}
