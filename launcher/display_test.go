package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"sandbox-audio/launcher/wayland/waylandtest"
)

func TestPlanDisplay(t *testing.T) {
	x := &xServer{Display: ":0", Authority: "/home/alice/.Xauthority"}
	both := []string{"DISPLAY=:0", "HOME=/home/alice", "WAYLAND_DISPLAY=wayland-1", "XDG_RUNTIME_DIR=/run/user/1000"}
	const socket = "/run/user/1000/wayland-1"
	for _, test := range []struct {
		env       []string
		kind, x11 string
		want      display
		err       string
	}{
		{both, "", "", display{wayland: socket, x11: x, level: X11Trusted}, ""},
		{both, "wayland", "", display{asked: true, wayland: socket}, ""},
		{both, "x11", "", display{asked: true, x11: x, level: X11Trusted}, ""},
		{both, "x11", "untrusted", display{asked: true, x11: x, level: X11Untrusted}, ""},
		{both, "auto", "untrusted", display{asked: true, wayland: socket, x11: x, level: X11Untrusted}, ""},
		{both, "auto", "nested", display{asked: true, x11: x, level: X11Nested, nested: "/usr/bin/Xephyr"}, ""},
		{both, "wayland", "nested", display{asked: true, wayland: socket, level: X11Nested, nested: "/usr/bin/Xwayland"}, ""},
		{both[2:], "", "nested", display{asked: true, wayland: socket, level: X11Nested, nested: "/usr/bin/Xwayland"}, ""},
		{both, "none", "", display{asked: true}, ""},
		{both[:2], "", "", display{x11: x, level: X11Trusted}, ""},
		{nil, "", "", display{}, ""},
		{nil, "wayland", "", display{}, "WAYLAND_DISPLAY is not set"},
		{nil, "x11", "", display{}, "DISPLAY is not set"},
		{nil, "", "nested", display{}, "DISPLAY is not set"},
		{both, "gem", "", display{}, `"gem"`},
		{both, "", "open", display{}, `"open"`},
	} {
		if test.want.nested != "" && whyNotRoot != "" {
			continue // it may not be installed
		}
		got, err := planDisplay(Request{Environ: test.env, Display: test.kind, X11: test.x11}, Bounds{})
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s %s: error %v", test.kind, test.x11, err)
			}
		} else if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %s: %+v, %v", test.kind, test.x11, got, err)
		}
	}
}

// startWeston runs a compositor of the owner's, without a screen, and returns the environment of its clients.
func startWeston(t *testing.T, owner Account) (environ []string) {
	t.Helper()
	dir := "/run/user/" + fmt.Sprint(owner.UID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, owner.UID, owner.GID); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("weston", "--backend=headless-backend.so", "--socket=wayland-7", "--idle-time=0")
	cmd.Env = []string{"HOME=" + owner.Home, "PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=" + dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(owner.UID), Gid: uint32(owner.GID)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if err := os.RemoveAll("/run/user"); err != nil {
			t.Error(err)
		}
	})
	until(t, "weston to listen", func() bool { _, err := os.Stat(filepath.Join(dir, "wayland-7")); return err == nil })
	return []string{"WAYLAND_DISPLAY=wayland-7", "XDG_RUNTIME_DIR=" + dir}
}

// The helper's programs show their windows on the owner's compositor and get at nothing else there; the owner's runtime
// directory stays closed to them.
func TestWayland(t *testing.T) {
	p, run := sessionOwner(t)
	env := startWeston(t, Account{Name: p.Owner, UID: p.OwnerUID, GID: gidOf(t, p.Owner), Home: "/home/" + p.Owner})
	out, err := run(env, "wayland-info").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "'wl_compositor'") || !strings.Contains(string(out), "'xdg_wm_base'") {
		t.Fatalf("%v: %s", err, out)
	}
	own := exec.Command("wayland-info")
	own.Env = append(os.Environ(), env...)
	if all, err := own.CombinedOutput(); err != nil || !strings.Contains(string(all), "'weston_screenshooter'") && !strings.Contains(string(all), "'weston_") {
		t.Fatalf("the owner's own programs: %v: %s", err, all)
	}
	if strings.Contains(string(out), "'weston_") {
		t.Errorf("the helper's programs see what is weston's: %s", out)
	}
	// Descriptors pass: a window is drawn in shared memory, until the compositor has shown some of it.
	window := startTalk(t, run(env))
	got := window.say(t, `WAYLAND_DEBUG=1 timeout 20 weston-simple-shm 2>&1 | grep -m3 -E 'wl_buffer@[0-9]+.release|wl_callback@[0-9]+.done' | wc -l`)
	if got != "3" {
		t.Errorf("the window is not drawn: %q", got)
	}
	name := window.say(t, `echo $WAYLAND_DISPLAY`)
	second := startTalk(t, run(env))
	if other := second.say(t, `echo $WAYLAND_DISPLAY`); other == name {
		t.Errorf("two runs share the socket %s", name)
	}
	any := filepath.Join(p.RuntimeDir, waylandAny)
	window.end(t)
	if got := second.say(t, "WAYLAND_DISPLAY="+waylandAny+" wayland-info >/dev/null 2>&1 && echo fine || echo broken"); got != "fine" {
		t.Errorf("services have lost the compositor with the first run: %s", got)
	}
	if _, err := os.Lstat(any); err != nil {
		t.Error(err)
	}
	stranger := exec.Command("wayland-info")
	stranger.Env = []string{"WAYLAND_DISPLAY=" + any, "PATH=/usr/bin"}
	if out, _ := stranger.CombinedOutput(); strings.Contains(string(out), "wl_compositor") { // root, who is not the helper, though no directory is closed to it
		t.Error("a stranger reaches the compositor by the helper's socket")
	}
	if got := second.say(t, "ls "+strings.TrimPrefix(env[1], "XDG_RUNTIME_DIR=")+" 2>&1; :"); !strings.Contains(got, "Permission denied") {
		t.Errorf("the owner's runtime directory: %s", got)
	}
	second.end(t)
	nothingLeft(t, p)
	if out, err := run(append(env, "TEST_DISPLAY=none"), "sh", "-c", "echo [$WAYLAND_DISPLAY]; wayland-info").CombinedOutput(); err == nil || !strings.HasPrefix(string(out), "[]\n") {
		t.Errorf("without a display: %v: %s", err, out)
	}
}

