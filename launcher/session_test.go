package launcher

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// askBus prints the id of the session bus, which no two have in common.
const askBus = `echo $(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId)`

// talk is a program of the helper's that does as it is told, line by line.
type talk struct {
	*exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func startTalk(t *testing.T, cmd *exec.Cmd) *talk {
	t.Helper()
	cmd.Args = append(cmd.Args[:1], "sh", "-c", `while read -r line; do eval "$line"; done`)
	cmd.Stderr = os.Stderr
	c := &talk{Cmd: cmd}
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.in.Close()
		c.Wait()
	})
	if c.say(t, "echo ready") != "ready" {
		t.Fatal("the program does not answer")
	}
	return c
}

// say has the program do a line that prints one.
func (c *talk) say(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(lineOf(t, c.out))
}

// end has the program end, and run with it.
func (c *talk) end(t *testing.T) {
	t.Helper()
	c.in.Close()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft checks that nothing is in the helper's runtime directory, and that its last processes end by themselves.
func nothingLeft(t *testing.T, p *Profile) {
	t.Helper()
	defer until(t, "the helper's processes to end", func() bool {
		pids, err := processesOf(p.HelperUID)
		return err == nil && len(pids) == 0
	})
	left, err := os.ReadDir(p.RuntimeDir)
	if err != nil || len(left) > 0 {
		t.Errorf("in the runtime directory is left: %v, %v", left, err)
	}
}

// programs counts the helper's processes of a name.
func programs(t *testing.T, p *Profile, name string) (n int) {
	t.Helper()
	pids, err := processesOf(p.HelperUID)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm"); strings.TrimSpace(string(comm)) == name {
			n++
		}
	}
	return n
}

func sessionOwner(t *testing.T) (p *Profile, run func(env []string, argv ...string) *exec.Cmd) {
	t.Helper()
	_, owner := needRoot(t)
	return mustSetup(t, owner, DefaultProfile), launcherOf(t, owner)
}

// Programs that run at the same time have one bus, whoever of them came first; it goes with the last, and the next has
// another.
func TestSessionBus(t *testing.T) {
	p, run := sessionOwner(t)
	first, second := startTalk(t, run(nil)), startTalk(t, run(nil))
	if n := programs(t, p, "dbus-daemon"); n != 0 {
		t.Errorf("%d buses run that nobody needs", n)
	}
	id := first.say(t, askBus)
	if len(id) != 32 {
		t.Fatalf("the bus is called %q", id)
	}
	if got := second.say(t, askBus); got != id {
		t.Errorf("the second program is on the bus %s, the first on %s", got, id)
	}
	checkMode(t, p.RuntimeDir, "drwx------ "+uidgid(p))
	first.end(t)
	if got := second.say(t, askBus); got != id {
		t.Errorf("after the first has ended the second is on the bus %s, not %s", got, id)
	}
	second.end(t)
	nothingLeft(t, p)
	if out, err := run(nil, "sh", "-c", askBus).Output(); err != nil || strings.TrimSpace(string(out)) == id {
		t.Errorf("the next program's bus: %s, %v", out, err)
	}
	nothingLeft(t, p)
}

// The bus is there for those who stay, also when it was not in use before the one that listened ended.
func TestSessionBusIsHandedOn(t *testing.T) {
	p, run := sessionOwner(t)
	first, second := startTalk(t, run(nil)), startTalk(t, run(nil))
	first.end(t)
	if id := second.say(t, askBus); len(id) != 32 {
		t.Errorf("the bus is called %q", id)
	}
	second.end(t)
	nothingLeft(t, p)
}

// Nothing is left of a session without a bus, nor of what programs keep in the runtime directory.
func TestSessionIsCleared(t *testing.T) {
	p, run := sessionOwner(t)
	script := `echo x >"$XDG_RUNTIME_DIR/.mine"; mkdir -p "$XDG_RUNTIME_DIR/dconf/user"; chmod 0 "$XDG_RUNTIME_DIR/dconf/user"; umask`
	if out, err := run(nil, "sh", "-c", script).CombinedOutput(); err != nil || string(out) != "0022\n" {
		t.Fatalf("%v: %s", err, out)
	}
	nothingLeft(t, p)
}

