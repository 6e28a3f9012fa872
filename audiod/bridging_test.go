package audiod

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
)

func TestSoundServer(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	for addr, c := range map[string]struct{ env, want string }{
		"":                          {"", "unix /run/user/1000/pulse/native"},
		"unix:/a/b":                 {"unix:/other", "unix /a/b"},
		"/a/b":                      {"", "unix /a/b"},
		"tcp:127.0.0.1:4714":        {"", "tcp 127.0.0.1:4714"},
		"tcp:localhost":             {"", "tcp localhost:4713"},
		"tcp:[::1]":                 {"", "tcp [::1]:4713"},
		"{0123456789}unix:/tmp/x y": {"", "unix /tmp/x y"},
		"unix:relative":             {"", "error"},
		"tcp:":                      {"", "error"},
		"somewhere":                 {"", "error"},
	} {
		t.Setenv("PULSE_SERVER", c.env)
		network, where, err := soundServer(addr)
		if got := network + " " + where; (c.want == "error") != (err != nil) || err == nil && got != c.want {
			t.Errorf("%q: %s, %v; want %s", addr, got, err, c.want)
		}
	}
	t.Setenv("PULSE_SERVER", "unix:/first unix:/second")
	if _, where, err := soundServer(""); where != "/first" || err != nil {
		t.Errorf("of two servers in PULSE_SERVER: %q, %v", where, err)
	}
	t.Setenv("PULSE_SERVER", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	if _, _, err := soundServer(""); err == nil || !strings.Contains(err.Error(), "--device pulse:") {
		t.Errorf("nowhere to look: %v", err)
	}
}

// dialing is a worker's loop and its end of the socket over which k makes connections.
func dialing(t *testing.T, k *keeper) (l *loop.Loop, dials int) {
	t.Helper()
	end, err := k.bridge()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	if l, err = loop.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, int(end.Fd())
}

// The worker hears in words why there is no connection.
func TestDialer(t *testing.T) {
	l, end := dialing(t, &keeper{opts: Options{Devices: []string{"pulse:unix:" + t.TempDir() + "/native"}}})
	dial, err := dialer(l, end)
	if err != nil {
		t.Fatal(err)
	}
	late := l.NewTimer(l.Stop)
	late.Set(l.Now() + 10*time.Second)
	why := errors.New("nothing was heard")
	dial(func(_ int, _ []byte, err error) {
		why = err
		l.Stop()
	})
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if why == nil || !strings.Contains(why.Error(), "does not answer") {
		t.Errorf("without a server: %v", why)
	}
}

// What is handed over is a socket connected to the server, and the owner's key.
func TestHandsOver(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "native"), bytes.Repeat([]byte("key!"), keySize/4)
	if err := os.WriteFile(dir+"/cookie", key, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PULSE_COOKIE", dir+"/cookie")
	server, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	k := &keeper{opts: Options{Devices: []string{"pulse:unix:" + path}}}
	end, err := k.bridge()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	fd := int(end.Fd()) // it blocks now
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		t.Fatal(err)
	}
	conn, got, err := receiveConn(fd)
	if err != nil || !bytes.Equal(got, key) {
		t.Fatalf("key %q, %v", got, err)
	}
	there, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	unix.Write(conn, []byte("hello"))
	unix.Close(conn)
	if said, err := io.ReadAll(there); string(said) != "hello" || err != nil {
		t.Errorf("the server read %q, %v", said, err)
	}
}

// The daemon does not play into itself.
func TestNotToItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "native")
	if _, err := dialServer("unix:"+path, []Listener{{Address: Address{Path: path}}}); err == nil || !strings.Contains(err.Error(), "this very daemon") {
		t.Error(err)
	}
}
