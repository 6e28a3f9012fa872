// Package launchertest lets tests make real accounts, sudo rules and directories without touching the machine they run on.
package launchertest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/loopback"
)

// covered are the directories besides /etc that accounts, rules and records live in.
var covered = []string{"/home", "/usr/local", "/var"}

// The test binary starts itself twice: as the first process of the new namespaces, which prepares them and, as the
// first process of any, reaps orphans; and below it as the process that does the tests.
const (
	stage     = "SANDBOX_AUDIO_TEST_STAGE"
	stageInit = "init"
	stageTest = "test"
)

// Isolate starts the test binary once more in namespaces of its own, where /etc and covered are throw-away copies over the real
// ones, /run is empty, every port is free, and no process of the machine is to be seen or hit; that process does the
// tests and this one ends with its status. Call it first in TestMain. Where it cannot be done, why says so, and tests
// that change the system must skip with it.
func Isolate() (why string) {
	if os.Getuid() != 0 {
		return "needs root, for it makes accounts"
	}
	switch os.Getenv(stage) {
	case stageInit:
		status, err := firstProcess()
		if err != nil {
			fmt.Fprintln(os.Stderr, "prepare the test's own system:", err)
			status = 1
		}
		os.Exit(status)
	case stageTest:
		os.Unsetenv(stage)
		return ""
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stage+"="+stageInit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Sprintf("needs namespaces of its own: %v", err)
	}
	_ = cmd.Wait() // the status tells
	os.Exit(cmd.ProcessState.ExitCode())
	panic("unreachable")
}

// firstProcess is the parent of all that the tests leave behind, and they end with it.
func firstProcess() (status int, err error) {
	if err := prepare(); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	os.Setenv(stage, stageTest)
	child, err := syscall.ForkExec(self, os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, err
	}
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == child {
			return w.ExitStatus() & 0xff, err
		}
	}
}

func prepare() error {
	work, err := os.MkdirTemp("", "sandbox-audio-test")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", work, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", work, err)
	}
	if err := copyEtc(filepath.Join(work, "etc")); err != nil {
		return err
	}
	if err := ownNumbers(); err != nil {
		return fmt.Errorf("set useradd's numbers apart: %w", err)
	}
	for _, dir := range covered {
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
	if err := forget(); err != nil {
		return fmt.Errorf("forget what setup made on this machine: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount the processes of this namespace: %w", err)
	}
	// The overlays hold what they need of it; the directory itself can go.
	if err := unix.Unmount(work, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove(work); err != nil {
		return err
	}
	return loopback.Up()
}

// copyEtc puts a copy of /etc in its place. Nobody changes accounts meanwhile (lckpwdf(3)); an overlay would show what is changed later,
// half of it.
func copyEtc(to string) error {
	lock, err := os.OpenFile("/etc/.pwd.lock", os.O_WRONLY|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.FcntlFlock(lock.Fd(), unix.F_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return fmt.Errorf("lock the accounts: %w", err)
	}
	if out, err := exec.Command("cp", "-a", "/etc", to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy /etc: %w: %s", err, out)
	}
	if err := unix.Mount(to, "/etc", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the copy of /etc: %w", err)
	}
	return nil
}

// ownNumbers has useradd give system accounts numbers that it gives nobody outside: the kernel counts processes by them, and whoever
// clears away after an account of the machine sees the processes in here.
func ownNumbers() error {
	f, err := os.OpenFile("/etc/login.defs", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	first := 200 + 20*rand.IntN(35) // useradd begins at 999, downwards
	_, err = fmt.Fprintf(f, "\nSYS_UID_MIN %d\nSYS_UID_MAX %d\n", first, first+19)
	return err
}

// forget removes from the copies what setup has made on the real machine, where the developer uses the program.
func forget() error {
	made := []string{"/var/lib/sandbox-audio", "/usr/local/lib/sandbox-audio"}
	for _, pattern := range []string{"/etc/sudoers.d/sandbox-audio-*", "/etc/tmpfiles.d/sandbox-audio-*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		made = append(made, files...)
	}
	for _, path := range made {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(passwd)) {
		fields := strings.Split(line, ":")
		if len(fields) < 7 || !strings.HasPrefix(fields[4], "sandbox-audio ") {
			continue
		}
		// The account's processes are outside and do not count.
		if out, err := exec.Command("userdel", "--force", fields[0]).CombinedOutput(); err != nil {
			return fmt.Errorf("userdel %s: %w: %s", fields[0], err, out)
		}
		if strings.HasPrefix(fields[5], "/home/") {
			if err := os.RemoveAll(fields[5]); err != nil {
				return err
			}
		}
	}
	return nil
}
