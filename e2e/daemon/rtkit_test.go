package daemon_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// TestRealtimeByRtkit has daemons of two users who have no limits for it ask Debian's own rtkit, which asks polkit: only one of them may be realtime.
func TestRealtimeByRtkit(t *testing.T) {
	need.Root(t)
	need.Packages(t, "dbus-daemon", "polkitd", "rtkit")
	may, mayNot := need.NewUser(t), need.NewUser(t)
	bus := realtimeBus(t, may)
	for _, c := range []struct {
		owner          need.User
		kind, by, says string
	}{{may, "realtime", "rtkit", ""}, {mayNot, "ordinary", "", "rtkit refuses: it serves who sits at the machine"}} {
		// Only a daemon that plays on a card is in a hurry, be it one that is not there.
		d := rig.StartIn(t, c.owner, []string{"DBUS_SYSTEM_BUS_ADDRESS=" + bus}, "--device", "alsa:None")
		need.Eventually(t, time.Minute, func() string {
			if p := d.Status(t).Priority; p.Kind != c.kind || p.By != c.by || !strings.Contains(p.Why, c.says) {
				return fmt.Sprintf("priority %+v, wanted %+v", p, c)
			}
			return ""
		})
		policies, err := exec.Command("ps", "-L", "-o", "cls=,rtprio=", "-p", fmt.Sprint(rig.Worker(d.Keeper))).Output()
		if n := strings.Count(string(policies), "RR"); err != nil || (n == 1) != (c.kind == "realtime") || n > 1 {
			t.Errorf("%s, by the kernel's word:\n%s%v", c.kind, policies, err)
		}
	}
}

// realtimeBus is the address of a system bus of its own, on which rtkit serves, and polkit lets who, and nobody else, have what that gives.
func realtimeBus(t *testing.T, who need.User) (address string) {
	t.Helper()
	dir := rig.Folder(t, need.RootUser())
	address = "unix:path=" + dir + "/bus"
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("conf", `<busconfig><type>system</type><listen>`+address+`</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
		<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`)
	rules := filepath.Dir(write("rules/realtime.rules", `polkit.addRule(function(action, subject) {
		if (action.id.indexOf("org.freedesktop.RealtimeKit1.") == 0 && subject.user == "`+who.Name+`") return polkit.Result.YES;
	});`))
	start := func(name string, argv ...string) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		need.Eventually(t, time.Minute, func() string {
			conn, err := dbus.Connect(address)
			if err != nil {
				return err.Error()
			}
			defer conn.Close()
			var owner string
			if err := conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, name).Store(&owner); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	start("org.freedesktop.DBus", "dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile")
	// It sees these rules in the place of the machine's.
	start("org.freedesktop.PolicyKit1", "unshare", "--mount", "sh", "-c", `mount --bind "$1" /etc/polkit-1/rules.d && exec /usr/lib/polkit-1/polkitd --no-debug`, "sh", rules)
	start("org.freedesktop.RealtimeKit1", "/usr/libexec/rtkit-daemon", "--stderr")
	return address
}
