package wayland

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/wayland/waylandtest"
)

// compositor is one that offers these interfaces.
func compositor(t *testing.T, offers ...string) *waylandtest.Compositor {
	t.Helper()
	return waylandtest.Serve(t, filepath.Join(t.TempDir(), "wayland-0"), offers...)
}

func newListener(t *testing.T) (path string, f *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if f, err = l.File(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return path, f
}

func TestRestrict(t *testing.T) {
	f := compositor(t, "wl_compositor", managerInterface)
	c, err := Connect(context.Background(), f.Path)
	if err != nil {
		t.Fatal(err)
	}
	path, listener := newListener(t)
	closer, err := c.Restrict(context.Background(), listener, Context{"engine", "firefox", "alice-sandbox-1"})
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	got := <-f.Contexts
	if got.Engine != "engine" || got.App != "firefox" || got.Instance != "alice-sandbox-1" || got.Listener != path {
		t.Errorf("the context says %+v", got)
	}
	// The compositor serves on what it was given: a program that comes to the socket reaches it, and can make no context of its own.
	inside, err := Connect(context.Background(), path)
	if err != nil {
		t.Fatalf("through the context's socket: %v", err)
	}
	if inside.manager.version != 0 {
		t.Error("a context within the context")
	}
	select {
	case <-got.Ended:
		t.Fatal("the context has ended before its time")
	case uid := <-got.Programs:
		if uid != os.Getuid() {
			t.Errorf("user %d came", uid)
		}
	}
	closer.Close()
	<-got.Ended
	if _, err := Connect(context.Background(), path); err == nil {
		t.Error("the context's socket is served after its end")
	}
}

func TestRestrictWithout(t *testing.T) {
	c, err := Connect(context.Background(), compositor(t, "wl_compositor").Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Restrict(context.Background(), nil, Context{}); !errors.Is(err, ErrNoContext) {
		t.Errorf("without the extension: %v", err)
	}
	if _, err := Connect(context.Background(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("connected to nothing")
	}
}

// startProxy runs a proxy in front of the fake, and returns its socket.
func startProxy(t *testing.T, f *waylandtest.Compositor, uid int) string {
	t.Helper()
	c, err := Connect(context.Background(), f.Path)
	if err != nil {
		t.Fatal(err)
	}
	path, listener := newListener(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Proxy(ctx, listener, uid) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the proxy ended with %v", err)
		}
	})
	return path
}

func connect(t *testing.T, path string) *client {
	t.Helper()
	c := &Compositor{path: path}
	conn, err := c.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestProxyHides(t *testing.T) {
	offers := []string{
		"wl_compositor", "wl_shm", "xdg_wm_base", "zwp_linux_dmabuf_v1", "wp_viewporter", "gtk_shell1",
		"zwlr_screencopy_manager_v1", "zwlr_data_control_manager_v1", "ext_data_control_manager_v1", "zwp_virtual_keyboard_manager_v1",
		"zwlr_virtual_pointer_manager_v1", "zwlr_layer_shell_v1", "zwp_input_method_manager_v2", "ext_session_lock_manager_v1",
		"ext_image_copy_capture_manager_v1", managerInterface, "wp_drm_lease_device_v1", "org_kde_plasma_window_management", "weston_capture_v1", "wl_fixes", "",
	}
	f := compositor(t, offers...)
	conn := connect(t, startProxy(t, f, os.Getuid()))
	var seen []string
	if err := conn.globals(func(_ uint32, kind string, _ uint32) { seen = append(seen, kind) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, offers[:6]) {
		t.Errorf("the program sees %q", seen)
	}
	conn.Write(newMessage(registryID, registryBind, uint32(1), "wl_compositor", uint32(1), uint32(9)))
	if h := <-f.Heard; h.Object() != registryID {
		t.Errorf("the compositor heard %v", h.Message)
	}
	conn.Write(newMessage(registryID, registryBind, uint32(7), offers[6], uint32(1), uint32(10)))
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("after it bound what is hidden: %d, %v", n, err)
	}
}

// Descriptors pass in both directions, with their message, however the bytes are cut.
func TestProxyCarriesDescriptors(t *testing.T) {
	f := compositor(t)
	path := startProxy(t, f, os.Getuid())
	for _, step := range []int{1, 3, 8, 1000} {
		conn := connect(t, path)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		m := append(newMessage(5, 1, strings.Repeat("x", 100)), newMessage(6, waylandtest.Echo, uint32(1))...)
		for at := 0; at < len(m); at += step {
			var fds []int
			if at == 0 {
				fds = []int{int(w.Fd())}
			}
			if err := write(conn.UnixConn, m[at:min(at+step, len(m))], fds); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		first, second := <-f.Heard, <-f.Heard
		if !bytes.Equal(append(first.Message, second.Message...), m) || len(first.FDs) != 1 || len(second.FDs) != 0 {
			t.Fatalf("the compositor heard %v and %v", first, second)
		}
		theirs := os.NewFile(uintptr(first.FDs[0]), "")
		theirs.WriteString("pool")
		theirs.Close()
		if text, err := io.ReadAll(r); string(text) != "pool" || err != nil {
			t.Errorf("through the descriptor came %q, %v", text, err)
		}
		r.Close()
		buf, oob := make([]byte, 100), make([]byte, 100)
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil || !bytes.Equal(buf[:n], newMessage(6, 5, uint32(6))) {
			t.Fatalf("the event: %v, %v", buf[:n], err)
		}
		fds, err := rights(oob[:oobn])
		if err != nil || len(fds) != 1 {
			t.Fatalf("descriptors with the event: %v, %v", fds, err)
		}
		keymap := os.NewFile(uintptr(fds[0]), "")
		if text, err := io.ReadAll(keymap); string(text) != "keymap" || err != nil {
			t.Errorf("in the event's descriptor is %q, %v", text, err)
		}
		keymap.Close()
		conn.Close()
	}
}

// What breaks the protocol ends its own connection, and no other; no descriptor is left open.
func TestProxyAgainstHostileClients(t *testing.T) {
	f := compositor(t)
	path := startProxy(t, f, os.Getuid())
	good := connect(t, path)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	many := slices.Repeat([]int{int(r.Fd())}, maxFDs+1)
	if err := good.globals(func(uint32, string, uint32) {}); err != nil { // it is all the way through
		t.Fatal(err)
	}
	before := openFiles(t)
	for name, attack := range map[string]func(*client){
		"size 0":      func(c *client) { c.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) },
		"size 4":      func(c *client) { c.Write([]byte{1, 0, 0, 0, 0, 0, 4, 0}) },
		"odd size":    func(c *client) { c.Write([]byte{1, 0, 0, 0, 0, 0, 9, 0, 0}) },
		"no argument": func(c *client) { c.Write(newMessage(displayID, displayGetRegistry)) },
		"descriptors": func(c *client) { write(c.UnixConn, newMessage(5, 1), many) },
		"kept back":   func(c *client) { write(c.UnixConn, []byte{1, 2}, many[:20]); write(c.UnixConn, []byte{3}, many[:20]) },
		"registries": func(c *client) {
			c.Write(bytes.Repeat(newMessage(displayID, displayGetRegistry, uint32(2)), 3))
			manyRegistries(c)
		},
		"half and end": func(c *client) { write(c.UnixConn, []byte{1, 2}, many[:5]); c.CloseWrite() },
	} {
		conn := connect(t, path)
		attack(conn)
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
		conn.Close()
	}
	if err := good.roundTrip(func(message) error { return nil }); err != nil {
		t.Errorf("another program's connection: %v", err)
	}
	for end := time.Now().Add(time.Minute); openFiles(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files are open, %d were before", openFiles(t), before)
		}
	}
}

func manyRegistries(c *client) {
	for id := range uint32(2 * maxRegistries) {
		if _, err := c.Write(newMessage(displayID, displayGetRegistry, 100+id)); err != nil {
			return
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// Only the user it is for is passed on.
func TestProxyTurnsStrangersAway(t *testing.T) {
	conn := connect(t, startProxy(t, compositor(t), os.Getuid()+1))
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a stranger reads %d, %v", n, err)
	}
}

func TestSocketPath(t *testing.T) {
	for _, test := range []struct{ display, dir, want string }{
		{"", "/run/user/1000", ""}, {"wayland-1", "/run/user/1000", "/run/user/1000/wayland-1"}, {"/tmp/w", "", "/tmp/w"},
		{"wayland-1", "", ""}, {"wayland-1", "run", ""},
	} {
		getenv := func(name string) string {
			return map[string]string{"WAYLAND_DISPLAY": test.display, "XDG_RUNTIME_DIR": test.dir}[name]
		}
		if got := SocketPath(getenv); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(newMessage(displayID, displayGetRegistry, uint32(2))), []byte(newMessage(2, registryGlobal, uint32(1), "wl_shm", uint32(1))))
	f.Add([]byte(newMessage(2, registryBind, uint32(1))), []byte(newMessage(2, registryGlobal, uint32(1), "ext_x", uint32(1))))
	f.Fuzz(func(t *testing.T, requests, events []byte) {
		f := newFilter()
		for m, rest, err := next(requests); m != nil && err == nil; m, rest, err = next(rest) {
			_ = f.request(m)
		}
		for m, rest, err := next(events); m != nil && err == nil; m, rest, err = next(rest) {
			pass, err := f.event(m)
			if a := m.args(); pass && err == nil && f.registries[m.object()] && m.opcode() == registryGlobal {
				if a.uint(); !plain(a.string()) {
					t.Errorf("%v passes", m)
				}
			}
		}
	})
}
