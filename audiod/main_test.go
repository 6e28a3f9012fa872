package audiod

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roles are what the test binary can be instead: processes of other users, keepers, workers. The first argument names one.
var roles = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			role(os.Args[2:])
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// child is a process in a role. What it prints to stdout comes as lines; its stderr is kept.
type child struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner
	in    *os.File

	mu     sync.Mutex
	errOut strings.Builder
}

func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errOut.Write(b)
}

func (c *child) stderr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errOut.String()
}

// spawn starts a role as the given user; it is killed when the test ends.
func spawn(t *testing.T, uid uint32, extra []*os.File, args ...string) *child {
	t.Helper()
	return spawnBinary(t, "/proc/self/exe", uid, extra, args...)
}

func spawnBinary(t *testing.T, binary string, uid uint32, extra []*os.File, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(binary, args...), t: t}
	c.ExtraFiles = extra
	c.Stderr = c
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdin, c.in = r, w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	c.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		w.Close()
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("%v said on stderr:\n%s", args, c.stderr())
		}
	})
	return c
}

// line is the next line of its stdout.
func (c *child) line() string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("%v ended; stderr:\n%s", c.Args, c.stderr())
	}
	return c.lines.Text()
}

// until waits for a condition that will come true unless something is broken.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// gone reports whether a process has ended, be it that nobody has asked for its status yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it works with processes of other users")
	}
}

// openFolder is one that other users can reach, which t.TempDir is not, and that belongs to uid.
func openFolder(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "audiod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// freePort is a port nobody listened on a moment ago, below those the kernel gives to connections.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 20000 + os.Getpid()%5000; port < 32000; port++ {
		if ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// users of the tests need no account.
const ownerUID, strangerUID = 61001, 61003

func listenAll(t *testing.T, addrs ...string) []Listener {
	t.Helper()
	var as []Address
	for _, s := range addrs {
		a, err := ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	ls, err := Listen(as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range ls {
			unix.Close(l.FD)
		}
	})
	return ls
}
