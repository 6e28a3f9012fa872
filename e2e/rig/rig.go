// Package rig puts the real program to work for a test: built once, its daemon started as a user of the test's, playing into a file that the
// test listens to.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/session"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// Binary is the path of the program, built by the first test that asks, where every user may execute it.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "sandbox-audio-rig-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sandbox-audio")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/sandbox-audio")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Clean removes what Binary built. A test package with a rig calls it at the end of its TestMain.
func Clean() {
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
}

// Folder is a folder of u's that others may enter, gone when t ends.
func Folder(t testing.TB, u need.User) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "sa-rig-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	return dir
}

// FreePort is a TCP port of 127.0.0.1 that nobody holds now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Daemon is a running daemon.
type Daemon struct {
	Owner     need.User
	Unix, TCP string // its addresses, as PULSE_SERVER and --listen write them
	WAV       string // the file it plays into, if any
	Keeper    int    // process id

	log bytes.Buffer
	mu  sync.Mutex
}

// Start runs a daemon as owner on a Unix socket and a TCP port of its own, until t ends. It plays into a WAV file: a device in args is one more.
func Start(t testing.TB, owner need.User, args ...string) *Daemon {
	t.Helper()
	return StartIn(t, owner, nil, args...)
}

// StartIn is Start with more in the daemon's environment.
func StartIn(t testing.TB, owner need.User, env []string, args ...string) *Daemon {
	t.Helper()
	dir := Folder(t, owner)
	d := start(t, owner, dir, env, append([]string{"--device", "wav:" + dir + "/heard.wav"}, args...))
	d.WAV = dir + "/heard.wav"
	return d
}

// StartSilent is Start with a device in place of the file that keeps time and is silent.
func StartSilent(t testing.TB, owner need.User, args ...string) *Daemon {
	t.Helper()
	return start(t, owner, Folder(t, owner), nil, append([]string{"--device", "null"}, args...))
}

// StartOn is Start with that environment and without a device, so that the daemon chooses.
func StartOn(t testing.TB, owner need.User, env []string, args ...string) *Daemon {
	t.Helper()
	return start(t, owner, Folder(t, owner), env, args)
}

func start(t testing.TB, owner need.User, dir string, env, args []string) *Daemon {
	t.Helper()
	d := &Daemon{Owner: owner, Unix: "unix:" + dir + "/native", TCP: "tcp:127.0.0.1:" + strconv.Itoa(FreePort(t))}
	ctx, cancel := context.WithCancel(context.Background())
	argv := append([]string{"daemon", "--listen", d.Unix, "--listen", d.TCP, "--state", "none"}, args...)
	cmd := owner.Command(ctx, env, Binary(t), argv...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = writer{d}, writer{d}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.Keeper = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.Log())
		}
	})
	need.Eventually(t, time.Minute, func() string {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the daemon ended: %v\n%s", err, d.Log())
		default:
		}
		if strings.Contains(d.Log(), "ready on") {
			return ""
		}
		return "the daemon is not ready"
	})
	return d
}

type writer struct{ d *Daemon }

func (w writer) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return w.d.log.Write(p)
}

// Log is what the daemon has said so far.
func (d *Daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// Heard is what the daemon has played so far.
func (d *Daemon) Heard(t testing.TB) sound.Sound {
	t.Helper()
	s, err := sound.ReadWAV(d.WAV)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Status asks the daemon as its owner.
func (d *Daemon) Status(t testing.TB) session.Status {
	t.Helper()
	st, err := Status(d.Owner, d.Unix, Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Status asks the daemon at addr, as user, through the status command.
func Status(user need.User, addr, binary string) (st session.Status, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := user.Command(ctx, nil, binary, "status", "--json", "--server", addr)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return st, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return st, json.Unmarshal(out, &st)
}

// Worker is the process id of the keeper's worker; 0 when it has none now.
func Worker(keeper int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", keeper, keeper))
	if err == nil {
		for word := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(word); err == nil {
				return pid
			}
		}
	}
	return children(keeper)
}

// children is the first child of pid's by looking at every process, where the kernel keeps no list.
func children(pid int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) && fields[0] != "Z" {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return child
		}
	}
	return 0
}
