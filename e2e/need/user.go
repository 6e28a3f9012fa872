package need

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// User is an account that exists for one test.
type User struct {
	Name     string
	UID, GID int
	Home     string // 0700
}

// NewUser makes a system account with a home and no password, a member of the named groups too, and removes it with
// all its processes and files when t ends. It needs root.
func NewUser(t testing.TB, groups ...string) User {
	t.Helper()
	Root(t)
	name := "sa-test-" + random()
	args := []string{"--system", "--user-group", "--create-home", "--home-dir", "/var/tmp/" + name, "-K", "HOME_MODE=0700", "--shell", "/usr/sbin/nologin"}
	if len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	accounts(t, "useradd", append(args, name)...)
	t.Cleanup(func() {
		kill(t, name)
		accounts(t, "userdel", "--force", "--remove", name) // forced, since it counts the dead that nobody has waited for
	})
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return User{Name: name, UID: uid, GID: gid, Home: u.HomeDir}
}

// NewGroup makes a group and removes it when t ends, so call it before the NewUser of its members.
func NewGroup(t testing.TB) string {
	t.Helper()
	Root(t)
	name := "sa-group-" + random()
	accounts(t, "groupadd", "--system", name)
	t.Cleanup(func() { accounts(t, "groupdel", name) })
	return name
}

// Command is a command that runs as u, with u's groups, from u's home, and with an environment that holds HOME, USER,
// LOGNAME, PATH, a UTF-8 locale and env. It is killed when ctx ends.
func (u User) Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = u.Home
	cmd.Env = append([]string{"HOME=" + u.Home, "USER=" + u.Name, "LOGNAME=" + u.Name, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}, env...)
	groups := []uint32{}
	if found, err := user.Lookup(u.Name); err == nil {
		ids, _ := found.GroupIds()
		for _, id := range ids {
			n, _ := strconv.ParseUint(id, 10, 32)
			groups = append(groups, uint32(n))
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groups}}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// RootUser is root as a User, for commands that must run with a clean environment too.
func RootUser() User { return User{Name: "root", Home: "/root"} }

// kill ends every process of the named user and waits until none is left, since userdel refuses before.
func kill(t testing.TB, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		return
	}
	Eventually(t, time.Minute, func() string {
		left := 0
		procs, _ := os.ReadDir("/proc")
		for _, p := range procs {
			pid, err := strconv.Atoi(p.Name())
			if err != nil {
				continue
			}
			status, _ := os.ReadFile("/proc/" + p.Name() + "/status")
			_, uids, _ := strings.Cut(string(status), "\nUid:\t")
			if real, _, _ := strings.Cut(uids, "\t"); real != u.Uid || strings.Contains(string(status), "State:\tZ") {
				continue
			}
			left++
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if left > 0 {
			return strconv.Itoa(left) + " processes of " + name + " live on"
		}
		return ""
	})
}

// accounts changes the account files; one change at a time, since the tools give up on a lock that another holds.
func accounts(t testing.TB, tool string, args ...string) {
	t.Helper()
	unlock, err := Lock(os.TempDir() + "/sandbox-audio-accounts.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
		if tool != "userdel" && tool != "groupdel" {
			t.FailNow()
		}
	}
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
