package launcher

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
)

// needRoot skips where accounts cannot be made, and makes an ordinary owner besides.
func needRoot(t *testing.T) (root, owner Account) {
	t.Helper()
	if whyNotRoot != "" {
		t.Skip(whyNotRoot)
	}
	for _, name := range []string{"useradd", "sudo", "su"} {
		if _, err := tool(name); err != nil {
			t.Skip(err)
		}
	}
	name := "sat" + strconv.Itoa(os.Getpid())
	if err := runTool("useradd", "-m", "-s", "/bin/bash", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		need.Eventually(t, time.Minute, func() string { // what a compositor had started ends after it, and userdel refuses before
			if err := runTool("userdel", "-r", name); err != nil && !strings.Contains(err.Error(), "mail spool") {
				return err.Error()
			}
			return ""
		})
	})
	owner, err := accountByName(name)
	if err != nil {
		t.Fatal(err)
	}
	root, err = accountByUID(0)
	if err != nil {
		t.Fatal(err)
	}
	return root, owner
}

// snapshot is all that setup may touch: what every file holds, its mode and owner.
func snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	note := func(path string, st fs.FileInfo) {
		uid, gid := fileOwner(st)
		text := fmt.Sprintf("%v %d:%d ", st.Mode(), uid, gid)
		if st.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text += string(content)
		}
		all[path] = text
	}
	for _, path := range []string{"passwd", "group", "shadow", "gshadow", "subuid", "subgid"} {
		st, err := os.Stat("/etc/" + path)
		if err != nil {
			t.Fatal(err)
		}
		note("/etc/"+path, st)
	}
	for _, dir := range []string{"/etc/sudoers.d", "/etc/tmpfiles.d", "/home", "/usr/local/lib/sandbox-audio", "/var/lib/sandbox-audio", "/var/mail", "/run"} {
		err := filepath.Walk(dir, func(path string, st fs.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if slices.Contains(foreign, path) {
				return filepath.SkipDir
			}
			note(path, st)
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return all
}

// foreign is the homes that were there before the tests. They show through, and their owners go on meanwhile.
var foreign = func() []string {
	homes, _ := filepath.Glob("/home/*")
	return homes
}()

func sameSnapshot(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for path := range maps.Keys(want) {
		if got[path] != want[path] {
			t.Errorf("%s, %s is\n%.400q\nnot\n%.400q", when, path, got[path], want[path])
		}
	}
	for path := range maps.Keys(got) {
		if _, ok := want[path]; !ok {
			t.Errorf("%s, %s is new", when, path)
		}
	}
}

func quiet(string, Step) {}

func mustSetup(t *testing.T, owner Account, profile string) *Profile {
	t.Helper()
	if err := Setup(owner, profile, nil, false, quiet); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := FindProfile(owner, profile); err == nil {
			mustTeardown(t, owner, profile, true)
		}
	})
	p, err := FindProfile(owner, profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustTeardown(t *testing.T, owner Account, profile string, purge bool) (kept string) {
	t.Helper()
	kept, err := Teardown(owner, profile, purge, false, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestSetupAndTeardown(t *testing.T) {
	root, owner := needRoot(t)
	for _, who := range []Account{root, owner} {
		t.Run("as uid "+strconv.Itoa(who.UID), func(t *testing.T) {
			before := snapshot(t)
			if err := Setup(who, "default", nil, true, quiet); err != nil {
				t.Fatal(err)
			}
			sameSnapshot(t, "after a dry run", snapshot(t), before)
			p := mustSetup(t, who, "default")
			checkHelper(t, p)
			once := snapshot(t)
			mustSetup(t, who, "default")
			sameSnapshot(t, "after a second setup", snapshot(t), once)
			if _, err := Teardown(who, "default", false, true, quiet); err != nil {
				t.Fatal(err)
			}
			sameSnapshot(t, "after a teardown's dry run", snapshot(t), once)
			if kept := mustTeardown(t, who, "default", false); kept != "" {
				t.Errorf("%s was kept", kept)
			}
			sameSnapshot(t, "after teardown", snapshot(t), before)
		})
	}
}

func checkHelper(t *testing.T, p *Profile) {
	t.Helper()
	a, err := accountByName(p.Helper)
	if err != nil {
		t.Fatal(err)
	}
	if a.UID != p.HelperUID || a.GID != p.HelperGID || a.Home != p.Home || a.Shell != nologin() || a.UID >= 1000 {
		t.Errorf("the account is %+v", a)
	}
	shadow, err := os.ReadFile("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(shadow), "\n"+p.Helper+":!") {
		t.Error("the helper has a password")
	}
	groups, err := exec.Command("id", "-Gn", p.Helper).Output()
	if err != nil || strings.TrimSpace(string(groups)) != p.Helper {
		t.Errorf("the helper's groups are %q, %v", groups, err)
	}
	for path, want := range map[string]string{
		p.Home:                     fmt.Sprintf("drwx------ %d:%d", a.UID, a.GID),
		p.Home + "/.config":        fmt.Sprintf("drwx------ %d:%d", a.UID, a.GID),
		p.Home + "/.config/pulse":  fmt.Sprintf("drwx------ %d:%d", a.UID, a.GID),
		p.ClientConf:               fmt.Sprintf("-rw------- %d:%d", a.UID, a.GID),
		p.RuntimeDir:               fmt.Sprintf("drwx------ %d:%d", a.UID, a.GID),
		p.Entry:                    "-rwxr-xr-x 0:0",
		filepath.Dir(p.Entry):      "drwxr-xr-x 0:0",
		p.path():                   "-rw-r--r-- 0:0",
		filepath.Dir(p.RuntimeDir): "drwxr-xr-x 0:0",
	} {
		checkMode(t, path, want)
	}
	daemon, err := accountByName(p.daemonUser())
	if err != nil {
		t.Fatal(err)
	}
	checkMode(t, filepath.Dir(p.Socket), fmt.Sprintf("drwxr-xr-x %d:%d", daemon.UID, daemon.GID))
	if p.OwnerUID == 0 {
		if p.Rule != "" {
			t.Error("root needs no rule")
		}
		return
	}
	checkMode(t, p.Rule, "-r--r----- 0:0")
	rule, err := exec.Command("sudo", "-n", "-l", "-U", p.Owner).Output()
	allowed := "\n    (" + p.Helper + ") NOPASSWD: " + p.Entry
	for _, kinds := range []string{"gpu", "webcam", "gpu webcam"} {
		allowed += fmt.Sprintf("\n    (root) NOPASSWD: %s @devices %d %s %s", p.Entry, p.OwnerUID, p.Name, kinds)
	}
	if err != nil || strings.Count(string(rule), "NOPASSWD") != 4 || !strings.HasSuffix(string(rule), allowed+"\n") {
		t.Errorf("sudo lets the owner %q, %v", rule, err)
	}
}

func checkMode(t *testing.T, path, want string) {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	uid, gid := fileOwner(st)
	if got := fmt.Sprintf("%v %d:%d", st.Mode(), uid, gid); got != want {
		t.Errorf("%s is %s, not %s", path, got, want)
	}
}

// Whatever is damaged, setup brings back, and touches nothing else.
func TestSetupRepairs(t *testing.T) {
	_, owner := needRoot(t)
	p := mustSetup(t, owner, "default")
	for _, group := range []string{"audio", "video", "input"} {
		if !groupExists(group) {
			if err := runTool("groupadd", group); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { runTool("groupdel", group) })
		}
	}
	good := snapshot(t)
	shell := func(line string) func() error {
		return func() error {
			out, err := exec.Command("sh", "-c", line).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", line, err, out)
			}
			return err
		}
	}
	for name, damage := range map[string]func() error{
		"groups":             shell("usermod -aG audio,video,input " + p.Helper),
		"shell":              shell("usermod -s /bin/sh " + p.Helper),
		"open home":          shell("chmod 755 " + p.Home),
		"home of root":       shell("chown 0:0 " + p.Home),
		"client.conf":        shell("echo autospawn = yes > " + p.ClientConf),
		"no client.conf":     shell("rm -r " + p.Home + "/.config"),
		"client.conf a link": shell("ln -sf /etc/shadow " + p.ClientConf),
		"open client.conf":   shell("chmod 666 " + p.ClientConf),
		"entry program":      shell("echo >> " + p.Entry),
		"open entry program": shell("chmod 777 " + p.Entry),
		"no entry program":   shell("rm -r " + filepath.Dir(p.Entry)),
		"reboot":             shell("rm -r /run/sandbox-audio"),
		"socket directory":   shell("chmod 777 " + filepath.Dir(p.Socket)),
		"rule":               shell("echo 'ALL ALL=(ALL) NOPASSWD: ALL' > " + p.Rule),
		"no rule":            shell("rm " + p.Rule),
		"tmpfiles":           shell("test ! -e /etc/tmpfiles.d || rm /etc/tmpfiles.d/sandbox-audio-*"),
		"record":             shell("chmod 600 " + p.path() + "; sed -i 's/4713/4713 /' " + p.path()),
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			if err := Setup(owner, "default", nil, false, quiet); err != nil {
				t.Fatal(err)
			}
			sameSnapshot(t, "after the repair", snapshot(t), good)
		})
	}
	t.Run("account", func(t *testing.T) {
		if err := shell("userdel " + p.Helper)(); err != nil {
			t.Fatal(err)
		}
		if err := Setup(owner, "default", nil, false, quiet); err != nil {
			t.Fatal(err)
		}
		checkHelper(t, p)
	})
}

