package desktop_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// TestClosed has a program of the helper's, with a terminal, X and Wayland, try what a compromised browser would. Each attempt fails, and
// for the reason that is meant to stop it, which the owner's own attempt shows not to be something else.
func TestClosed(t *testing.T) {
	d := newDesk(t)
	x, w := xScreen(t, d), waylandScreen(t, d)
	env := append(x.env, w.env...)
	value := func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		t.Fatalf("no %s", name)
		return ""
	}
	runtimeDir := value("XDG_RUNTIME_DIR")
	need.Devices(t)
	nodes := []string{"/dev/snd/pcmC0D0p", "/dev/input/event0", "/dev/video0", "/dev/dri/card0"}
	for i, major := range []int{116, 13, 81, 226} {
		need.Node(t, nodes[i], d.owner.GID, major, i)
	}
	shared := "/dev/shm/" + d.owner.Name
	d.asOwner(t, "umask 077; echo secret >"+shared+"; echo secret >~/secret; chmod 644 ~/secret; mkdir -p ~/.config/autostart")
	d.asOwner(t, "mkdir "+runtimeDir+"/at-spi; ln -s ../bus "+runtimeDir+"/at-spi/bus")
	bus := d.owner.Command(t.Context(), env, "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path="+runtimeDir+"/bus")
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		bus.Process.Signal(syscall.SIGTERM)
		bus.Wait()
	})
	need.Eventually(t, time.Minute, func() string {
		if _, err := os.Stat(runtimeDir + "/bus"); err != nil {
			return err.Error()
		}
		return ""
	})
	pid := strconv.Itoa(bus.Process.Pid)
	ask := func(address string) string {
		return "dbus-send --bus=" + address + " --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId"
	}
	home, state := d.owner.Home, d.owner.Home+"/.local/state/sandbox-audio"
	const denied, notPermitted = `Permission denied`, `Operation not permitted`
	const entry = "/usr/local/lib/sandbox-audio/enter"
	attempts := []struct {
		what, script, fails string
		closed              bool // to the owner, too
	}{
		{"list the home", "ls " + home, denied, false},
		{"read a file of the home", "cat " + home + "/secret", denied, false},
		{"write into the home", "touch " + home + "/.config/autostart/x.desktop", denied, false},
		{"list the runtime directory", "ls " + runtimeDir, denied, false},
		{"read the X authority file", "cat " + value("XAUTHORITY"), denied, false},
		{"reach the compositor itself", "WAYLAND_DISPLAY=" + runtimeDir + "/" + value("WAYLAND_DISPLAY") + " wayland-info", `failed to create display: Permission denied`, false},
		{"come to the display without the key", "env -u XAUTHORITY HOME=/nonexistent DISPLAY=$DISPLAY xdpyinfo", `unable to open display`, true},
		{"reach the session bus, and the keyring on it", ask("unix:path=" + runtimeDir + "/bus"), denied, false},
		{"reach the accessibility bus", ask("unix:path=" + runtimeDir + "/at-spi/bus"), denied, false},
		{"take a picture of the screen", "grim -t ppm - >/dev/null", `does ?n.t support`, false},
		{"read shared memory", "cat " + shared, denied, false},
		{"slow a process down", "renice -n 19 -p " + pid, notPermitted + "|" + denied, false},
		{"see what a process has mapped", "cat /proc/" + pid + "/maps", denied, false},
		{"read a process's directory", "ls /proc/" + pid + "/cwd/", denied, false},
		{"open the sound card", "test -w " + nodes[0], `^$`, false},
		{"read the keyboard's device", "test -r " + nodes[1], `^$`, false},
		{"open a camera", "test -r " + nodes[2], `^$`, false},
		{"open the screen's device", "test -w " + nodes[3], `^$`, false},
		{"load a module into the daemon", "pactl load-module module-null-sink", `Access denied|not supported|Not supported`, true},
		{"end the daemon", "pactl exit", `Access denied`, true},
		{"lend itself a camera", entry + " @devices " + strconv.Itoa(d.owner.UID) + " default webcam", `devices are lent by sandbox-audio run`, true},
		{"have root lend it a camera", "sudo -n " + entry + " @devices " + strconv.Itoa(d.owner.UID) + " default webcam", `password is required|not allowed|may not run`, true},
		{"change the kernel's settings", "sh -c 'echo x >/proc/sys/kernel/core_pattern'", denied, true},
		{"mount over a directory", "mount -t tmpfs none /mnt", `must be superuser|` + denied, true},
		{"signal a process", "/bin/kill -0 " + pid, notPermitted, false},
		{"read a process's environment", "cat /proc/" + pid + "/environ", denied, false},
		{"read a process's memory", "head -c1 /proc/" + pid + "/mem", denied, true},
		{"list a process's files", "ls /proc/" + pid + "/fd", denied, false},
		{"trace a process", "timeout 2 strace -p " + pid, notPermitted, true},
		{"read the daemon's log", "cat " + state + "/daemon.log", denied, false},
		{"read what is lent", "ls " + state + "/lent", denied, false},
		{"remove the daemon's socket", "rm -f /run/sandbox-audio/" + d.owner.Name + "/native", denied, true},
		{"listen in the daemon's place", "ln -s x /run/sandbox-audio/" + d.owner.Name + "/other", denied, true},
		{"change its own record", "tee -a /var/lib/sandbox-audio/" + strconv.Itoa(d.owner.UID) + "/default.json </dev/null", denied, true},
		{"replace the entry program", "cp /bin/sh " + entry, denied + "|Text file busy", true},
		{"become root", "sudo -n true", `password is required|not allowed|may not run`, true},
		{"become the owner", "sudo -n -u " + d.owner.Name + " true", `password is required|not allowed|may not run`, true},
		{"read the passwords", "cat /etc/shadow", denied, true},
		{"change the accounts", "tee -a /etc/passwd </dev/null", denied, true},
		{"read the sudo rules", "cat /etc/sudoers.d/sandbox-audio-" + strconv.Itoa(d.owner.UID) + "-default", denied, true},
		{"open the owner's terminal", "exec 3<>TERMINAL", denied, false},
		{"read the owner's keys", "dd if=TERMINAL count=1", denied, true},
	}
	var script strings.Builder
	for _, a := range attempts {
		fmt.Fprintf(&script, "( %s ) >/tmp/$$ 2>&1 </dev/null; echo \"status $?\" $(tail -c 300 /tmp/$$ | tr '\\n' ' ')\n", a.script)
	}
	script.WriteString("rm /tmp/$$\n")
	for _, who := range []string{"helper", "owner"} {
		// script(1) is the owner's terminal.
		argv := "sh /tmp/attempts-" + strconv.Itoa(os.Getpid())
		path := strings.Fields(argv)[1]
		if who == "helper" {
			argv = rig.Binary(t) + " run " + argv
		}
		cmd := d.owner.Command(t.Context(), env, "script", "-qec", "sed -i s,TERMINAL,$(tty),g "+path+"; "+argv, "/dev/null")
		if err := os.WriteFile(path, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, d.owner.UID, d.owner.GID); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		results := regexp.MustCompile(`(?m)status (\d+) ?(.*?)\r?$`).FindAllStringSubmatch(string(out), -1)
		if len(results) != len(attempts) {
			t.Fatalf("%d results of %d attempts: %s", len(results), len(attempts), out)
		}
		for i, a := range attempts {
			status, said := results[i][1], results[i][2]
			switch {
			case who == "helper" && (status == "0" || !regexp.MustCompile(a.fails).MatchString(said)):
				t.Errorf("the helper, to %s: status %s, %s", a.what, status, said)
			case who == "owner" && !a.closed && status != "0":
				t.Errorf("the owner itself, to %s: status %s, %s", a.what, status, said)
			}
		}
	}
	if groups, err := exec.Command("id", "-Gn", d.helper).Output(); err != nil || strings.TrimSpace(string(groups)) != d.helper {
		t.Errorf("the helper is in the groups %s", groups) // and so not in that of the card
	}
}
