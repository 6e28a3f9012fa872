package x11

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
)

func TestParseDisplay(t *testing.T) {
	good := map[string]Display{
		":0": {"", 0}, ":10.2": {"", 10}, "unix:3": {"", 3}, "localhost:10.0": {"localhost", 10}, "[::1]:2": {"::1", 2}, "10.0.0.1:0": {"10.0.0.1", 0},
	}
	for text, want := range good {
		if got, err := ParseDisplay(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", ":", ":x", ":-1", ":0.x", ":99999999", "/tmp/launch/x:0", "wayland-0"} {
		if got, err := ParseDisplay(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAuthority(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Xauthority")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	record := func(family uint16, address, number, name, data string) []byte {
		b := []byte{byte(family >> 8), byte(family)}
		for _, field := range []string{address, number, name, data} {
			b = append(append(b, byte(len(field)>>8), byte(len(field))), field...)
		}
		return b
	}
	file := bytes.Join([][]byte{
		record(familyLocal, "elsewhere", "0", Cookie, "other machine"),
		record(familyLocal, host, "1", Cookie, "other display"),
		record(familyLocal, host, "0", "XDM-AUTHORIZATION-1", "other protocol"),
		record(familyLocal, host, "0", Cookie, "ours"),
		record(familyWild, "", "", Cookie, "any"),
	}, nil)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[int]string{0: "ours", 1: "other display", 2: "any"} {
		if key, err := ReadKey(path, Display{Number: number}); err != nil || string(key.Data) != want {
			t.Errorf("display %d: %q, %v", number, key.Data, err)
		}
	}
	for n := range len(file) {
		if err := os.WriteFile(path, file[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := ReadKey(path, Display{Number: 2}); err == nil && len(key.Data) > 0 {
			t.Errorf("the first %d bytes: %q", n, key.Data)
		}
	}
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if key, err := ReadKey(path, Display{}); err != nil || key.Name != "" {
			t.Errorf("no file: %+v, %v", key, err)
		}
	}
	ours := Key{Cookie, []byte("secret")}
	if err := os.WriteFile(path, ours.Authority(Display{Number: 7}), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := ReadKey(path, Display{Number: 7}); err != nil || string(key.Data) != "secret" {
		t.Errorf("our own file: %q, %v", key.Data, err)
	}
	if key, _ := ReadKey(path, Display{Number: 8}); key.Name != "" {
		t.Error("the key fits another display")
	}
}

func dial(t *testing.T, x need.X) (*Conn, Display) {
	t.Helper()
	d, err := ParseDisplay(x.Display)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ReadKey(x.Authority, d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(context.Background(), d, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, d
}

// with runs an X client that has a key and nothing else.
func with(t *testing.T, d Display, key Key, name string, args ...string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Xauthority")
	if err := os.WriteFile(path, key.Authority(d), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := need.X{Display: d.String(), Authority: path}.Client(name, args...).CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

func TestKeys(t *testing.T) {
	need.Packages(t, need.XPackages...)
	x := need.Xvfb(t)
	c, d := dial(t, x)
	id, trusted, err := c.GenerateKey(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	otherID, untrusted, err := c.GenerateKey(false, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(trusted.Data, untrusted.Data) || len(trusted.Data) < 16 {
		t.Fatalf("keys %x and %x", trusted.Data, untrusted.Data)
	}
	window := exec.Command("xclock")
	window.Env = append(os.Environ(), x.Environ()...)
	if err := window.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		window.Process.Kill()
		window.Wait()
	}()
	screenshot := []string{"-root", "-silent", "-out", os.DevNull}
	if err := with(t, d, trusted, "xwd", screenshot...); err != nil {
		t.Errorf("the trusted key: %v", err)
	}
	if err := with(t, d, untrusted, "xdpyinfo"); err != nil {
		t.Errorf("the untrusted key: %v", err)
	}
	if err := with(t, d, untrusted, "xwd", screenshot...); err == nil || !strings.Contains(err.Error(), "unable to get image") {
		t.Errorf("a screenshot with the untrusted key: %v", err)
	}
	guest, err := Dial(context.Background(), d, untrusted)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	var refused *Error
	if err := guest.AddUser(1); !errors.As(err, &refused) || refused.Code != 10 {
		t.Errorf("the untrusted key lets others in: %v", err)
	}
	if err := with(t, d, Key{Cookie, []byte("wrong wrong wron")}, "xdpyinfo"); err == nil {
		t.Error("a wrong key opens the display")
	}

	held, err := Dial(context.Background(), d, trusted)
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		held.Drain()
		close(drained)
	}()
	for range 2 { // the second time there is nothing to revoke
		if err := c.RevokeKey(id); err != nil {
			t.Fatal(err)
		}
	}
	<-drained // whoever came with it is cut off
	if _, err := Dial(context.Background(), d, trusted); !errors.Is(err, ErrRefused) {
		t.Errorf("the revoked key: %v", err)
	}
	if err := with(t, d, untrusted, "xdpyinfo"); err != nil {
		t.Errorf("the other key: %v", err)
	}
	if err := c.RevokeKey(otherID); err != nil {
		t.Fatal(err)
	}
}

// A key lapses when nobody has come with it for its time, and not while somebody is there.
func TestKeysLapse(t *testing.T) {
	need.Packages(t, need.XPackages...)
	c, d := dial(t, need.Xvfb(t))
	const lapse = time.Second
	_, kept, err := c.GenerateKey(true, lapse)
	if err != nil {
		t.Fatal(err)
	}
	held, err := Dial(context.Background(), d, kept)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, left, err := c.GenerateKey(true, lapse)
	if err != nil {
		t.Fatal(err)
	}
	need.Eventually(t, time.Minute, func() string {
		time.Sleep(2 * lapse) // each look is a client, and starts the time anew
		if conn, err := Dial(context.Background(), d, left); err == nil {
			conn.Close()
			return "the key still opens the display"
		}
		return ""
	})
	if conn, err := Dial(context.Background(), d, kept); err != nil {
		t.Errorf("the key in use: %v", err)
	} else {
		conn.Close()
	}
}

func TestUsers(t *testing.T) {
	need.Root(t)
	need.Packages(t, need.XPackages...)
	x := need.Xvfb(t, "-extension", "SECURITY")
	c, _ := dial(t, x)
	if _, _, err := c.GenerateKey(true, time.Minute); !errors.Is(err, ErrNoSecurity) {
		t.Errorf("without the extension: %v", err)
	}
	friend, stranger := need.NewUser(t), need.NewUser(t)
	opens := func(u need.User) bool {
		return u.Command(context.Background(), []string{"DISPLAY=" + x.Display}, "xdpyinfo").Run() == nil
	}
	if has, err := c.HasUser(friend.UID); has || err != nil || opens(friend) {
		t.Fatalf("let in before it was asked for: %v, %v", has, err)
	}
	if err := c.AddUser(friend.UID); err != nil {
		t.Fatal(err)
	}
	if has, err := c.HasUser(friend.UID); !has || err != nil {
		t.Errorf("on the list: %v, %v", has, err)
	}
	if !opens(friend) {
		t.Error("the user cannot open the display")
	}
	if has, err := c.HasUser(stranger.UID); has || err != nil || opens(stranger) {
		t.Error("a stranger can open the display")
	}
	for range 2 {
		if err := c.RemoveUser(friend.UID); err != nil {
			t.Fatal(err)
		}
	}
	if has, err := c.HasUser(friend.UID); has || err != nil || opens(friend) {
		t.Error("the user can open the display still")
	}
}

// A server that answers nonsense gets an error, never a panic or a hang.
func TestHostileServer(t *testing.T) {
	hello := []byte{1, 0, 11, 0, 0, 0, 0, 0}
	reply := func(words byte, rest ...byte) []byte {
		p := make([]byte, 32)
		p[0], p[2], p[4] = 1, 1, words
		return append(append(p, rest...), 1, 0, 2, 0) // and the beginning of the next
	}
	hosts := reply(1, 5, 0, 0xff, 0xff)
	hosts[8] = 200
	for name, answer := range map[string][]byte{
		"nothing":      {},
		"short hello":  {1, 0, 11},
		"refusal":      {0, 200, 11, 0, 0, 0, 1, 0, 'n', 'o', '!', '!'},
		"no answer":    hello,
		"huge":         append(hello[:8:8], append([]byte{1, 0, 1, 0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 24)...)...),
		"long host":    append(hello[:8:8], append(hosts, make([]byte, 28)...)...),
		"events first": append(hello[:8:8], bytes.Repeat(append([]byte{12}, make([]byte, 31)...), 3)...),
	} {
		ours, theirs := net.Pipe()
		go func() {
			theirs.Write(answer)
			theirs.Close()
		}()
		go func() {
			b := make([]byte, 256)
			for {
				if _, err := theirs.Read(b); err != nil {
					return
				}
			}
		}()
		c := &Conn{conn: ours}
		err := c.setup(Key{})
		if err == nil {
			_, err = c.HasUser(1)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		ours.Close()
	}
}

// grabKeyboard takes all keys of the server for this client (GrabKeyboard, core protocol), as a program that listens would.
func grabKeyboard(c *Conn, root uint32) error {
	const grab, async = 31, 1
	b := le.AppendUint32([]byte{grab, 0, 0, 0}, root)
	b = le.AppendUint32(b, 0) // now
	reply, err := c.request(append(b, async, async, 0, 0))
	if err == nil && reply[1] != 0 {
		err = errors.New("the keyboard is not given away")
	}
	return err
}

// The owner's keys are out of reach of an untrusted program.
func TestUntrustedGrabsNothing(t *testing.T) {
	need.Packages(t, need.XPackages...)
	x := need.Xvfb(t)
	c, d := dial(t, x)
	out, err := x.Client("xwininfo", "-root").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(out), "Window id: ")
	text, _, _ = strings.Cut(text, " ")
	root, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		_, key, err := c.GenerateKey(trusted, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		program, err := Dial(context.Background(), d, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := grabKeyboard(program, uint32(root)); (err == nil) != trusted {
			t.Errorf("trusted %v: grabbing the keyboard: %v", trusted, err)
		}
		program.Close()
	}
}
