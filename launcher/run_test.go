package launcher

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestExitStatus(t *testing.T) {
	t.Run("free", func(t *testing.T) { testExitStatus(t, confinement{}) })
	t.Run("confined", func(t *testing.T) { testExitStatus(t, confinement{NoNewPrivs: true}) })
}

func testExitStatus(t *testing.T, held confinement) {
	tests := []struct {
		argv   []string
		status int
		says   string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 37"}, 37, ""},
		{[]string{"sh", "-c", "exit 255"}, 255, ""},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"/etc/passwd"}, 126, "permission denied"},
		{[]string{"/"}, 126, "is a directory"},
		{[]string{"no-such-program"}, 127, "not found"},
		{[]string{"/no/such/program"}, 127, "not found"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.argv, " "), func(t *testing.T) {
			t.Parallel()
			p := planFor(t, test.argv...)
			p.request.Confined = held
			out, err := runCommand(t, p).CombinedOutput()
			if status := statusOf(t, err); status != test.status {
				t.Errorf("status %d, not %d", status, test.status)
			}
			if !strings.Contains(string(out), test.says) || test.says == "" && len(out) > 0 {
				t.Errorf("it said %q, without %q", out, test.says)
			}
		})
	}
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestArgumentsAndInputArriveAsTheyAre(t *testing.T) {
	args := []string{"", "a b", "$(id)", "'\"\\", "-n", "--", "\n", "ü", "@x"}
	cmd := runCommand(t, planFor(t, append([]string{"sh", "-c", `printf '[%s]' "$@"; cat`, "sh"}, args...)...))
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "[" + strings.Join(args, "][") + "]input"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// What the program starts with, seen by itself: its environment, descriptors, signals, session, umask, directory.
func TestWhatTheProgramHas(t *testing.T) {
	p := planFor(t, "sh", "-c", `env; echo FD; ls /proc/self/fd | tr '\n' ' '; echo; grep ^Sig /proc/self/status; echo SID $$ $(cut -d' ' -f5-7 /proc/$$/stat); echo UMASK $(umask); pwd; ls -ld "$XDG_RUNTIME_DIR"`)
	cmd := runCommand(t, p)
	leak, err := os.Open("/etc/hostname")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	cmd.ExtraFiles = []*os.File{leak, leak, leak} // what a careless shell leaves open
	cmd.Env = []string{"SECRET=x", "SSH_AUTH_SOCK=/x", "LD_PRELOAD="}
	// As under nohup and in the background of a script: signals that are ignored.
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP INT QUIT PIPE TERM USR1 TTOU TTIN TSTP; exec "$0" "$@"`}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var env []string
	for _, line := range lines {
		if name, _, ok := strings.Cut(line, "="); ok && !slices.Contains([]string{"PWD", "OLDPWD", "_", "SHLVL"}, name) {
			env = append(env, line) // the shell's own left out
		}
	}
	slices.Sort(env)
	if !slices.Equal(env, p.request.Env) {
		t.Errorf("environment %q, not %q", env, p.request.Env)
	}
	out := string(text)
	if !strings.Contains(out, "\nFD\n0 1 2 3 \n") { // 3 is the directory that ls reads
		t.Errorf("descriptors leak: %s", out)
	}
	_, mask, _ := strings.Cut(out, "SigIgn:\t")
	ignored, err := strconv.ParseUint(mask[:min(16, len(mask))], 16, 64)
	if ours := uint64(1<<31 - 1); err != nil || ignored&ours != 0 { // 32 and 33 are the C library's own
		t.Errorf("signals are ignored: %#x, %v", ignored, err)
	}
	for _, want := range []string{"SigBlk:\t0000000000000000", "UMASK 0027", "\n" + p.request.Dir + "\n", "drwx------ "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	for _, line := range lines {
		if f := strings.Fields(line); len(f) == 5 && f[0] == "SID" && (f[1] != f[2] || f[1] != f[3] || f[4] != "0") {
			t.Errorf("process %s has the group %s, the session %s and the terminal %s", f[1], f[2], f[3], f[4])
		}
	}
}

func TestSignalsReachTheProgram(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cmd := runCommand(t, planFor(t, "sh", "-c", "echo ready; while :; do sleep 1; done"))
			cmd.Dir = t.TempDir() // of a core file
			ready, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lineOf(t, ready)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if status := statusOf(t, cmd.Wait()); status != 128+int(sig) {
				t.Errorf("status %d after signal %d", status, sig)
			}
		})
	}
}

// A program may do with a signal what it likes, and its status counts.
func TestProgramMayHandleASignal(t *testing.T) {
	t.Parallel()
	cmd := runCommand(t, planFor(t, "sh", "-c", "trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done"))
	ready, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lineOf(t, ready)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, cmd.Wait()); status != 5 {
		t.Errorf("status %d, not 5", status)
	}
}

// Ctrl-Z: the program stops and so does run; SIGCONT wakes both.
func TestStopAndContinue(t *testing.T) {
	t.Parallel()
	cmd := runCommand(t, planFor(t, "sh", "-c", "echo $$; read x; exit 9"))
	ready, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program := lineOf(t, ready)
	if err := cmd.Process.Signal(syscall.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	until(t, "the program and run to stop", func() bool {
		return stateOf(program) == "T" && stateOf(strconv.Itoa(cmd.Process.Pid)) == "T"
	})
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the program to go on", func() bool { return stateOf(program) == "S" })
	in.Write([]byte("\n"))
	if status := statusOf(t, cmd.Wait()); status != 9 {
		t.Errorf("status %d, not 9", status)
	}
}

func stateOf(pid string) string {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := bytes.Cut(text, []byte(") "))
	if len(rest) == 0 {
		return ""
	}
	return string(rest[:1])
}

// When run is killed nothing of the program's group stays, whatever it does with SIGTERM.
func TestKilledRunEndsTheProgram(t *testing.T) {
	t.Parallel()
	cmd := runCommand(t, planFor(t, "sh", "-c", `trap "" TERM; sleep 600 & echo $$ $!; wait; sleep 600`))
	ready, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range strings.Fields(lineOf(t, ready)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	until(t, "the program and its child to end", func() bool { return gone(pids[0]) && gone(pids[1]) })
}

// The program cannot outlive the entry program by killing it: it is the helper's too, so it may try.
func TestProgramKillsItsEntryProgram(t *testing.T) {
	t.Parallel()
	out, err := runCommand(t, planFor(t, "sh", "-c", "echo $$; kill -KILL $PPID; exec sleep 600")).CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed {
		t.Errorf("status %d", status)
	}
	pid, rest, _ := strings.Cut(string(out), "\n")
	if !strings.Contains(rest, "was killed") {
		t.Errorf("it said %q", rest)
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the program to end", func() bool { return gone(n) })
}

// A child that the program leaves in the background holds its output open; run does not wait for it.
func TestBackgroundChildHoldsNothingUp(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := runCommand(t, planFor(t, "sh", "-c", "sleep 600 & echo $!; exit 3"))
	cmd.Stdout = out
	if status := statusOf(t, cmd.Run()); status != 3 {
		t.Errorf("status %d", status)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the child in the background: %v", err)
	}
}

func TestClosedDirectory(t *testing.T) {
	p := planFor(t, "pwd", "song.wav")
	p.request.Dir = "/no/such/directory"
	cmd := runCommand(t, p)
	cmd.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cmd.Dir, "song.wav"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) != p.request.Home {
		t.Errorf("the program is in %s", out)
	}
	if !strings.Contains(said.String(), "cannot enter /no/such/directory, where song.wav is") {
		t.Errorf("it said %q", said.String())
	}
}

// nonsenseMain is an entry program that a hostile helper has in its hands.
func nonsenseMain(args []string) int {
	kind, name := args[0], args[1]
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		return 1
	}
	defer conn.Close()
	if _, _, err := receiveRequest(conn); err != nil {
		return 1
	}
	conn.Write(map[string][]byte{
		"huge":    {0xff, 0xff, 0xff, 0xff, '{'},
		"garbage": append([]byte{0, 0, 0, 4}, "}}}}"...),
		"short":   {0, 0},
		"escape":  mustEncode(outcome{Error: "\x1b]0;owned\x07\r\nno\u009b31m", Code: 127}),
		"code":    append(mustEncode(outcome{PID: 1}), mustEncode(outcome{Code: 1 << 20})...),
		"signal":  append(mustEncode(outcome{PID: 1}), mustEncode(outcome{Signal: 1 << 20, Code: 7})...),
		"silence": {},
	}[kind])
	return 0
}

func mustEncode(o outcome) []byte {
	text, err := encodeMessage(o, maxOutcome)
	if err != nil {
		panic(err)
	}
	return text
}

func TestHostileEntryProgram(t *testing.T) {
	tests := map[string]struct {
		status int
		says   string
	}{
		"huge":    {125, "over the limit"},
		"garbage": {125, "invalid character"},
		"short":   {125, "unexpected EOF"},
		"escape":  {127, " ]0;owned   no 31m"},
		"code":    {0, ""},
		"signal":  {7, ""},
		"silence": {125, "was killed"},
	}
	for kind, want := range tests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := planFor(t, "true")
			p.Enter = []string{called(t, "nonsense"), kind}
			out, err := runCommand(t, p).CombinedOutput()
			if status := statusOf(t, err); status != want.status {
				t.Errorf("status %d, not %d", status, want.status)
			}
			if !strings.Contains(string(out), want.says) || bytes.ContainsAny(bytes.TrimSpace(out), "\x1b\x07\r\u009b") {
				t.Errorf("it said %q, want %q", out, want.says)
			}
		})
	}
}

// Whoever cannot become the helper is told why and what to do.
func TestRefusedByTheMethod(t *testing.T) {
	p := planFor(t, "true")
	p.Enter = []string{"/bin/sh", "-c", "echo not today >&2; exit 1"}
	out, err := runCommand(t, p).CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(string(out), "su did not let me become me: not today; repair it with: sandbox-audio setup") {
		t.Errorf("it said %q", out)
	}
}

// Only the helper is answered on the socket, though everybody can read its name.
func TestStrangerOnTheLine(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "@sandbox-audio-test-" + strconv.Itoa(os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan error, 1)
	go func() {
		_, err := acceptFrom(l, os.Getuid()+1)
		got <- err
	}()
	conn, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("the stranger got an answer")
	}
	l.Close()
	if err := <-got; err == nil {
		t.Error("the stranger was accepted")
	}
}

// The entry program does not take orders from anybody but the uid it was told.
func TestEnterChecksItsCaller(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "@sandbox-audio-test2-" + strconv.Itoa(os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := exec.Command(called(t, EntryName), l.Addr().String(), strconv.Itoa(os.Getuid()+1)).CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), "the caller is uid") || strings.Contains(string(out), "%!") {
		t.Errorf("status %d, %q", status, out)
	}
	out, err = exec.Command(called(t, EntryName)).CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), "not by hand") {
		t.Errorf("status %d, %q", status, out)
	}
}
