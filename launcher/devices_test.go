package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sandbox-audio/e2e/need"
)

const (
	render = "/dev/dri/renderD128"
	camera = "/dev/video0"
)

// state is a node's mode and list, whole.
func state(t *testing.T, path string) string {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := getACL(f.Fd(), aclAccess)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(st.Mode(), " ", a)
}

// try says what becomes of opening a node: a device that nothing answers at is no such device to those who may open it.
const try = `for n in %s; do sh -c ': <>'$n 2>&1 | sed 's/.*: //'; done | tr '\n' ' '; echo`

// The graphics card is the helper's while its programs run that have a display, and a camera where the profile says so;
// afterwards, however they ended, each node is what it was before.
func TestDevices(t *testing.T) {
	o := newXOwner(t)
	need.Devices(t)
	need.Node(t, render, o.owner.GID, 226, 128)
	need.Node(t, camera, o.owner.GID, 81, 0)
	before := state(t, render) + state(t, camera)
	untouched := func(when string) {
		t.Helper()
		until(t, "the nodes to be as before "+when, func() bool { return state(t, render)+state(t, camera) == before })
		if left, err := os.ReadDir(deviceLoans); err != nil || len(left) > 0 {
			t.Errorf("%s, loans are left: %v, %v", when, left, err)
		}
	}
	script := fmt.Sprintf(try, render+" "+camera)
	const open, shut = "No such device or address", "Permission denied"
	first, second := startTalk(t, o.run(o.environ())), startTalk(t, o.run(o.environ()))
	if got := first.say(t, script); got != open+" "+shut {
		t.Errorf("the nodes are to the helper: %s", got)
	}
	first.end(t)
	if got := second.say(t, script); got != open+" "+shut {
		t.Errorf("after the first of two runs: %s", got)
	}
	second.end(t)
	if got := state(t, render) + state(t, camera); got != before { // at once: run has waited
		t.Errorf("after the last run the nodes are %s, not %s", got, before)
	}
	untouched("after the last run")

	out, err := o.run(nil, "sh", "-c", script).Output()
	if err != nil || strings.TrimSpace(string(out)) != shut+" "+shut {
		t.Errorf("without a display: %s, %v", out, err)
	}
	out, err = o.run([]string{"TEST_CONFIG=webcam=true"}, "sh", "-c", script).Output()
	if err != nil || strings.TrimSpace(string(out)) != shut+" "+open {
		t.Errorf("with a webcam: %s, %v", out, err)
	}
	out, err = o.run(o.environ("TEST_CONFIG=gpu=false"), "sh", "-c", script).Output()
	if err != nil || strings.TrimSpace(string(out)) != shut+" "+shut {
		t.Errorf("without the graphics card: %s, %v", out, err)
	}

	killed := startTalk(t, o.run(o.environ()))
	if got := killed.say(t, script); got != open+" "+shut {
		t.Fatal(got)
	}
	killed.Process.Kill()
	untouched("after a run that was killed")

	crashed := startTalk(t, o.run(o.environ()))
	keepers, err := exec.Command("pgrep", "-u", "0", "-f", "^"+o.profile.Entry+" "+devicesArg).Output()
	if err != nil || len(strings.Fields(string(keepers))) != 1 {
		t.Fatalf("keepers: %s, %v", keepers, err)
	}
	if out, err := exec.Command("kill", "-9", strings.TrimSpace(string(keepers))).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	crashed.end(t)
	if state(t, render)+state(t, camera) == before {
		t.Fatal("the keeper was killed and took back nevertheless")
	}
	if out, err := o.run(o.environ(), "true").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	untouched("after the next start")
}

// What the owner cannot open is not lent, and the rule lets the owner do nothing else as root.
func TestDevicesOfOthers(t *testing.T) {
	o := newXOwner(t)
	need.Devices(t)
	need.Node(t, render, 0, 226, 128)
	before := state(t, render)
	program := startTalk(t, o.run(o.environ()))
	if got := program.say(t, fmt.Sprintf(try, render)); got != "Permission denied" {
		t.Errorf("the helper, to a card that is not its owner's: %s", got)
	}
	if got := state(t, render); got != before {
		t.Errorf("the node is %s", got)
	}
	program.end(t)
	for _, argv := range [][]string{
		{o.profile.Entry, devicesArg, "0", DefaultProfile, gpu},
		{o.profile.Entry, devicesArg, fmt.Sprint(o.owner.UID), DefaultProfile, gpu, "/etc/shadow"},
		{o.profile.Entry, keeperArg, "/", "/bin/sh"},
		{o.profile.Entry},
	} {
		cmd := exec.Command("sudo", append([]string{"-n", "--"}, argv...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.owner.UID), Gid: uint32(o.owner.GID)}}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "password is required") {
			t.Errorf("%s as root: %v: %s", argv, err, out)
		}
	}
	helpers := exec.Command(o.profile.Entry, devicesArg, fmt.Sprint(o.owner.UID), DefaultProfile, gpu)
	helpers.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.profile.HelperUID), Gid: uint32(o.profile.HelperGID)}}
	if out, err := helpers.CombinedOutput(); err == nil {
		t.Errorf("the helper lends itself devices: %s", out)
	}
}

// Where the owner is root, no sudo is needed to lend.
func TestDevicesOfRoot(t *testing.T) {
	root, _ := needRoot(t)
	mustSetup(t, root, DefaultProfile)
	need.Devices(t)
	need.Node(t, camera, 0, 81, 0)
	before := state(t, camera)
	out, err := launcherOf(t, root)([]string{"TEST_CONFIG=webcam=true"}, "sh", "-c", fmt.Sprintf(try, camera)).Output()
	if err != nil || strings.TrimSpace(string(out)) != "No such device or address" {
		t.Errorf("the camera is to root's helper: %s, %v", out, err)
	}
	if got := state(t, camera); got != before {
		t.Errorf("the node is %s, was %s", got, before)
	}
}

// Lending adds one entry to a list and taking back takes that one away, whatever else is or was there meanwhile.
func TestDeviceList(t *testing.T) {
	needRoot(t)
	need.Devices(t)
	need.Node(t, render, 0, 226, 128)
	setfacl := func(how, who string) {
		t.Helper()
		if out, err := exec.Command("setfacl", how, who, render).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	plain := state(t, render)
	d := &lentDevice{Path: render, Helper: 4321}
	check := func(want bool) {
		t.Helper()
		if ok, err := d.Check(); ok != want || err != nil {
			t.Errorf("open to the helper: %v, %v", ok, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(false)
	must(d.Apply())
	check(true)
	must(d.Undo())
	check(false)
	if got := state(t, render); got != plain {
		t.Errorf("the node is %s, was %s", got, plain)
	}
	setfacl("-m", "u:1000:rw,g:44:r")
	seat := state(t, render)
	must(d.Apply())
	check(true)
	setfacl("-m", "m:r")
	check(false)
	must(d.Undo())
	if got := state(t, render); got != seat {
		t.Errorf("the node is %s, was %s", got, seat)
	}
	must(d.Apply())
	setfacl("-x", "u:1000,g:44") // another person takes the seat
	must(d.Undo())
	if got := state(t, render); got != plain {
		t.Errorf("the node is %s, was %s", got, plain)
	}
	must(d.Apply())
	must(os.Remove(render))
	if err := d.Undo(); err != nil {
		t.Errorf("the node is gone: %v", err)
	}
}
