package need

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// XPackages are the Debian packages of Xvfb and of the X clients that tests run.
var XPackages = []string{"x11-apps", "x11-utils", "x11-xserver-utils", "xauth", "xvfb"}

// X is a running X server that lets in whoever has the key in its authority file, and nobody else.
type X struct {
	Display   string // :N
	Authority string // 0600 and the caller's
	Process   *os.Process
}

// Xvfb starts an X server without a screen to see, with more arguments if there are any, until t ends. XPackages must
// be there.
func Xvfb(t testing.TB, args ...string) X {
	t.Helper()
	// Not -displayfd, which takes the number of a server that runs in another process namespace for free.
	number := strconv.Itoa(1000 + rand.IntN(50000))
	x := X{Display: ":" + number, Authority: filepath.Join(t.TempDir(), "Xauthority")}
	entry := binary.BigEndian.AppendUint16(nil, 65535) // any address
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(rand.IntN(256))
	}
	for _, field := range []string{"", number, "MIT-MAGIC-COOKIE-1", string(key)} {
		entry = append(binary.BigEndian.AppendUint16(entry, uint16(len(field))), field...)
	}
	if err := os.WriteFile(x.Authority, entry, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("Xvfb", append([]string{x.Display, "-auth", x.Authority, "-noreset", "-screen", "0", "800x600x24", "-nolisten", "tcp"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.Process = cmd.Process
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended tells nothing
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	Eventually(t, time.Minute, func() string {
		select {
		case <-ended:
			t.Fatalf("Xvfb: %s", said.String())
		default:
		}
		if out, err := x.Client("xdpyinfo").CombinedOutput(); err != nil {
			return string(out)
		}
		return ""
	})
	return x
}

// Environ is what a client of the server needs.
func (x X) Environ() []string { return []string{"DISPLAY=" + x.Display, "XAUTHORITY=" + x.Authority} }

// Client is a client of the server, run by whoever runs the test.
func (x X) Client(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), x.Environ()...)
	return cmd
}
