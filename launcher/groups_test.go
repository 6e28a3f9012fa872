package launcher

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// newGroup makes a group with members for a test.
func newGroup(t *testing.T, name string, members ...string) string {
	t.Helper()
	name += strconv.Itoa(os.Getpid())
	if err := runTool("groupadd", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runTool("groupdel", name); err != nil {
			t.Error(err)
		}
	})
	for _, m := range members {
		if err := runTool("gpasswd", "-a", m, name); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// A helper's programs have the groups that setup was told, also without a network; setup alone keeps them, and teardown
// leaves the group database as it was.
func TestGroups(t *testing.T) {
	_, owner := needRoot(t)
	name := newGroup(t, "scan", owner.Name)
	dir, err := os.MkdirTemp("", "group")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("seen"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"chgrp", name, secret}, {"chmod", "755", dir}} {
		if err := runTool(argv[0], argv[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t)
	if err := Setup(owner, "default", []string{name}, true, quiet); err != nil {
		t.Fatal(err)
	}
	sameSnapshot(t, "after a dry run", snapshot(t), before)
	p := mustSetup(t, owner, DefaultProfile)
	launch := launcherOf(t, owner)
	run := func(config string) (string, error) {
		out, err := launch([]string{"TEST_CONFIG=" + config}, "cat", secret).CombinedOutput()
		return string(out), err
	}
	wants := "groups = [\"" + name + "\"]\n"
	if out, err := run(wants); statusOf(t, err) != StatusFailed || !strings.Contains(out, "sandbox-audio setup --profile default") {
		t.Errorf("without the group: %s", out)
	}
	if err := Setup(owner, DefaultProfile, []string{name}, false, quiet); err != nil {
		t.Fatal(err)
	}
	mustSetup(t, owner, DefaultProfile)
	for _, config := range []string{wants, wants + "network = \"off\"\nno_new_privs = true\n"} {
		if out, err := run(config); err != nil || out != "seen" {
			t.Errorf("%q: %v: %s", config, err, out)
		}
	}
	if err := Setup(owner, DefaultProfile, []string{}, false, quiet); err != nil {
		t.Fatal(err)
	}
	if in, err := groupsOf(Account{Name: p.Helper, GID: p.HelperGID}); err != nil || len(in) > 0 {
		t.Errorf("the helper is in %q, %v", in, err)
	}
	if out, err := run(""); err == nil {
		t.Errorf("the secret is still seen: %s", out)
	}
	if err := Setup(owner, DefaultProfile, []string{name}, false, quiet); err != nil {
		t.Fatal(err)
	}
	mustTeardown(t, owner, DefaultProfile, true)
	if err := os.RemoveAll(filepath.Join(owner.Home, ".local")); err != nil { // the runs' logs
		t.Fatal(err)
	}
	sameSnapshot(t, "after teardown", snapshot(t), before)
}

// Groups that root, devices, or somebody's files come with are given to no helper, and nor is what the owner has not.
func TestGroupsRefused(t *testing.T) {
	root, owner := needRoot(t)
	foreign := newGroup(t, "foreign")
	const alias = "alias-of-root"
	groups, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/group", append(slices.Clone(groups), alias+":x:0:"+owner.Name+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runTool("sed", "-i", "/^"+alias+":/d", "/etc/group"); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"audio", "sudo", "docker"} {
		if !groupExists(name) {
			if err := runTool("groupadd", name); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { runTool("groupdel", name) })
		}
		if err := runTool("gpasswd", "-a", owner.Name, name); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t)
	for name, want := range map[string]string{
		"audio": "gives the devices", "sudo": "leads out", "docker": "leads out", "root": "leads out", alias: "leads out",
		foreign: "you are not in", owner.Name: "is not yours", "no-such": "there is no group", "-r": "there is no group", "": "there is no group",
	} {
		err := Setup(owner, "default", []string{name}, false, quiet)
		if name == owner.Name && err != nil && strings.Contains(err.Error(), owner.Name+"'s own") {
			continue // in whichever order
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, without %q", name, err, want)
		}
	}
	for name, want := range map[string]string{"audio": "gives the devices", owner.Name: "own"} {
		if err := Setup(root, "default", []string{name}, false, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("root, %q: error %v, without %q", name, err, want)
		}
	}
	sameSnapshot(t, "after refusals", snapshot(t), before)
}

// What somebody else has put the helper into, setup takes it out of, and the doctor says so before.
func TestStrayGroups(t *testing.T) {
	_, owner := needRoot(t)
	name := newGroup(t, "stray", owner.Name)
	p := mustSetup(t, owner, DefaultProfile)
	if err := runTool("gpasswd", "-a", p.Helper, name); err != nil {
		t.Fatal(err)
	}
	d := &doctor{owner: owner, name: p.Name, profile: p}
	d.account()
	if !slices.ContainsFunc(d.found, func(f Finding) bool { return f.State == Trouble && strings.Contains(f.Says, name) && f.Fix == FixSetup }) {
		t.Errorf("found %+v", d.found)
	}
	mustSetup(t, owner, DefaultProfile)
	text, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte(name+":")) && bytes.Contains(line, []byte(p.Helper)) {
			t.Errorf("still: %s", line)
		}
	}
}
