package realtime

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// limits are those of the user who raises.
type limits struct{ Rtprio, Nice, Rttime uint64 }

// raised is what came of it: what was said, and what is true by the kernel's word.
type raised struct {
	Grant          Grant
	Is             Kind
	Priority, Nice int
	Reset          bool // for threads it makes
	Rttime         uint64
}

const user = 65534 // nobody: a bus takes only those that have an account

// TestMain lets the binary be a process that is raised, or one that raises.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "raised" {
		os.Stdin.Read(make([]byte, 1))
	} else if len(os.Args) == 3 && os.Args[1] == "raiser" {
		if err := raiser(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	} else {
		os.Exit(m.Run())
	}
}

// raiser becomes the user with limits, starts a process, raises it, and prints a raised.
func raiser(text string) error {
	var l limits
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return err
	}
	for what, n := range map[int]uint64{unix.RLIMIT_RTPRIO: l.Rtprio, unix.RLIMIT_NICE: l.Nice, unix.RLIMIT_RTTIME: l.Rttime} {
		if err := unix.Prlimit(0, what, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
			return err
		}
	}
	if err := syscall.Setresgid(user, user, user); err != nil {
		return err
	}
	if err := syscall.Setresuid(user, user, user); err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe", "raised")
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer child.Wait()
	defer in.Close()
	pid := child.Process.Pid
	r := raised{Grant: Raise(pid, pid)}
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return err
	}
	r.Priority, r.Nice, r.Reset = int(attr.Priority), int(attr.Nice), attr.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0
	if r.Is, _, err = Of(pid); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &limit); err != nil {
		return err
	}
	r.Rttime = limit.Max
	return json.NewEncoder(os.Stdout).Encode(r)
}