// The helper may put what it likes into its home; setup, which is root there, is not led out of it.
func TestSetupIsNotLedAstray(t *testing.T) {
	_, owner := needRoot(t)
	p := mustSetup(t, owner, "default")
	outside := t.TempDir()
	if err := os.RemoveAll(p.Home + "/.config"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, p.Home+"/.config"); err != nil {
		t.Fatal(err)
	}
	if err := Setup(owner, "default", nil, false, quiet); err == nil {
		t.Error("setup went along a link out of the home")
	}
	mustTeardown(t, owner, "default", true)
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside the home there is %v, %v", left, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// Each step made to fail in turn: what came before is undone.
func TestFailedSetupLeavesNothing(t *testing.T) {
	_, owner := needRoot(t)
	fresh, err := newProfile(owner, "default", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fresh.Rule, fresh.Tmpfiles, fresh.Entry, fresh.Home, runDir} {
		t.Run(path, func(t *testing.T) {
			if path == "" {
				t.Skip("no tmpfiles.d on this system")
			}
			parent := filepath.Dir(path)
			if _, err := os.Stat(parent); os.IsNotExist(err) {
				if err := os.Mkdir(parent, 0o755); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(parent)
			}
			// In the way: a directory where a file must be, a file where a directory must be.
			obstacle := os.Mkdir(path, 0o755)
			if path == fresh.Home || path == runDir {
				os.Remove(path)
				obstacle = os.WriteFile(path, nil, 0o644)
			}
			if obstacle != nil {
				t.Fatal(obstacle)
			}
			defer os.Remove(path)
			before := snapshot(t)
			if err := Setup(owner, "default", nil, false, quiet); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, without %s", err, path)
			}
			sameSnapshot(t, "after the failure", snapshot(t), before)
		})
	}
}

