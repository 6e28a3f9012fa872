package launcher

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// desktopShell takes notifications as a desktop does.
type desktopShell chan string

func (d desktopShell) Notify(app string, _ uint32, _, summary, body string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	d <- app + "|" + summary + "|" + body
	return 1, nil
}

// notifyMain is a process that shows a notification.
func notifyMain(args []string) int {
	if err := Notify(args[0], args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestNotify(t *testing.T) {
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip(err)
	}
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address=unix:tmpdir="+t.TempDir())
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer daemon.Wait()
	defer daemon.Process.Kill()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	notify := func(env ...string) ([]byte, error) {
		cmd := exec.Command(called(t, "notify"), "fire was not started", "no <b>such</b> user")
		cmd.Env = env
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
		return cmd.CombinedOutput()
	}
	if out, err := notify("DBUS_SESSION_BUS_ADDRESS=" + address); err == nil || !strings.Contains(string(out), "notification") {
		t.Errorf("with nobody to show it: %v, %s", err, out)
	}
	if out, err := notify(); err != nil || len(out) > 0 {
		t.Errorf("without a bus: %v, %s", err, out)
	}
	bus, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	shown := make(desktopShell, 1)
	if err := bus.Export(shown, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if out, err := notify("DBUS_SESSION_BUS_ADDRESS=" + address); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := <-shown, "sandbox-audio|fire was not started|no &lt;b&gt;such&lt;/b&gt; user"; got != want {
		t.Errorf("shown %q, not %q", got, want)
	}
}
