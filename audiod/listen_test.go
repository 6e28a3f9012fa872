package audiod

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sandbox-audio/holder"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"unix:/run/x/native":          "unix:/run/x/native",
		"unix:/run//x/../native":      "unix:/run/native",
		"tcp:127.0.0.1:4713":          "tcp:127.0.0.1:4713",
		"tcp:127.3.2.1:0":             "tcp:127.3.2.1:0",
		"tcp:[::1]:4713":              "tcp:[::1]:4713",
		"tcp:[::ffff:127.0.0.1]:4713": "tcp:127.0.0.1:4713",
	} {
		if a, err := ParseAddress(in); err != nil || a.String() != want {
			t.Errorf("%q: %v, %v; want %q", in, a, err, want)
		}
	}
	for in, want := range map[string]string{
		"unix:native":                       "must be absolute",
		"unix:":                             "must be absolute",
		"unix:@abstract":                    "must be absolute",
		"unix:/a\x00b":                      "zero byte",
		"unix:/" + strings.Repeat("x", 107): "108 bytes",
		"tcp:192.168.1.2:4713":              "only loopback is served, because",
		"tcp:0.0.0.0:4713":                  "only loopback is served, because",
		"tcp:[::]:4713":                     "only loopback is served, because",
		"tcp:[::ffff:10.0.0.1]:1":           "only loopback is served, because",
		"tcp:[::1%lo]:4713":                 "only loopback is served, because",
		"tcp:localhost:4713":                "want a number and a port",
		"tcp:127.0.0.1":                     "want a number and a port",
		"tcp:127.0.0.1:65536":               "want a number and a port",
		"127.0.0.1:4713":                    "must begin with unix: or tcp:",
		"":                                  "must begin with unix: or tcp:",
	} {
		if a, err := ParseAddress(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", in, a, err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"unix:/run/x", "tcp:127.0.0.1:1", "tcp:[::1]:4713", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q is %v, which is %v, %v", s, a, again, err)
		}
	})
}

func listenOn(addr string) error {
	a, err := ParseAddress(addr)
	if err != nil {
		return err
	}
	ls, err := Listen([]Address{a})
	for _, l := range ls {
		l.Close()
	}
	return err
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func TestListenUnix(t *testing.T) {
	path := openFolder(t, os.Getuid()) + "/native"
	l := listenAll(t, "unix:"+path)[0]
	if st, err := os.Stat(path); err != nil || st.Mode() != os.ModeSocket|0o666 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	self := fmt.Sprintf("(pid %d) of %s", os.Getpid(), holder.UserName(uint32(os.Getuid())))
	wantError(t, listenOn("unix:"+path), "in use by", self, fmt.Sprintf("kill %d", os.Getpid()))

	unix.Close(l.FD) // as a crash leaves it
	if a, err := holderOf(l.Address); !errors.Is(err, holder.ErrNobody) {
		t.Errorf("holder of a dead socket: %v, %v", a, err)
	}
	l = listenAll(t, "unix:"+path)[0]
	if _, err := os.Stat(path + ".lock"); !os.IsNotExist(err) {
		t.Errorf("the lock file stays: %v", err)
	}

	os.Remove(path) // and somebody else's is there instead
	other := listenAll(t, "unix:"+path)[0]
	fd, _ := unix.Dup(l.FD)
	l.Close()
	if _, err := holderOf(other.Address); err != nil {
		t.Errorf("Close removed another's socket: %v", err)
	}
	unix.Close(fd)
	other.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("Close left its socket: %v", err)
	}

	os.WriteFile(path, []byte("mine"), 0o600)
	wantError(t, listenOn("unix:"+path), "not a socket is there")
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Error("the file is gone")
	}
}

func TestListenUnixFolder(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	wantError(t, listenOn("unix:"+dir+"/none/native"), "no folder "+dir+"/none", "mkdir -m 755 "+dir+"/none")
	wantError(t, listenOn("unix:/tmp/native"), "others may write to the folder /tmp")
	for _, mode := range []os.FileMode{0o775, 0o757, 0o777 | os.ModeSticky} {
		os.Chmod(dir, mode)
		wantError(t, listenOn("unix:"+dir+"/native"), "others may write", "chmod go-w "+dir)
	}
	os.Chmod(dir, 0o755)
	os.Mkdir(dir+"/open", 0o777)
	os.Chmod(dir+"/open", 0o777)
	os.Mkdir(dir+"/open/closed", 0o755)
	wantError(t, listenOn("unix:"+dir+"/open/closed/native"), "others may write to the folder "+dir+"/open ")
	os.Symlink(dir+"/open", dir+"/link")
	wantError(t, listenOn("unix:"+dir+"/link/native"), "others may write to the folder "+dir+"/open ")
	if os.Getuid() == 0 {
		os.Chown(dir, strangerUID, strangerUID)
		wantError(t, listenOn("unix:"+dir+"/native"), fmt.Sprintf("belongs to uid %d", strangerUID))
		if ls, err := Listen([]Address{{Path: dir + "/native"}}, strangerUID); err != nil {
			t.Errorf("trusted owner: %v", err)
		} else {
			ls[0].Close()
		}
	}
}

