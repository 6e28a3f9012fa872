// Package launchertest lets tests make real accounts, sudo rules and directories without touching the machine they run on.
package launchertest

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copied are the directories that accounts, rules and records live in.
var copied = []string{"/etc", "/home", "/usr/local", "/var"}

const inside = "SANDBOX_AUDIO_TEST_INSIDE"

// Isolate starts the test binary once more in a mount and a network namespace of its own, where copied are throw-away
// copies over the real ones, /run is empty and every port is free; that process does the tests and this one ends with
// its status. Call it first in TestMain. Where it cannot be done, why says so, and tests that change the system must
// skip with it.
func Isolate() (why string) {
	if os.Getuid() != 0 {
		return "needs root, for it makes accounts"
	}
	if os.Getenv(inside) != "" {
		os.Unsetenv(inside)
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the test's own system:", err)
			os.Exit(1)
		}
		return ""
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // the terminal sends it to both; ignored, it would stay so there
	if err := cmd.Start(); err != nil {
		signal.Reset(syscall.SIGINT)
		return fmt.Sprintf("needs mount and network namespaces of its own: %v", err)
	}
	_ = cmd.Wait() // the status tells
	os.Exit(cmd.ProcessState.ExitCode())
	panic("unreachable")
}

func prepare() error {
	work, err := os.MkdirTemp("", "sandbox-audio-test")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", work, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", work, err)
	}
	for _, dir := range copied {
		upper := filepath.Join(work, strings.ReplaceAll(dir, "/", "_"))
		if err := os.MkdirAll(upper+".work", 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(upper, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+upper+".work"); err != nil {
			return fmt.Errorf("mount a copy of %s: %w", dir, err)
		}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	// The overlays hold what they need of it; the directory itself can go.
	if err := unix.Unmount(work, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove(work); err != nil {
		return err
	}
	return loopbackUp()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
