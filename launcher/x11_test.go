package launcher

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sandbox-audio/e2e/need"
	"sandbox-audio/launcher/x11"
)

// xOwner is an owner with a helper and an X server that lets in the owner alone.
type xOwner struct {
	need.X
	owner   Account
	profile *Profile
	run     func(env []string, argv ...string) *exec.Cmd
}

func newXOwner(t *testing.T, args ...string) *xOwner {
	t.Helper()
	_, owner := needRoot(t)
	o := &xOwner{owner: owner, profile: mustSetup(t, owner, DefaultProfile), X: need.Xvfb(t, args...)}
	for _, path := range []string{filepath.Dir(o.Authority), o.Authority} {
		if err := os.Chown(path, owner.UID, owner.GID); err != nil {
			t.Fatal(err)
		}
	}
	for dir := filepath.Dir(filepath.Dir(o.Authority)); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o.run = launcherOf(t, owner)
	return o
}

// environ is the owner's environment, with a display in it.
func (o *xOwner) environ(more ...string) []string { return slices.Concat(o.X.Environ(), more) }

// conn is a connection of the owner's.
func (o *xOwner) conn(t *testing.T) *x11.Conn {
	t.Helper()
	c, _, err := xServer{Display: o.Display, Authority: o.Authority}.dial()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// untouched checks that no loan is left: nobody on the list of users, no file, and the key that the helper had is dead.
func (o *xOwner) untouched(t *testing.T, key x11.Key) {
	t.Helper()
	c := o.conn(t)
	defer c.Close()
	if has, err := c.HasUser(o.profile.HelperUID); has || err != nil {
		t.Errorf("the helper is on the display's list: %v", err)
	}
	if left, err := os.ReadDir(o.owner.Home + "/.local/state/sandbox-audio/lent"); err != nil || len(left) > 0 {
		t.Errorf("loans are left: %v, %v", left, err)
	}
	d, err := x11.ParseDisplay(o.Display)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := x11.Dial(context.Background(), d, key); err == nil {
		c.Close()
		t.Error("the helper's key still opens the display")
	}
}

// helpersKey reads the key that a program of the helper's has been given.
func (o *xOwner) helpersKey(t *testing.T, path string) x11.Key {
	t.Helper()
	checkMode(t, path, "-rw------- "+uidgid(o.profile))
	d, err := x11.ParseDisplay(o.Display)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x11.ReadKey(path, d)
	if err != nil || key.Name == "" {
		t.Fatalf("%s holds no key: %v", path, err)
	}
	return key
}

// The helper's programs reach the display with a key of their own, which dies with the last of them; nobody else does.
func TestX11Key(t *testing.T) {
	o := newXOwner(t)
	first := o.run(o.environ(), "sh", "-c", `xdpyinfo >/dev/null && echo "$XAUTHORITY"; read x; xdpyinfo >/dev/null && echo still`)
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	first.Stderr = os.Stderr
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	path := lineOf(t, out)
	key := o.helpersKey(t, path)
	own, err := os.ReadFile(o.Authority)
	if err != nil || strings.Contains(string(own), string(key.Data)) {
		t.Errorf("the helper has the owner's own key: %v", err)
	}
	c := o.conn(t)
	defer c.Close()
	if has, err := c.HasUser(o.profile.HelperUID); has || err != nil {
		t.Errorf("the helper is on the list beside its key: %v", err)
	}
	stranger := exec.Command("xdpyinfo")
	stranger.Env = []string{"DISPLAY=" + o.Display, "XAUTHORITY=" + path}
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64123, Gid: 64123}}
	if err := stranger.Run(); err == nil {
		t.Error("a stranger reaches the display")
	}
	// A second program comes and goes, with the same key, and the first keeps its own.
	if out, err := o.run(o.environ(), "sh", "-c", "xdpyinfo >/dev/null && echo $XAUTHORITY").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != path {
		t.Errorf("the second program: %v: %s", err, out)
	}
	in.Write([]byte("\n"))
	if line := lineOf(t, out); line != "still" {
		t.Errorf("after another has ended the first program says %q", line)
	}
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	o.untouched(t, key)
}

