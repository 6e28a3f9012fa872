package launcher

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestListenerLine(t *testing.T) {
	const (
		listens  = "   0: 0100007F:1269 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 67890 1 0000000000000000 100 0 0 10 0"
		wildcard = "   1: 00000000:1269 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 67891 1 0000000000000000 100 0 0 10 0"
		client   = "   2: 0100007F:1269 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 67892 1 0000000000000000 100 0 0 10 0"
		other    = "   3: 0101007F:1269 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 67893 1 0000000000000000 100 0 0 10 0"
	)
	for _, test := range []struct {
		line  string
		uid   int
		inode string
	}{{listens, 1000, "67890"}, {wildcard, 1001, "67891"}, {client, 0, ""}, {other, 0, ""}, {"", 0, ""}, {"  sl  local_address rem_address   st tx_queue", 0, ""}} {
		uid, inode, ok := listenerLine(test.line, 4713)
		if uid != test.uid || inode != test.inode || ok != (test.inode != "") {
			t.Errorf("%q: %d, %q, %v", test.line, uid, inode, ok)
		}
		if _, _, ok := listenerLine(test.line, 4714); ok {
			t.Errorf("%q listens on another port", test.line)
		}
	}
}

func TestAddressHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "native")
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"unix:" + path, "tcp:" + tcp.Addr().String()} {
		h, ok, err := addressHolder(addr)
		if err != nil || !ok || h.pid != os.Getpid() || h.uid != os.Getuid() {
			t.Errorf("%s: %+v, %v, %v", addr, h, ok, err)
		}
		if !h.isDaemon(os.Getuid()) {
			t.Errorf("%s: this very program is taken for another", addr)
		}
		if h.isDaemon(os.Getuid() + 1) {
			t.Errorf("%s: the uid does not count", addr)
		}
	}
	tcp.Close()
	unix.(*net.UnixListener).SetUnlinkOnClose(false)
	unix.Close() // the file stays, as after a crash
	for _, addr := range []string{"unix:" + path, "unix:" + path + "x", "tcp:" + tcp.Addr().String()} {
		if h, ok, err := addressHolder(addr); ok || err != nil {
			t.Errorf("%s: %+v, %v", addr, h, err)
		}
	}
}

// Another program of the same user, such as the owner's PulseAudio, is not our daemon.
func TestAnotherProgramIsNotTheDaemon(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	h := holder{uid: os.Getuid(), pid: cmd.Process.Pid}
	if h.isDaemon(os.Getuid()) {
		t.Error("sleep is taken for the daemon")
	}
	if s := h.String(); !strings.Contains(s, "sleep (process "+strconv.Itoa(h.pid)+" of ") {
		t.Errorf("it is called %q", s)
	}
}
