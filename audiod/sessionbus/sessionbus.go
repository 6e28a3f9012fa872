// Package sessionbus leads to the D-Bus session bus of the owner's desktop, where there is one. It starts none.
package sessionbus

import (
	"errors"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
)

// Address is where the bus is, by this process's environment; "" where none is named there.
func Address() string {
	address := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); address == "" && dir != "" {
		address = "unix:path=" + dir + "/bus"
	}
	return address
}

// Join connects to it. The caller closes the connection.
func Join(opts ...dbus.ConnOption) (*dbus.Conn, error) {
	address := Address()
	if address == "" {
		return nil, errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
	}
	bus, err := dbus.Connect(address, opts...)
	if err != nil {
		return nil, fmt.Errorf("joining the session bus at %s: %w", address, err)
	}
	return bus, nil
}