// A server that makes no keys has the helper on its list meanwhile. What the owner has put there stays.
func TestX11User(t *testing.T) {
	o := newXOwner(t, "-extension", "SECURITY")
	check := func() {
		t.Helper()
		out, err := o.run(o.environ(), "sh", "-c", `xdpyinfo >/dev/null && echo "$DISPLAY $XAUTHORITY"`).CombinedOutput()
		if err != nil || string(out) != o.Display+" \n" {
			t.Errorf("%v: %q", err, out)
		}
	}
	check()
	o.untouched(t, x11.Key{})
	out, err := o.run(o.environ("TEST_X11=untrusted"), "true").CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), "SECURITY") {
		t.Errorf("untrusted: %d, %s", status, out)
	}
	c := o.conn(t)
	defer c.Close()
	if err := c.AddUser(o.profile.HelperUID); err != nil {
		t.Fatal(err)
	}
	check()
	if has, err := c.HasUser(o.profile.HelperUID); !has || err != nil {
		t.Errorf("the owner's own entry was taken away: %v", err)
	}
}

// An untrusted program has its windows and sees nothing of the others'.
func TestX11Untrusted(t *testing.T) {
	o := newXOwner(t)
	window := o.Client("xclock")
	if err := window.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		window.Process.Kill()
		window.Wait()
	}()
	const look = `xdpyinfo >/dev/null || exit 1; xwd -root -silent -out /dev/null 2>/dev/null && echo sees`
	for level, want := range map[string]string{"trusted": "sees", "untrusted": ""} {
		out, err := o.run(o.environ("TEST_X11="+level), "sh", "-c", look).Output()
		if strings.TrimSpace(string(out)) != want || err == nil != (want != "") {
			t.Errorf("%s: %v, %q", level, err, out)
		}
	}
	o.untouched(t, x11.Key{})
}

// A display that cannot be had does not keep a program from running, unless the person asked for it.
func TestNoDisplay(t *testing.T) {
	_, owner := needRoot(t)
	mustSetup(t, owner, DefaultProfile)
	run := launcherOf(t, owner)
	gone := []string{"DISPLAY=:64123", "XAUTHORITY=/nonexistent"}
	for _, test := range []struct {
		env    []string
		status int
		says   string
	}{
		{nil, 0, "[]"},
		{gone, 0, "gets no display: reach the X server :64123"},
		{append(gone, "TEST_DISPLAY=none"), 0, "[]"},
		{append(gone, "TEST_DISPLAY=x11"), 125, "reach the X server :64123"},
		{append(gone, "TEST_X11=untrusted"), 125, "reach the X server :64123"},
		{[]string{"TEST_DISPLAY=x11"}, 125, "DISPLAY is not set"},
		{[]string{"DISPLAY=nonsense"}, 0, "gets no display: DISPLAY"},
		{[]string{"TEST_DISPLAY=gem"}, 125, "none of auto"},
	} {
		out, err := run(test.env, "sh", "-c", `echo "[$DISPLAY$XAUTHORITY]"`).CombinedOutput()
		if status := statusOf(t, err); status != test.status || !strings.Contains(string(out), test.says) || status == 0 && !strings.Contains(string(out), "[]") {
			t.Errorf("%q: status %d, %s", test.env, status, out)
		}
	}
}

// After a crash the next run takes back what was lent; a server that was restarted gets a key of its own.
func TestX11AfterCrash(t *testing.T) {
	for _, args := range [][]string{nil, {"-extension", "SECURITY"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			killAndSweep(t, newXOwner(t, args...))
		})
	}
}

func killAndSweep(t *testing.T, o *xOwner) {
	cmd := o.run(o.environ(), "sh", "-c", `xdpyinfo >/dev/null && echo "$XAUTHORITY"; exec sleep 600`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var key x11.Key
	if path := lineOf(t, out); path != "" {
		key = o.helpersKey(t, path)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if left, err := os.ReadDir(o.owner.Home + "/.local/state/sandbox-audio/lent"); err != nil || len(left) == 0 {
		t.Fatalf("the killed run has left nothing to take back: %v", err)
	}
	if out, err := o.run(nil, "true").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o.untouched(t, key)
}

func uidgid(p *Profile) string { return strconv.Itoa(p.HelperUID) + ":" + strconv.Itoa(p.HelperGID) }
