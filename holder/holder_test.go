package holder

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	onPath, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	me := func(p Process, err error) {
		t.Helper()
		if err != nil || p.PID != os.Getpid() || int(p.UID) != os.Getuid() || p.Program != ProgramName(os.Getpid()) || p.Program == "" {
			t.Errorf("%+v, %v", p, err)
		}
	}
	nobody := func(p Process, err error) {
		t.Helper()
		if !errors.Is(err, ErrNobody) {
			t.Errorf("%+v, %v; want nobody", p, err)
		}
	}
	me(Unix(path))
	onPath.(*net.UnixListener).SetUnlinkOnClose(false)
	onPath.Close()
	nobody(Unix(path))
	nobody(Unix(path + "x"))

	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("%s: %v", at, err) // a machine without IPv6
			continue
		}
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		if addr.Addr().IsUnspecified() { // it takes loopback's connections too
			addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addr.Port())
		}
		me(TCP(addr))
		l.Close()
		nobody(TCP(addr))
	}
}

func TestNames(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	p := Process{PID: cmd.Process.Pid, UID: 0, Program: ProgramName(cmd.Process.Pid)}
	if s := p.String(); !strings.HasPrefix(s, "sleep (pid ") || !strings.HasSuffix(s, ") of user root") {
		t.Errorf("it is called %q", s)
	}
	if s := (Process{UID: 64123}).String(); s != "a program of uid 64123" {
		t.Errorf("it is called %q", s)
	}
	if s := Printable("a\x1b[31m\nb"); s != "a?[31m?b" {
		t.Errorf("%q", s)
	}
}