// What the bus has started ends with it, however deaf.
func TestSessionEndsServices(t *testing.T) {
	p, run := sessionOwner(t)
	const service = "[D-BUS Service]\nName=org.example.Deaf\nExec=/bin/sh -c 'trap \"\" TERM HUP; sleep 600; sleep 600'\n"
	script := fmt.Sprintf(`mkdir -p ~/.local/share/dbus-1/services; printf '%%s' '%s' >~/.local/share/dbus-1/services/deaf.service
		dbus-send --session --dest=org.example.Deaf / org.example.Deaf.Hear
		until pgrep -u $USER sleep >/dev/null; do sleep 0.01; done; echo hears`, strings.ReplaceAll(service, "'", `'\''`))
	out, err := run(nil, "sh", "-c", script).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "hears" {
		t.Fatalf("%v: %s", err, out)
	}
	until(t, "the service to end", func() bool { pids, _ := processesOf(p.HelperUID); return len(pids) == 0 })
	nothingLeft(t, p)
}

// Whoever of those that a session consists of is killed, the others' end or the next start leaves nothing.
func TestSessionAfterCrash(t *testing.T) {
	p, run := sessionOwner(t)
	for _, victim := range []string{"launch", "enter", "sleep", "dbus-daemon", "all"} {
		t.Run(victim, func(t *testing.T) {
			program := run(nil, "sh", "-c", askBus+"; exec sleep 600")
			program.Stderr = t.Output()
			out, err := program.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			defer program.Process.Kill()
			lineOf(t, out)
			until(t, "the program to sleep", func() bool { return programs(t, p, "sleep") == 1 })
			var victims []int
			_ = eachProcess(func(pid int) bool {
				uids, _, _ := processUIDs(pid)
				name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
				ours := pid == program.Process.Pid || len(uids) > 0 && uids[0] == strconv.Itoa(p.HelperUID)
				if ours && (victim == "all" || victim == strings.TrimSpace(string(name))) {
					victims = append(victims, pid)
				}
				return true
			})
			if len(victims) == 0 {
				t.Fatal("nobody of that name is there to be killed")
			}
			for _, pid := range victims {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			if victim == "dbus-daemon" {
				program.Process.Signal(syscall.SIGTERM)
			}
			program.Wait() // its status depends on who was killed
			until(t, "the helper's processes to end", func() bool { pids, _ := processesOf(p.HelperUID); return len(pids) == 0 })
			if out, err := run(nil, "sh", "-c", askBus).CombinedOutput(); err != nil {
				t.Errorf("the next program: %v: %s", err, out)
			}
			nothingLeft(t, p)
		})
	}
}

// While one program runs, another needs no sudo; it does not depend on the first any more than by way of sudo, and when the
// first does not answer sudo is asked.
func TestAnotherProgramNeedsNoSudo(t *testing.T) {
	p, run := sessionOwner(t)
	patient := []string{"TEST_PATIENT=yes"}
	first := startTalk(t, run(patient))
	until(t, "the first run to be there for others", func() bool { // its program may answer before
		sockets, err := os.ReadFile("/proc/net/unix")
		return err == nil && strings.Contains(string(sockets), fmt.Sprintf("%srun-%d-%d-", runSocket, first.SysProcAttr.Credential.Uid, p.HelperUID))
	})
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if out, err := run(nil, "echo", "by sudo").CombinedOutput(); err != nil || string(out) != "by sudo\n" {
		t.Errorf("while the first run is stopped: %s, %v", out, err)
	}
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.Rule, p.Rule+"~"); err != nil { // which sudo does not read, for the name
		t.Fatal(err)
	}
	second := startTalk(t, run(patient))
	first.end(t)
	if id := second.say(t, "id -u"); id != strconv.Itoa(p.HelperUID) {
		t.Errorf("the second program runs as %s", id)
	}
	second.end(t)
	nothingLeft(t, p)
	if out, err := run(nil, "true").CombinedOutput(); err == nil {
		t.Errorf("without a rule and another program run says %q", out)
	}
	if err := os.Rename(p.Rule+"~", p.Rule); err != nil { // teardown's
		t.Fatal(err)
	}
}