// bus starts a bus that takes everybody, and returns its address.
func bus(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs the program of the package dbus: ", err)
	}
	dir, err := os.MkdirTemp("/tmp", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "conf")
	text := `<busconfig><type>system</type><listen>unix:path=` + dir + `/bus</listen><policy context="default"><allow user="*"/><allow own="*"/>
		<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--nopidfile", "--print-address")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// fakeKit is RealtimeKit, run by root: it does what it says, for processes of the user's whose realtime threads cannot run for ever.
type fakeKit struct {
	t       *testing.T
	refuses string // a D-Bus error
	most    int32
}

func (k *fakeKit) raise(process, thread uint64, attr unix.SchedAttr) *dbus.Error {
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", process)) // as the real one does
	if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max realtime timeout 60000 200000 us") {
		k.t.Errorf("%v; its limits are\n%s", err, limits)
		return dbus.MakeFailedError(syscall.EPERM)
	}
	if k.refuses != "" {
		return &dbus.Error{Name: k.refuses}
	}
	if err := unix.SchedSetAttr(int(thread), &attr, 0); err != nil {
		return dbus.MakeFailedError(err)
	}
	return nil
}

func (k *fakeKit) MakeThreadRealtimeWithPID(process, thread uint64, priority uint32) *dbus.Error {
	if k.most == 0 {
		return &dbus.Error{Name: "org.freedesktop.DBus.Error.AccessDenied"}
	}
	return k.raise(process, thread, unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK})
}

func (k *fakeKit) MakeThreadHighPriorityWithPID(process, thread uint64, nice int32) *dbus.Error {
	return k.raise(process, thread, unix.SchedAttr{Size: unix.SizeofSchedAttr, Nice: nice, Flags: unix.SCHED_FLAG_RESET_ON_FORK})
}

func (k *fakeKit) Get(_, property string) (dbus.Variant, *dbus.Error) {
	switch property {
	case "MaxRealtimePriority":
		return dbus.MakeVariant(k.most), nil
	case "MinNiceLevel":
		return dbus.MakeVariant(int32(-8)), nil
	}
	return dbus.Variant{}, dbus.MakeFailedError(syscall.ENOENT)
}

// serve puts k on a bus.
func (k *fakeKit) serve(address string) {
	k.t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { conn.Close() })
	if err := conn.Export(k, kitObject, kit); err != nil {
		k.t.Fatal(err)
	}
	if err := conn.Export(k, kitObject, "org.freedesktop.DBus.Properties"); err != nil {
		k.t.Fatal(err)
	}
	if reply, err := conn.RequestName(kit, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		k.t.Fatal(reply, err)
	}
}

// offers is what a user may be offered, and what comes of it.
type offers struct {
	what   string
	limits limits
	bus    string
	want   Grant
	says   string
}

// TestLimits has a user raise a thread of another process of his own, with limits that root set for him and no bus.
func TestLimits(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it gives rights")
	}
	if err := unix.Prlimit(0, unix.RLIMIT_RTPRIO, &unix.Rlimit{Cur: 95, Max: 95}, nil); err != nil {
		t.Skip("root may not raise limits here; it may in the guest of e2e/machine: ", err)
	}
	const nowhere = "unix:path=/nowhere"
	for _, o := range []offers{
		{"none", limits{Rttime: forever}, nowhere, Grant{Kind: Ordinary}, "RLIMIT_RTPRIO is 0; rtkit is not there: joining the system bus"},
		{"realtime", limits{Rtprio: 95, Rttime: forever}, nowhere, Grant{Kind: Realtime, Level: 5, By: "RLIMIT_RTPRIO"}, ""},
		{"less of it", limits{Rtprio: 2, Rttime: forever}, nowhere, Grant{Kind: Realtime, Level: 2, By: "RLIMIT_RTPRIO"}, ""},
		{"and little time", limits{Rtprio: 95, Rttime: 90_000}, nowhere, Grant{Kind: Realtime, Level: 5, By: "RLIMIT_RTPRIO"}, ""},
		{"niceness", limits{Nice: 40, Rttime: forever}, nowhere, Grant{Kind: Nice, Level: -11, By: "RLIMIT_NICE"}, "RLIMIT_RTPRIO is 0; rtkit is not there"},
		{"less of it", limits{Nice: 25, Rttime: forever}, nowhere, Grant{Kind: Nice, Level: -5, By: "RLIMIT_NICE"}, "RLIMIT_RTPRIO is 0"},
	} {
		t.Run(o.what, o.raise)
	}
}

// TestKit has a user without rights turn to RealtimeKit.
func TestKit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it gives rights")
	}
	empty, denying, giving, modest := bus(t), bus(t), bus(t), bus(t)
	(&fakeKit{t: t, refuses: "org.freedesktop.DBus.Error.AccessDenied", most: 20}).serve(denying)
	(&fakeKit{t: t, most: 3}).serve(giving)
	(&fakeKit{t: t}).serve(modest)
	for _, o := range []offers{
		{"not installed", limits{Rttime: forever}, empty, Grant{Kind: Ordinary}, "RLIMIT_RTPRIO is 0; rtkit is not installed"},
		{"refuses", limits{Rttime: forever}, denying, Grant{Kind: Ordinary}, "rtkit refuses: it serves who sits at the machine"},
		{"gives", limits{Rttime: forever}, giving, Grant{Kind: Realtime, Level: 3, By: "rtkit"}, ""},
		{"makes nothing realtime", limits{Rttime: forever}, modest, Grant{Kind: Nice, Level: -8, By: "rtkit"}, "it serves who sits at the machine"},
	} {
		t.Run(o.what, o.raise)
	}
}

const forever = ^uint64(0)

func (o offers) raise(t *testing.T) {
	text, _ := json.Marshal(o.limits)
	cmd := exec.Command("/proc/self/exe", "raiser", string(text))
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+o.bus)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var got raised
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	why := got.Grant.Why
	if got.Grant.Why = ""; got.Grant != o.want || !strings.Contains(why, o.says) {
		t.Errorf("granted %+v, because %q", got.Grant, why)
	}
	if got.Is != o.want.Kind {
		t.Errorf("granted %+v, and it is %s", got.Grant, got.Is)
	}
	if got.Is == Realtime && got.Priority != o.want.Level || got.Is == Nice && got.Nice != o.want.Level || got.Is != Ordinary && !got.Reset {
		t.Errorf("granted %+v, and it has %+v", got.Grant, got)
	}
	if got.Rttime != min(200_000, o.limits.Rttime) {
		t.Errorf("it may run for %d µs without sleeping", got.Rttime)
	}
}
