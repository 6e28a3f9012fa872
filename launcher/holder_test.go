package launcher

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sandbox-audio/holder"
)

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
		if err != nil || !ok || h.PID != os.Getpid() || int(h.UID) != os.Getuid() {
			t.Errorf("%s: %+v, %v, %v", addr, h, ok, err)
		}
		if !isDaemon(h, os.Getuid()) {
			t.Errorf("%s: this very program is taken for another", addr)
		}
		if isDaemon(h, os.Getuid()+1) {
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
	h := holder.Process{UID: uint32(os.Getuid()), PID: cmd.Process.Pid}
	if isDaemon(h, os.Getuid()) {
		t.Error("sleep is taken for the daemon")
	}
}
