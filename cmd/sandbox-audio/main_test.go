package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"sandbox-audio/e2e/need"
	"sandbox-audio/launcher"
	"sandbox-audio/launcher/launchertest"
)

// whyNotRoot is empty where scripts may make accounts.
var whyNotRoot string

// The test binary is also the program, and the entry program that setup copies from it.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "sandbox-audio", launcher.EntryName, launcher.LinkName:
		main()
	}
	whyNotRoot = launchertest.Isolate()
	os.Exit(m.Run())
}

// oneByOne lets scripts share the machine: accounts and the sudoers folder are there once.
type oneByOne struct{ *testing.T }

func (oneByOne) Parallel()     {}
func (oneByOne) Verbose() bool { return testing.Verbose() }

func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

// TestScripts runs what a person types, through the real main. Scripts find an ordinary user $OWNER whom sudo lets do
// everything, the program as-owner that runs its arguments as this user, the program eventually that runs its arguments until they succeed, and
// two commands of their own:
//
//	status N PROGRAM ARG...         the program ends with status N
//	signal SIG N PROGRAM ARG...     so it does when it gets SIG after its first line of output
func TestScripts(t *testing.T) {
	if whyNotRoot != "" {
		t.Skip(whyNotRoot)
	}
	for _, name := range []string{"sudo", "su", "useradd", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	owner := "sao" + strconv.Itoa(os.Getpid())
	prepareMachine(t, owner)
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("OWNER", owner)
			env.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Defer(func() { clean(t, owner) })
			return os.Chmod(env.WorkDir, 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": cmdStatus, "signal": cmdSignal},
	})
}

// prepareMachine installs what the scripts need on the test's copy of the system.
func prepareMachine(t *testing.T, owner string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for path, file := range map[string]struct {
		text []byte
		mode os.FileMode
	}{
		"/usr/local/bin/sandbox-audio": {self, 0o755},
		"/usr/local/bin/as-owner":      {fmt.Appendf(nil, "#!/bin/sh\nexport HOME=/home/%[1]s\nexec setpriv --reuid=%[1]s --regid=%[1]s --init-groups \"$@\"\n", owner), 0o755},
		"/usr/local/bin/eventually":    {[]byte("#!/bin/sh\nend=$(($(date +%s) + 60))\nuntil \"$@\"; do [ $(date +%s) -lt $end ] || exit 1; sleep 0.01; done\n"), 0o755},
	} {
		if err := os.WriteFile(path, file.text, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("useradd", "-m", "-K", "HOME_MODE=0700", "-s", "/bin/bash", owner).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	clean(t, owner)
	t.Cleanup(func() {
		u, err := user.Lookup(owner)
		if err != nil {
			t.Fatal(err)
		}
		need.Eventually(t, time.Minute, func() string {
			exec.Command("pkill", "-KILL", "-U", u.Uid).Run() // a daemon that a failed script has left
			if out, err := exec.Command("userdel", "-r", owner).CombinedOutput(); err != nil {
				return fmt.Sprintf("%v: %s", err, out)
			}
			return ""
		})
	})
}

// clean leaves the machine as every script expects it, whatever became of the one before.
func clean(t *testing.T, owner string) {
	t.Helper()
	if err := os.WriteFile("/etc/sudoers.d/"+owner, fmt.Appendf(nil, "%s ALL=(ALL) NOPASSWD: ALL\n", owner), 0o440); err != nil {
		t.Error(err)
	}
	for _, command := range []string{"", "/usr/local/bin/as-owner "} {
		command = "for p in default $(" + command + "sandbox-audio profile list 2>/dev/null | sed 1d | cut -d' ' -f1); do " + command + "sandbox-audio teardown --purge --profile $p || exit; done"
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
}

// Made alone, run is what it is among all commands.
func TestRunAlone(t *testing.T) {
	for _, line := range []string{"run --help", "run", "run --nothing", "run -h", "run --method"} {
		var said [2]string
		for i, root := range []*cobra.Command{newRootCommand(), newRootCommand("run")} {
			var out bytes.Buffer
			root.SetOut(&out)
			root.SetArgs(strings.Fields(line))
			err := root.Execute()
			said[i] = fmt.Sprintf("%s%v", out.String(), err)
		}
		if said[0] != said[1] {
			t.Errorf("%s: %s\nand alone: %s", line, said[0], said[1])
		}
	}
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if want, err := strconv.Atoi(args[0]); err != nil || got != want {
		ts.Fatalf("status %d, not %s", got, args[0])
	}
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	if neg || len(args) < 3 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal SIG N PROGRAM ARG...")
	}
	path, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Wait()
		ts.Fatalf("no first line: %v: %s", err, said.String())
	}
	ts.Logf("> %s", line)
	ts.Check(cmd.Process.Signal(signals[args[0]]))
	cmd.Wait() // the status tells
	state := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if want, err := strconv.Atoi(args[1]); err != nil || state.ExitStatus() != want {
		ts.Fatalf("status %d (signal %d), not %s: %s", state.ExitStatus(), state.Signal(), args[1], said.String())
	}
}
