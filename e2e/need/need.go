// Package need brings a test what it needs from the machine: Debian packages, root, users that exist for one test,
// commands run as such a user, and conditions that come true in their own time.
//
// A test that lacks something must not pass: as root the package is installed, otherwise the test is skipped with the
// command that would help, and the test runner counts that skip as a failure wherever nothing may be skipped.
package need

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root skips t when the process is not root, telling how to run it as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run `make test` as root or where sudo works")
	}
}

// Packages makes sure that the named Debian packages are installed, or fails t.
func Packages(t testing.TB, names ...string) {
	t.Helper()
	if err := Install(names...); err != nil {
		t.Fatal(err)
	}
}

// Install makes sure that the named Debian packages are installed, without those they merely recommend. Several processes
// may ask at once. Who is not root gets an error with the command that root would type.
func Install(names ...string) error {
	missing := absent(names)
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing; run: sudo apt-get install %s", strings.Join(missing, " "))
	}
	unlock, err := Lock(filepath.Join(os.TempDir(), "sandbox-audio-apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if missing = absent(names); len(missing) == 0 {
		return nil // another process has installed them meanwhile
	}
	if err = install(missing); err != nil && Update() == nil {
		err = install(missing)
	}
	return err
}

// Update fetches apt's package lists, once in the life of the process.
var Update = sync.OnceValue(func() error { return apt("update", "-qq") })

func install(names []string) error {
	return apt(append([]string{"install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300",
		"-o", "Dpkg::Options::=--force-unsafe-io"}, names...)...)
}

func apt(args ...string) error {
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func absent(names []string) (missing []string) {
	for _, name := range names {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status}", name).Output()
		if err != nil || string(out) != "installed" {
			missing = append(missing, name)
		}
	}
	return missing
}

// Lock holds path locked against other processes, and waits until nobody else does.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// Eventually waits until holds says "" and fails t with its last answer when that takes longer than within.
func Eventually(t testing.TB, within time.Duration, holds func() (lacking string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		lacking := holds()
		if lacking == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", within, lacking)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
