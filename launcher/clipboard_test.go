package launcher

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The clipboard is one where the display is, and two where the program has a screen of its own. An X server lets untrusted
// programs paste what the others copied, but not the other way round.
func TestClipboard(t *testing.T) {
	o := newXOwner(t)
	for _, test := range []struct {
		level     string
		out, into bool // what the owner copies the helper pastes, and the reverse
	}{{X11Trusted, true, true}, {X11Untrusted, true, false}, {X11Nested, false, false}} {
		t.Run(test.level, func(t *testing.T) {
			copied := "from the owner, " + test.level
			in := o.Client("xclip", "-selection", "clipboard", "-in", "-quiet")
			in.Stdin = strings.NewReader(copied)
			if err := in.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = in.Process.Signal(syscall.SIGTERM)
				_ = in.Wait() // how it ended tells nothing
			}()
			out := func() string {
				text, _ := o.Client("timeout", "2", "xclip", "-selection", "clipboard", "-out").Output()
				return string(text)
			}
			until(t, "the owner's clipboard to be full", func() bool { return out() == copied })
			program := startTalk(t, o.run(o.environ("TEST_X11="+test.level)))
			got := program.say(t, "echo $(timeout 2 xclip -selection clipboard -out 2>&1)")
			if test.out != (got == copied) || test.out != strings.Contains(got, copied) {
				t.Errorf("the helper pastes %q", got)
			}
			program.say(t, "printf 'from the helper' | xclip -selection clipboard -in; echo")
			until(t, "the helper's own clipboard to be full", func() bool { // xclip takes it after its parent has ended
				return program.say(t, "echo $(timeout 2 xclip -selection clipboard -out)") == "from the helper"
			})
			if got := out(); test.into != (got == "from the helper") || !test.out && got != copied {
				t.Errorf("the owner pastes %q", got)
			}
			program.end(t)
		})
	}
}

// On a compositor the helper's programs have no way to the clipboard but the one that asks for the keyboard's focus.
func TestClipboardOnWayland(t *testing.T) {
	p, run := sessionOwner(t)
	env, owners := startSway(t, p)
	in := owners("wl-copy", "--foreground", "from the owner")
	if err := in.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Process.Kill()
		in.Wait()
	}()
	until(t, "the owner's clipboard to be full", func() bool {
		text, _ := owners("timeout", "2", "wl-paste", "--no-newline").Output()
		return string(text) == "from the owner"
	})
	began := time.Now()
	out, err := run(env, "timeout", "2", "wl-paste").CombinedOutput()
	if err == nil || strings.Contains(string(out), "from the owner") {
		t.Errorf("without the focus the helper pastes %q, %v, after %v", out, err, time.Since(began))
	}
	if out, err := run(env, "wayland-info").CombinedOutput(); err != nil || strings.Contains(string(out), "data_control") || !strings.Contains(string(out), "wl_data_device_manager") {
		t.Errorf("%v: %s", err, out)
	}
}

// startSway runs a compositor of the owner's, without a screen, that has a clipboard for managers of such.
func startSway(t *testing.T, p *Profile) (environ []string, owners func(name string, args ...string) *exec.Cmd) {
	t.Helper()
	dir := fmt.Sprint("/run/user/", p.OwnerUID)
	if out, err := exec.Command("install", "-d", "-o", p.Owner, "-m", "700", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	environ = []string{"XDG_RUNTIME_DIR=" + dir, "WAYLAND_DISPLAY=wayland-1"}
	owners = func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = "/", append([]string{"HOME=/home/" + p.Owner, "PATH=/usr/bin:/bin"}, environ...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.OwnerUID), Gid: uint32(gidOf(t, p.Owner))}}
		return cmd
	}
	sway := owners("sway", "-c", "/dev/null")
	sway.Env = append(sway.Env[:3:3], "WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1")
	if err := sway.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sway.Process.Kill()
		sway.Wait()
		if out, err := exec.Command("rm", "-r", "/run/user").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	until(t, "sway to answer", func() bool { return owners("wayland-info").Run() == nil })
	return environ, owners
}
