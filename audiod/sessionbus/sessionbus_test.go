package sessionbus_test

import (
	"strings"
	"testing"

	"sandbox-audio/audiod/ask/asktest"
	"sandbox-audio/audiod/sessionbus"
)

func TestJoin(t *testing.T) {
	there := asktest.Bus(t)
	if bus, err := sessionbus.Join(); err != nil {
		t.Error(err)
	} else {
		bus.Close()
	}
	for _, tt := range []struct{ bus, runtime, address, says string }{
		{"unix:path=/nowhere", "/run/user/1", "unix:path=/nowhere", "joining the session bus at unix:path=/nowhere"},
		{"", "/nonexistent", "unix:path=/nonexistent/bus", "joining the session bus at unix:path=/nonexistent/bus"},
		{"", "", "", "there is no session bus"},
		{there, "", there, ""},
	} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", tt.bus)
		t.Setenv("XDG_RUNTIME_DIR", tt.runtime)
		if got := sessionbus.Address(); got != tt.address {
			t.Errorf("address %q, want %q", got, tt.address)
		}
		bus, err := sessionbus.Join()
		switch {
		case err == nil:
			bus.Close()
			if tt.says != "" {
				t.Errorf("joined a bus at %q", tt.address)
			}
		case tt.says == "" || !strings.Contains(err.Error(), tt.says):
			t.Error(err)
		}
	}
}
