package desktop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// steps are the system calls by which a run, sudo, the entry program and what they start change anything outside themselves.
var steps = []string{"bind", "connect", "execve", "flock", "listen", "renameat,renameat2", "sendmsg", "symlinkat", "unlinkat", "write"}

// TestKilledAtEveryStep kills, one run after the other, the process that makes its first, second, third … call of each kind, with X, Wayland
// and the bus in use. After the next start all is as it was before the first.
func TestKilledAtEveryStep(t *testing.T) {
	d := newDesk(t)
	x, w := xScreen(t, d), waylandScreen(t, d)
	env := append(x.env, w.env...)
	const program = `xdpyinfo >/dev/null && wayland-info >/dev/null && dbus-send --session --dest=org.freedesktop.DBus / org.freedesktop.DBus.Ping && exec sleep 0.02`
	d.next(t, env)
	before := d.traces(t, x)
	for _, step := range steps {
		kills := 0
		stride := 1
		if step == "write" { // there are many, and most go to a pipe
			stride = 2
		}
		for n := 1; ; n += stride {
			trace := filepath.Join(t.TempDir(), "trace")
			cmd := exec.Command("timeout", "-k", "1", "30", "strace", "-f", "-qq", "-o", trace, "-e", "trace="+step, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", step, n),
				"-u", d.owner.Name, rig.Binary(t), "run", "sh", "-c", program)
			cmd.Env = append([]string{"HOME=" + d.owner.Home, "PATH=/usr/bin:/bin"}, env...)
			_ = cmd.Run() // however it ended
			log, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(log), "killed by SIGKILL") {
				break
			}
			kills++
			key := d.copyKey(t)
			d.next(t, env)
			if after := d.traces(t, x); after != before {
				t.Fatalf("after %s %d there is\n%s\nbefore there was\n%s", step, n, after, before)
			}
			if key != "" && exec.Command("env", "-i", x.env[0], "XAUTHORITY="+key, "xdpyinfo").Run() == nil {
				t.Errorf("after %s %d the key opens the display still", step, n)
			}
		}
		if kills == 0 {
			t.Errorf("nobody calls %s", step)
		}
		t.Logf("%s: killed at %d steps", step, kills)
	}
}

// next is a run that nobody disturbs, and the end of its session.
func (d *desk) next(t *testing.T, env []string) {
	t.Helper()
	if out, err := d.owner.Command(t.Context(), env, rig.Binary(t), "run", "xdpyinfo").CombinedOutput(); err != nil {
		t.Fatalf("the next start: %v: %s", err, out)
	}
	d.nothingLeft(t)
}

// traces is what a run could leave on the machine: users of the display, what is lent, sockets, files, and processes but the daemon's.
func (d *desk) traces(t *testing.T, x *screen) string {
	t.Helper()
	script := `xhost; find ~/.local/state/sandbox-audio/lent /run/sandbox-audio -printf '%M %u %p\n' 2>/dev/null | sort
		grep -o '@sandbox-audio-[0-9a-f]*' /proc/net/unix; ps -u $USER,$USER-sandbox -o comm= | grep -v -e ^ps$ -e ^sh$ -e ^grep$ -e ^sort$ | sort; :`
	var out []byte
	need.Eventually(t, time.Minute, func() string {
		var err error
		if out, err = d.owner.Command(t.Context(), x.env, "sh", "-c", script).Output(); err != nil {
			return err.Error()
		}
		if strings.Contains(string(out), "@sandbox-audio-") { // a run of sudo's that is still to notice
			return "a run is on the line: " + string(out)
		}
		return ""
	})
	return string(out)
}

// copyKey keeps the key that a killed run has given the helper, if there is one.
func (d *desk) copyKey(t *testing.T) (path string) {
	t.Helper()
	found, err := filepath.Glob("/run/sandbox-audio/" + d.helper + "/xauthority-*")
	if err != nil || len(found) == 0 {
		return ""
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return "" // a program that is ending has removed it
	}
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
