package launcher

import (
	"context"
	"fmt"
	"html"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

const notifyWait = 3 * time.Second // for the desktop to take a notification

// Notify shows the owner a line on the desktop (org.freedesktop.Notifications 1.2). It is for those who have no
// terminal to read on: it does nothing where there is one, or no session bus.
func Notify(summary, body string) error {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" || hasTerminal() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), notifyWait)
	defer cancel()
	bus, err := dbus.ConnectSessionBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("reach the desktop: %w", err)
	}
	defer bus.Close()
	err = bus.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").CallWithContext(ctx,
		"org.freedesktop.Notifications.Notify", 0,
		"sandbox-audio", uint32(0), "dialog-error", summary, html.EscapeString(body), []string{}, map[string]dbus.Variant{}, int32(-1)).Err
	if err != nil {
		return fmt.Errorf("show a notification: %w", err)
	}
	return nil
}
