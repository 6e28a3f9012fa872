package launcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/launcher/launchertest"
)

// whyNotRoot is empty where a test may change the system.
var whyNotRoot string

// The test binary is also every program that these tests start, by the name it is started under.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case EntryName:
		os.Exit(Enter(os.Args[1:]))
	case "run":
		os.Exit(runMain())
	case "launch":
		os.Exit(launchMain())
	case "notify":
		os.Exit(notifyMain(os.Args[1:]))
	case "sti":
		os.Exit(stiMain())
	case "reach":
		os.Exit(reachMain(os.Args[1:]))
	case "forbid":
		os.Exit(forbidMain(os.Args[1:]))
	case "nonsense":
		os.Exit(nonsenseMain(os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "daemon" {
		os.Exit(daemonMain(os.Args[2:]))
	}
	if os.Getuid() == 0 { // before the machine is out of reach
		if err := need.Install(slices.Concat(need.XPackages, []string{"acl", "dbus-bin", "dbus-daemon", "dconf-cli", "dconf-gsettings-backend", "fontconfig", "fonts-dejavu-core", "gsettings-desktop-schemas", "libglib2.0-bin", "sudo", "sway", "wayland-utils", "weston", "wl-clipboard", "xclip", "xserver-xephyr", "xwayland"})...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	whyNotRoot = launchertest.Isolate()
	os.Exit(m.Run())
}

// called is this test binary under another name.
func called(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// runMain is a run without a change of user: the plan comes on the command line.
func runMain() int {
	var p Plan
	if err := json.Unmarshal([]byte(os.Args[1]), &p); err != nil {
		panic(err)
	}
	if err := json.Unmarshal([]byte(os.Args[2]), &p.request); err != nil {
		panic(err)
	}
	var err error
	if p.tty, err = wantsTerminal(os.Getenv("TEST_TTY"), ""); err != nil {
		panic(err)
	}
	status, err := p.Run(nil, func(s string) { fmt.Fprintln(os.Stderr, s) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
	}
	return status
}

// launchMain is run as its owner calls it, without sound.
func launchMain() int {
	owner, err := Owner()
	if err != nil {
		panic(err)
	}
	var config Config
	if _, err := config.decode(os.Getenv("TEST_CONFIG")); err != nil {
		panic(err)
	}
	plan, err := NewPlan(Request{
		Profile: DefaultProfile, Argv: os.Args[1:], Environ: os.Environ(), Dir: "/",
		Display: os.Getenv("TEST_DISPLAY"), X11: os.Getenv("TEST_X11"), TTY: os.Getenv("TEST_TTY"),
	}, owner, config)
	leaveWait = time.Minute // what is left when it ends is the session's doing, not a slow machine's
	if os.Getenv("TEST_PATIENT") != "" {
		againWait = time.Minute
	}
	status := StatusFailed
	if err == nil {
		status, err = plan.Run(nil, func(s string) { fmt.Fprintln(os.Stderr, s) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
	}
	return status
}

// launcherOf is a command line's beginning for the owner of a profile that is set up.
func launcherOf(t *testing.T, owner Account) func(env []string, argv ...string) *exec.Cmd {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "launch") // a temporary directory of the test's is open to all; that of the test binary may not be
	for dir := filepath.Dir(path); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return func(env []string, argv ...string) *exec.Cmd {
		cmd := exec.Command(path, argv...)
		cmd.Dir = "/"
		cmd.Env = append([]string{"HOME=" + owner.Home, "USER=" + owner.Name, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(owner.UID), Gid: uint32(owner.GID)}}
		return cmd
	}
}

// planFor is a plan whose helper is whoever runs the test, entered directly.
func planFor(t *testing.T, argv ...string) *Plan {
	t.Helper()
	home := t.TempDir()
	me := Account{Name: "me", UID: os.Getuid(), GID: os.Getgid(), Home: home}
	return &Plan{
		Owner: me, Helper: me, Method: "su", Enter: []string{called(t, EntryName)}, DaemonUID: os.Getuid(),
		request: request{
			Argv: argv, Dir: home, Home: home, RuntimeDir: home + "/.cache/sandbox-audio/run", Umask: 0o027,
			Env: environment(nil, "/home/owner", me, home+"/.cache/sandbox-audio/run", "unix:/x tcp:127.0.0.1:1"),
		},
	}
}

// runCommand is the plan as a process of its own.
func runCommand(t *testing.T, p *Plan) *exec.Cmd {
	t.Helper()
	plan, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	req, err := json.Marshal(p.request)
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(called(t, "run"), string(plan), string(req))
}

// daemonMain is a daemon that holds its addresses and answers nobody.
func daemonMain(args []string) int {
	for i, arg := range args {
		switch arg {
		case "--listen":
			network, where, _ := strings.Cut(args[i+1], ":")
			if network == "unix" {
				os.Remove(where)
			}
			l, err := net.Listen(network, where)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go io.Copy(io.Discard, conn)
				}
			}()
		case "--device":
			if args[i+1] == "broken" {
				fmt.Fprintln(os.Stderr, "no such card")
				return 1
			}
			f, err := os.OpenFile(args[i+1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) // the test's list of who started
			if err != nil {
				return 1
			}
			fmt.Fprintln(f, os.Getpid())
		}
	}
	select {}
}

// until waits for a condition, and fails the test when it does not come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// lineOf reads the first line that a command writes.
func lineOf(t *testing.T, r io.Reader) string {
	t.Helper()
	var line bytes.Buffer
	for b := make([]byte, 1); ; line.Write(b) {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("after %q: %v", line.String(), err)
		}
		if b[0] == '\n' {
			return line.String()
		}
	}
}

func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH || !processLives(pid) }