func TestAccountOfSomebodyElse(t *testing.T) {
	_, owner := needRoot(t)
	name, err := helperName(owner, "bank")
	if err != nil {
		t.Fatal(err)
	}
	if err := runTool("useradd", "--system", name); err != nil {
		t.Fatal(err)
	}
	defer runTool("userdel", name)
	before := snapshot(t)
	err = Setup(owner, "bank", nil, false, quiet)
	if err == nil || !strings.Contains(err.Error(), "sandbox-audio did not make") {
		t.Errorf("error %v", err)
	}
	sameSnapshot(t, "after the refusal", snapshot(t), before)
	// The profile "sandbox" would have the same helper as "default".
	mustSetup(t, owner, "default")
	if err := Setup(owner, "sandbox", nil, false, quiet); err == nil || !strings.Contains(err.Error(), "sandbox-audio did not make") {
		t.Errorf("error %v", err)
	}
}

// Several profiles and owners share the entry program, the directories and the service user until the last one goes.
func TestLastOneOut(t *testing.T) {
	root, owner := needRoot(t)
	before := snapshot(t)
	type one struct {
		who     Account
		profile string
	}
	all := []one{{owner, "default"}, {root, "default"}, {owner, "bank"}, {root, "games"}}
	ports := map[int]int{}
	for _, o := range all {
		ports[o.who.UID] = mustSetup(t, o.who, o.profile).Port
	}
	if ports[0] == ports[owner.UID] {
		t.Errorf("two owners have the port %d", ports[0])
	}
	for len(all) > 0 {
		mustTeardown(t, all[0].who, all[0].profile, false)
		all = all[1:]
		for _, o := range all {
			p, err := FindProfile(o.who, o.profile)
			if err != nil {
				t.Fatal(err)
			}
			checkHelper(t, p)
			if p.Tmpfiles == "" {
				continue
			}
			text, err := os.ReadFile(p.Tmpfiles)
			if err != nil || !strings.Contains(string(text), p.RuntimeDir+" ") || strings.Count(string(text), "\nd ") != strings.Count(string(text), runDir) {
				t.Errorf("%s holds %s, %v", p.Tmpfiles, text, err)
			}
		}
	}
	sameSnapshot(t, "after the last teardown", snapshot(t), before)
}

