package audiod

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestServerComes waits for a sound server whose folder, then socket, then listening come one after another, as PulseAudio makes them.
func TestServerComes(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	t.Setenv("PULSE_SERVER", "")
	k := &keeper{}
	if !k.chooses() || k.answers() {
		t.Fatal("there is no server yet")
	}
	ended, came := make(chan struct{}), make(chan bool)
	go func() { came <- k.comes(ended) }()
	not := func(what string) {
		t.Helper()
		select {
		case <-came:
			t.Fatal(what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	not("before anything")
	path := filepath.Join(run, "pulse", "native")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	not("with its folder")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // answers as a socket that nobody listens on
		t.Fatal(err)
	}
	not("with a file")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	select {
	case ok := <-came:
		if !ok || k.devices()[0] != bridgeSpec {
			t.Errorf("came: %v, a worker that starts now plays on %q", ok, k.devices())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it was not noticed")
	}

	l.Close()
	go func() { came <- k.comes(ended) }()
	not("after it left")
	close(ended)
	select {
	case ok := <-came:
		if ok {
			t.Error("it came when the worker had ended")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is waited for when the worker has ended")
	}
}

// TestNowhereToCome: what cannot be watched is said and not waited for.
func TestNowhereToCome(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("PULSE_SERVER", "")
	ended, came := make(chan struct{}), make(chan bool)
	defer close(ended)
	go func() { came <- new(keeper).comes(ended) }()
	select {
	case ok := <-came:
		if ok {
			t.Error("it came")
		}
	case <-time.After(10 * time.Second):
		t.Error("it is waited for where nothing is heard of it")
	}
}

// TestWhoChooses: a server that is named is not waited for, nor does root have one.
func TestWhoChooses(t *testing.T) {
	for _, c := range []struct {
		devices []string
		uid     int
		want    bool
	}{
		{nil, 0, true},
		{[]string{"auto"}, 0, true},
		{[]string{"alsa"}, 0, false},
		{[]string{"pulse"}, 0, false},
		{[]string{"auto", "null"}, 0, false},
		{nil, 998, false}, // whom root became
	} {
		k := &keeper{opts: Options{Devices: c.devices}, user: identity{uid: c.uid}}
		if k.chooses() != c.want {
			t.Errorf("%q of %d: %v", c.devices, c.uid, !c.want)
		}
	}
}
