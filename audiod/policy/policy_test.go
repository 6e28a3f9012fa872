package policy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sandbox-audio/sockdiag"
)

// The peers of these tests are real processes of real other users: the test binary again, with POLICY_TEST_PEER set.

func TestMain(m *testing.M) {
	if addr := os.Getenv("POLICY_TEST_PEER"); addr != "" {
		if err := bePeer(addr); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// bePeer connects to "network address", says so, and does what each line of its input tells.
func bePeer(addr string) error {
	network, address, _ := strings.Cut(addr, " ")
	var conn net.Conn
	var err error
	if network == "mapped" { // IPv4 through an IPv6 socket
		conn, err = dialMapped(address)
	} else {
		conn, err = net.Dial(network, address)
	}
	if err != nil {
		return err
	}
	fmt.Println("connected")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("done") {
		switch in.Text() {
		case "write":
			_, err = conn.Write([]byte("bytes that must not be read"))
		case "close":
			err = conn.Close()
		case "half-close":
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
		case "reset":
			conn.(*net.TCPConn).SetLinger(0)
			err = conn.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dialMapped(address string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	sa := &unix.SockaddrInet6{Port: to.Port}
	copy(sa.Addr[:], to.IP.To16())
	if err := unix.Connect(fd, sa); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "mapped")
	defer f.Close()
	return net.FileConn(f)
}

// peer is a process of another user that holds the far end of fd.
type peer struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	fd  int
	pid int
}

// connect has a process of the given user connect to ln, and accepts it.
func connect(t *testing.T, ln net.Listener, network string, uid, gid uint32) *peer {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"POLICY_TEST_PEER=" + network + " " + ln.Addr().String()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	p := &peer{t: t, in: in, out: bufio.NewReader(out), pid: cmd.Process.Pid}
	p.expect("connected")
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := conn.(interface{ File() (*os.File, error) }).File()
	conn.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p.fd = int(f.Fd())
	return p
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); strings.TrimSpace(line) != want {
		p.t.Fatalf("peer said %q, %v; want %q", line, err, want)
	}
}

// do has the peer do something and waits until it is done.
func (p *peer) do(what string) {
	p.t.Helper()
	fmt.Fprintln(p.in, what)
	p.expect("done")
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: the peers are processes of other users")
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil && network == "tcp6" {
		t.Skip("no IPv6 on loopback: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if network == "unix" {
		os.Chmod(addr, 0o666)
	}
	return ln
}

// socketPath is in a folder other users can reach, which t.TempDir is not.
func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "policy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return dir + "/native"
}

func newRules(t *testing.T, owner uint32, allow ...string) *Rules {
	t.Helper()
	r, err := NewRules([]uint32{owner}, allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func reason(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return Reason(fmt.Sprint(err))
}

const owner, helper, stranger = 61001, 61002, 61003

func TestAdmit(t *testing.T) {
	needRoot(t)
	lns := map[string]net.Listener{
		"tcp4":   listen(t, "tcp4", "127.0.0.1:0"),
		"unix":   listen(t, "unix", socketPath(t)),
		"mapped": nil,
	}
	lns["mapped"] = lns["tcp4"]
	if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		t.Cleanup(func() { ln.Close() })
		lns["tcp6"] = ln
	} else {
		t.Log("without IPv6: ", err)
	}
	r := newRules(t, owner, fmt.Sprint(helper))
	for network, ln := range lns {
		t.Run(network, func(t *testing.T) {
			for uid, want := range map[uint32]Grant{owner: Owner, helper: Playback} {
				p := connect(t, ln, network, uid, uid)
				got, grant, err := r.Admit(p.fd)
				if err != nil || grant != want || got.UID != uid {
					t.Errorf("uid %d: %+v, %v, %v; want %v", uid, got, grant, err, want)
				}
				if network == "unix" && (got.PID != int32(p.pid) || got.GID != uid || got.Transport != Unix) {
					t.Errorf("uid %d: %+v, want pid %d and gid %d", uid, got, p.pid, uid)
				} else if network != "unix" && (got.PID != 0 || got.GID != NoID || got.Transport != TCP) {
					t.Errorf("uid %d over tcp: %+v", uid, got)
				}
				if err := r.Recheck(p.fd, got); err != nil {
					t.Errorf("recheck: %v", err)
				}
			}
			p := connect(t, ln, network, stranger, helper)
			if got, grant, err := r.Admit(p.fd); reason(err) != NoGrant || grant != None || got.UID != stranger {
				t.Errorf("stranger: %+v, %v, %v", got, grant, err)
			}
		})
	}
}

// Root has the owner's grant on the Unix socket, and none on TCP, where uid 0 is also what sockets without an owner show.
func TestAdmitRoot(t *testing.T) {
	needRoot(t)
	r := newRules(t, 0, "root")
	u := connect(t, listen(t, "unix", socketPath(t)), "unix", 0, 0)
	if _, grant, err := r.Admit(u.fd); grant != Owner || err != nil {
		t.Errorf("unix: %v, %v", grant, err)
	}
	p := connect(t, listen(t, "tcp4", "127.0.0.1:0"), "tcp4", 0, 0)
	if _, grant, err := r.Admit(p.fd); grant != None || reason(err) != RootOverTCP {
		t.Errorf("tcp: %v, %v", grant, err)
	}
}

// A peer with a grant that is gone when it is looked up cannot be told from one without, so it is refused, though what it wrote could be read.
func TestAdmitGone(t *testing.T) {
	needRoot(t)
	r := newRules(t, owner, fmt.Sprint(helper))
	for _, network := range []string{"tcp4", "tcp6"} {
		for what, want := range map[string]Reason{"close": Closed, "half-close": HalfClosed, "reset": Reset} {
			t.Run(network+" "+what, func(t *testing.T) {
				addr := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
				p := connect(t, listen(t, network, addr), network, helper, helper)
				p.do("write")
				p.do(what)
				if got, grant, err := r.Admit(p.fd); grant != None || reason(err) != want {
					t.Errorf("%+v, %v, %v; want %q", got, grant, err, want)
				}
			})
			t.Run(network+" "+what+" after", func(t *testing.T) {
				addr := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
				p := connect(t, listen(t, network, addr), network, helper, helper)
				first, _, err := r.Admit(p.fd)
				if err != nil {
					t.Fatal(err)
				}
				p.do(what)
				if err := r.Recheck(p.fd, first); reason(err) != want {
					t.Errorf("%v; want %q", err, want)
				}
			})
		}
	}
}

// A stranger who takes the address of a peer that reset its connection, even with a listening socket, gets nothing by it.
func TestAdmitPortReused(t *testing.T) {
	needRoot(t)
	r := newRules(t, owner, fmt.Sprint(helper))
	p := connect(t, listen(t, "tcp4", "127.0.0.1:0"), "tcp4", helper, helper)
	at, err := peerName(p.fd)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := sockName(p.fd)
	if err != nil {
		t.Fatal(err)
	}
	p.do("reset")
	listen(t, "tcp4", at.String())
	if _, grant, err := r.Admit(p.fd); grant != None || reason(err) != Reset {
		t.Errorf("%v, %v", grant, err)
	}
	if _, err := r.kernel.Connected(at, ours); !errors.Is(err, sockdiag.ErrNotFound) {
		t.Errorf("the listening socket counts as a connection: %v", err)
	}
}

func TestRecheckOther(t *testing.T) {
	needRoot(t)
	r := newRules(t, owner, fmt.Sprint(helper))
	ln := listen(t, "tcp4", "127.0.0.1:0")
	a, b := connect(t, ln, "tcp4", helper, helper), connect(t, ln, "tcp4", helper, helper)
	first, _, err := r.Admit(a.fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Recheck(b.fd, first); reason(err) != Changed {
		t.Errorf("another socket of the same user: %v", err)
	}
	r.accounts.uids = nil
	if err := r.Recheck(a.fd, first); reason(err) != NoGrant {
		t.Errorf("grant withdrawn: %v", err)
	}
}

func TestNotLoopback(t *testing.T) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		ln := listen(t, "tcp", net.JoinHostPort(ip.String(), "0"))
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		f, _ := conn.(*net.TCPConn).File()
		defer f.Close()
		r := newRules(t, uint32(os.Getuid()))
		if _, grant, err := r.Admit(int(f.Fd())); grant != None || reason(err) != NotLoopback {
			t.Errorf("%v: %v, %v", ip, grant, err)
		}
		return
	}
	t.Skip("this machine has no address but loopback")
}

func TestCheckTCP(t *testing.T) {
	if err := newRules(t, uint32(os.Getuid())).CheckTCP(); err != nil {
		t.Error(err)
	}
}