// A home with files of programs stays, and the next helper of the name gets it under the same uid; purge removes it.
func TestKeptHome(t *testing.T) {
	_, owner := needRoot(t)
	before := snapshot(t)
	p := mustSetup(t, owner, "default")
	file := p.Home + "/bookmarks"
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, p.HelperUID, p.HelperGID); err != nil {
		t.Fatal(err)
	}
	if kept := mustTeardown(t, owner, "default", false); kept != p.Home {
		t.Errorf("kept %q", kept)
	}
	left := snapshot(t)
	for path := range left {
		if _, ok := before[path]; !ok && path != p.Home && path != file {
			t.Errorf("%s is left", path)
		}
	}
	again := mustSetup(t, owner, "default")
	if again.HelperUID != p.HelperUID || again.HelperGID != p.HelperGID {
		t.Errorf("the helper was %d:%d and is %d:%d", p.HelperUID, p.HelperGID, again.HelperUID, again.HelperGID)
	}
	checkHelper(t, again)
	if kept := mustTeardown(t, owner, "default", true); kept != "" {
		t.Errorf("kept %q", kept)
	}
	sameSnapshot(t, "after the purge", snapshot(t), before)

	// When somebody else has got the uid, the home is his by the kernel's rules, and setup does not touch it.
	mustSetup(t, owner, "default")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustTeardown(t, owner, "default", false)
	if err := runTool("useradd", "--system", "-u", strconv.Itoa(p.HelperUID), "sat-other"); err != nil {
		t.Fatal(err)
	}
	defer runTool("userdel", "sat-other")
	defer os.RemoveAll(p.Home)
	if err := os.Chown(p.Home, p.HelperUID, p.HelperGID); err != nil {
		t.Fatal(err)
	}
	if err := Setup(owner, "default", nil, false, quiet); err == nil || !strings.Contains(err.Error(), "belongs to sat-other") {
		t.Errorf("error %v", err)
	}
}

// Teardown ends the helper's programs, those too that ignore SIGTERM.
func TestTeardownEndsPrograms(t *testing.T) {
	_, owner := needRoot(t)
	p := mustSetup(t, owner, "default")
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; sleep 600`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.HelperUID), Gid: uint32(p.HelperGID)}}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lineOf(t, ready)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	mustTeardown(t, owner, "default", false)
	if err := <-done; err == nil {
		t.Error("the program ended well")
	}
	if pids, err := processesOf(p.HelperUID); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
}

// An account that has taken the uid of a helper which somebody removed by hand keeps its processes and its account.
func TestTeardownSparesTheNextOfTheUID(t *testing.T) {
	_, owner := needRoot(t)
	p := mustSetup(t, owner, "default")
	if err := runTool("userdel", p.Helper); err != nil {
		t.Fatal(err)
	}
	if err := runTool("useradd", "--system", "-u", strconv.Itoa(p.HelperUID), "sat-other"); err != nil {
		t.Fatal(err)
	}
	defer runTool("userdel", "sat-other")
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.HelperUID), Gid: uint32(p.HelperGID)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	mustTeardown(t, owner, "default", false)
	if !processLives(cmd.Process.Pid) {
		t.Error("somebody else's program was ended")
	}
	if _, err := accountByName("sat-other"); err != nil {
		t.Error(err)
	}
}

func TestTeardownOfNothing(t *testing.T) {
	if whyNotRoot != "" {
		t.Skip(whyNotRoot)
	}
	root := Account{Name: "root"}
	_, err := Teardown(root, "never", false, false, quiet)
	if err == nil || !strings.Contains(err.Error(), "sandbox-audio setup --profile never") {
		t.Errorf("error %v", err)
	}
}

func TestStepsInOrder(t *testing.T) {
	c := &change{owner: Account{Name: "alice", UID: 1000}, profile: machine().profile}
	c.profile.Rule = "/etc/sudoers.d/x"
	steps := c.steps()
	if _, ok := steps[0].(*recordStep); !ok {
		t.Error("the record does not come first")
	}
	if _, ok := steps[len(steps)-1].(*ruleStep); !ok {
		t.Error("the rule does not come last")
	}
	if slices.ContainsFunc(steps, func(s Step) bool { _, ok := s.(*serviceStep); return ok }) {
		t.Error("an ordinary owner gets the service user")
	}
}