// Of several daemons that find a dead socket at once, one gets the path.
func TestListenUnixRace(t *testing.T) {
	path := openFolder(t, os.Getuid()) + "/native"
	for range 20 {
		unix.Close(listenAll(t, "unix:"+path)[0].FD)
		var wg sync.WaitGroup
		won := make(chan Listener, 8)
		for range cap(won) {
			wg.Go(func() {
				if ls, err := Listen([]Address{{Path: path}}); err == nil {
					won <- ls[0]
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d listen on one path", len(won))
		}
		(<-won).Close()
	}
}

func TestListenTCP(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			a, _ := ParseAddress("tcp:" + host + ":0")
			ls, err := Listen([]Address{a})
			if errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Skip("no IPv6 on loopback")
			} else if err != nil {
				t.Fatal(err)
			}
			defer ls[0].Close()
			at := ls[0].Address
			if at.AddrPort.Port() == 0 || at.AddrPort.Addr() != a.AddrPort.Addr() {
				t.Errorf("bound %v", at)
			}
			wantError(t, listenOn(at.String()), "in use by", fmt.Sprintf("(pid %d) of %s", os.Getpid(), holder.UserName(uint32(os.Getuid()))))
		})
	}
	// One who listens on all addresses holds ours too.
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	wantError(t, listenOn(fmt.Sprintf("tcp:127.0.0.1:%d", ln.Addr().(*net.TCPAddr).Port)), "in use by", fmt.Sprintf("kill %d", os.Getpid()))

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	silent, _ := unix.Getsockname(fd)
	wantError(t, listenOn(fmt.Sprintf("tcp:127.0.0.1:%d", silent.(*unix.SockaddrInet4).Port)), "a socket that does not listen holds it")
}

// One bad address, and none stays bound.
func TestListenAllOrNone(t *testing.T) {
	path := openFolder(t, os.Getuid()) + "/native"
	if _, err := Listen([]Address{{Path: path}, {Path: path + "/x"}}); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the first socket is still there: %v", err)
	}
}

func init() {
	roles["role:handed"] = func([]string) {
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
		ls, err := handedOver()
		for _, l := range ls {
			flags, _ := unix.FcntlInt(uintptr(l.FD), unix.F_GETFD, 0)
			fmt.Println(l.Address, flags == unix.FD_CLOEXEC)
		}
		fmt.Printf("%v %q\n", err, os.Getenv("LISTEN_FDS"))
		ls, err = handedOver()
		fmt.Println(len(ls), err)
	}
}

func TestHandedOver(t *testing.T) {
	path := openFolder(t, os.Getuid()) + "/native"
	var files []*os.File
	for _, l := range listenAll(t, "unix:"+path, "tcp:127.0.0.1:0") {
		fd, _ := unix.Dup(l.FD)
		files = append(files, os.NewFile(uintptr(fd), l.Address.String()))
	}
	t.Setenv("LISTEN_FDS", "2")
	c := spawn(t, 0, files, "role:handed")
	for _, want := range []string{files[0].Name() + " true", files[1].Name() + " true", `<nil> ""`, "0 <nil>"} {
		if got := c.line(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	all, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	f, _ := all.(*net.TCPListener).File()
	t.Setenv("LISTEN_FDS", "1")
	if got := spawn(t, 0, []*os.File{f}, "role:handed").line(); !strings.Contains(got, "only unix sockets and loopback are served") {
		t.Errorf("socket on all addresses: %q", got)
	}
	if got := spawn(t, 0, nil, "role:handed").line(); !strings.Contains(got, "descriptor 3 is not a socket") {
		t.Errorf("no socket: %q", got)
	}
	datagrams, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	f, _ = datagrams.(*net.UDPConn).File()
	if got := spawn(t, 0, []*os.File{f}, "role:handed").line(); !strings.Contains(got, "not a listening stream socket") {
		t.Errorf("udp: %q", got)
	}
}

// An answer on TCP does not wait for more to send with it, whoever made the listening socket.
func TestAcceptedTCPHasNoDelay(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := listenerOf(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fd, errno := accept(int(f.Fd()))
	if errno != 0 {
		t.Fatal(errno)
	}
	defer closeSocket(fd)
	if on, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}
