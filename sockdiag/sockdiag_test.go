package sockdiag

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListening(t *testing.T) {
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for _, bound := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		l, err := net.Listen("tcp", bound)
		if err != nil {
			t.Logf("%s: %v", bound, err) // a machine without IPv6
			continue
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		if at.Addr().IsUnspecified() { // it takes loopback's connections too
			at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
		}
		if s, err := k.Listening(at); err != nil || int(s.UID) != os.Getuid() || s.Inode == 0 {
			t.Errorf("%s: %+v, %v", bound, s, err)
		}
		conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if s, err := k.Listening(conn.LocalAddr().(*net.TCPAddr).AddrPort()); !errors.Is(err, ErrNotFound) {
			t.Errorf("a connected socket listens: %+v, %v", s, err)
		}
		l.Close()
		if s, err := k.Listening(at); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s, closed: %+v, %v", bound, s, err)
		}
	}
	elsewhere, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), elsewhere.Addr().(*net.TCPAddr).AddrPort().Port())
	if s, err := k.Listening(at); !errors.Is(err, ErrNotFound) {
		t.Errorf("a socket on 127.0.0.2 takes connections to 127.0.0.1: %+v, %v", s, err)
	}
}

func BenchmarkConnected(b *testing.B) {
	k, err := Open()
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	ln, _ := net.Listen("tcp4", "127.0.0.1:0")
	defer ln.Close()
	conn, _ := net.Dial("tcp4", ln.Addr().String())
	defer conn.Close()
	local, remote := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	for b.Loop() {
		if _, err := k.Connected(local, remote); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever the kernel answers, taking it apart must not read past its end.
func FuzzAnswer(f *testing.F) {
	a, b := netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:4713")
	answer := make([]byte, headerLen+answerLen)
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	binary.NativeEndian.PutUint16(answer[4:], sockDiagByFamily)
	answer[8] = 1
	copy(answer[headerLen+4:], appendRequest(nil, 0, a, b)[headerLen+8:]) // the same four-tuple
	answer[headerLen], answer[headerLen+1] = unix.AF_INET, unix.BPF_TCP_ESTABLISHED
	binary.NativeEndian.PutUint32(answer[headerLen+4+sockIDLen+12:], 1001)
	if seq, sock, err := parseAnswer(answer); seq != 1 || sock.UID != 1001 || sock.local != a || sock.remote != b || err != nil {
		f.Fatal(seq, sock, err)
	}
	f.Add(answer)
	f.Add(answer[:headerLen])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, sock, err := parseAnswer(answer); err == nil && len(answer) < headerLen+answerLen {
			t.Errorf("%+v out of %d bytes", sock, len(answer))
		}
	})
}