// A compositor that knows of sandboxes serves the helper's programs itself, and is told who they are, until the run ends. What it shows them is its
// own affair.
func TestWaylandSecurityContext(t *testing.T) {
	p, run := sessionOwner(t)
	dir := t.TempDir()
	if err := os.Chown(dir, p.OwnerUID, p.OwnerUID); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	compositor := waylandtest.Serve(t, filepath.Join(dir, "wayland-0"), "wl_compositor", waylandtest.ManagerInterface, "zwlr_screencopy_manager_v1")
	if err := os.Lchown(compositor.Path, p.OwnerUID, p.OwnerUID); err != nil {
		t.Fatal(err)
	}
	cmd := startTalk(t, run([]string{"WAYLAND_DISPLAY=wayland-0", "XDG_RUNTIME_DIR=" + dir}))
	name := cmd.say(t, "echo $WAYLAND_DISPLAY")
	got := <-compositor.Contexts
	if got.Engine != EngineName || got.App != p.Helper || !strings.HasPrefix(got.Instance, p.Helper+"-") || got.Listener != filepath.Join(p.RuntimeDir, name) {
		t.Errorf("the compositor is told %+v; the program's socket is %s", got, name)
	}
	if seen := cmd.say(t, `echo $(wayland-info | grep -o "'[a-z0-9_]*'")`); seen != "'wl_compositor' 'zwlr_screencopy_manager_v1'" {
		t.Errorf("the program sees %s", seen)
	}
	if uid := <-got.Programs; uid != p.HelperUID {
		t.Errorf("user %d came to the compositor, not %d", uid, p.HelperUID)
	}
	select {
	case <-got.Ended:
		t.Error("the context has ended before the run")
	default:
	}
	cmd.end(t)
	<-got.Ended
	nothingLeft(t, p)
}

func gidOf(t *testing.T, name string) int {
	t.Helper()
	a, err := accountByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return a.GID
}

// On a screen of its own a program may do what it likes, and sees nothing of the owner's.
func TestX11Nested(t *testing.T) {
	o := newXOwner(t)
	window := o.Client("xclock", "-geometry", "100x100+10+10")
	if err := window.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		window.Process.Kill()
		window.Wait()
	}()
	until(t, "the owner's window", func() bool {
		out, _ := o.Client("xwininfo", "-root", "-tree").Output()
		return strings.Contains(string(out), `"xclock"`)
	})
	if out, err := o.Client("sh", "-c", "printf 'Xft.dpi: 144\nother.secret: 1\nXcursor.size: 48\n' | xrdb -merge && setxkbmap -layout us,de -variant ,nodeadkeys -option compose:caps").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := startTalk(t, o.run(o.environ("TEST_X11=nested")))
	if got := program.say(t, `echo $(xrdb -query | tr -s '\t' ' ')`); got != "Xcursor.size: 48 Xft.dpi: 144" {
		t.Errorf("the resources are %s", got)
	}
	if got := program.say(t, `echo $(setxkbmap -query | grep -e layout -e variant -e options)`); got != "layout: us,de variant: ,nodeadkeys options: compose:caps" {
		t.Errorf("the keyboard is %s", got)
	}
	if at := program.say(t, "echo $DISPLAY"); at == o.Display || !strings.HasPrefix(at, ":") {
		t.Fatalf("the program is on %s", at)
	}
	if got := program.say(t, "xwd -root -silent -out /dev/null && echo sees"); got != "sees" {
		t.Errorf("its own screen: %s", got)
	}
	if got := program.say(t, `echo windows $(xwininfo -root -tree | grep -c '"xclock"')`); got != "windows 0" {
		t.Errorf("it sees the owner's window: %s", got)
	}
	// The way out: with the key that its X server has.
	out := `DISPLAY=` + o.Display + ` XAUTHORITY=$(echo $XDG_RUNTIME_DIR/xauthority-:*)`
	if got := program.say(t, out+` xdpyinfo >/dev/null && echo in`); got != "in" {
		t.Errorf("the key: %s", got)
	}
	if got := program.say(t, out+` xwd -root -silent -out /dev/null 2>/dev/null && echo sees || echo blind`); got != "blind" {
		t.Errorf("it takes a picture of the owner's screen: %s", got)
	}
	program.end(t)
	nothingLeft(t, o.profile)
}

// Where there is only a compositor, the screen of its own is a window there.
func TestX11NestedOnWayland(t *testing.T) {
	p, run := sessionOwner(t)
	env := append(startWeston(t, Account{Name: p.Owner, UID: p.OwnerUID, GID: gidOf(t, p.Owner), Home: "/home/" + p.Owner}), "TEST_X11=nested")
	program := startTalk(t, run(env))
	if got := program.say(t, "echo [$WAYLAND_DISPLAY] $(ps -o uid= -C Xwayland)"); got != fmt.Sprint("[] ", p.HelperUID) {
		t.Errorf("the compositor's socket, and whose X server runs: %s", got)
	}
	if got := program.say(t, "xwd -root -silent -out /dev/null && echo sees"); got != "sees" {
		t.Errorf("its own screen: %s", got)
	}
	program.end(t)
	nothingLeft(t, p)
}
