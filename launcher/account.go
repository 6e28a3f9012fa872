package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// Account is one line of the user database (passwd(5)).
type Account struct {
	Name    string
	UID     int
	GID     int
	Comment string
	Home    string
	Shell   string
}

var errNoAccount = errors.New("no such account")

// validName reports whether a helper or a profile may have the name: what useradd takes on every distribution, and
// what sudoers, tmpfiles.d and a path take without quoting.
func validName(name string) bool {
	return name != "" && len(name) <= 32 && name[0] >= 'a' && name[0] <= 'z' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func accountByName(name string) (Account, error) { return findAccount(name, 0) }
func accountByUID(uid int) (Account, error)      { return findAccount(strconv.Itoa(uid), 2) }

// findAccount looks for the account whose passwd field is key: in /etc/passwd first, which useradd writes, then by
// getent, which also knows accounts of a directory service. The error is errNoAccount when nobody knows it.
func findAccount(key string, field int) (Account, error) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return Account{}, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == 7 && fields[field] == key {
			return parseAccount(fields)
		}
	}
	if err := lines.Err(); err != nil {
		return Account{}, err
	}
	out, err := exec.Command("getent", "passwd", "--", key).Output()
	if err != nil {
		return Account{}, errNoAccount // also where there is no getent
	}
	if fields := strings.Split(strings.TrimSuffix(string(out), "\n"), ":"); len(fields) == 7 && fields[field] == key {
		return parseAccount(fields)
	}
	return Account{}, errNoAccount
}

func parseAccount(fields []string) (Account, error) {
	uid, err1 := strconv.Atoi(fields[2])
	gid, err2 := strconv.Atoi(fields[3])
	if err := errors.Join(err1, err2); err != nil {
		return Account{}, fmt.Errorf("the user database's line for %s: %w", fields[0], err)
	}
	return Account{Name: fields[0], UID: uid, GID: gid, Comment: fields[4], Home: fields[5], Shell: fields[6]}, nil
}

// groups lists the ids of the groups that the account is in, its own first.
func (a Account) groups() ([]int, error) {
	groups := []int{a.GID}
	u, err := user.LookupId(strconv.Itoa(a.UID))
	if err != nil {
		return groups, nil // one of a directory service: /etc/group does not know it either
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("the groups of %s: %w", a.Name, err)
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups, nil
}

// Owner is the person this process works for: the one who called sudo when it runs under sudo, else whoever runs it.
// Root who came through no sudo is an owner like any other.
func Owner() (Account, error) {
	uid := os.Getuid()
	if uid == 0 {
		if by, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil {
			uid = by
		}
	}
	owner, err := accountByUID(uid)
	if errors.Is(err, errNoAccount) {
		return Account{}, fmt.Errorf("uid %d has no account in the user database", uid)
	}
	if err != nil {
		return Account{}, err
	}
	if owner.Name == "" || owner.Name[0] == '.' || strings.ContainsAny(owner.Name, "/ \t\n:") {
		return Account{}, fmt.Errorf("the account name %q cannot be part of a path", owner.Name)
	}
	return owner, nil
}

// helperName is the account that profile of owner runs programs as: OWNER-sandbox for the profile "default" and
// OWNER-PROFILE for any other, with what useradd does not take replaced by dashes.
func helperName(owner Account, profile string) (string, error) {
	if !validName(profile) {
		return "", fmt.Errorf("the profile name %q must be of a-z, 0-9, - and _, begin with a letter and have at most 32 characters", profile)
	}
	suffix := profile
	if profile == DefaultProfile {
		suffix = "sandbox"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(owner.Name)) + "-" + suffix
	if !validName(name) {
		return "", fmt.Errorf("the helper would be called %q, which useradd does not take (at most 32 characters of a-z, 0-9, - and _, a letter first): choose a shorter profile name", name)
	}
	return name, nil
}

func groupExists(name string) bool {
	text, err := os.ReadFile("/etc/group")
	return err == nil && (strings.HasPrefix(string(text), name+":") || strings.Contains(string(text), "\n"+name+":"))
}

// nologin is the shell of accounts that nobody logs in to.
func nologin() string {
	for _, path := range []string{"/usr/sbin/nologin", "/sbin/nologin"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "/bin/false"
}

// adminPath is where the tools of an administrator are, also when the caller's PATH leaves them out.
const adminPath = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"

// tool finds a program on adminPath; the error names what to install.
func tool(name string) (string, error) {
	for dir := range strings.SplitSeq(adminPath, ":") {
		path := dir + "/" + name
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	hint := map[string]string{
		"useradd": "apt install passwd (Alpine: apk add shadow)", "userdel": "apt install passwd (Alpine: apk add shadow)",
		"usermod": "apt install passwd (Alpine: apk add shadow)", "gpasswd": "apt install passwd (Alpine: apk add shadow)",
		"groupadd": "apt install passwd (Alpine: apk add shadow)", "groupdel": "apt install passwd (Alpine: apk add shadow)",
		"visudo": "apt install sudo", "sudo": "apt install sudo", "doas": "apt install doas", "run0": "apt install systemd (version 256 or later)", "su": "apt install util-linux (Alpine: apk add util-linux-login)",
		"Xephyr": "apt install xserver-xephyr", "Xwayland": "apt install xwayland",
	}[name]
	return "", fmt.Errorf("%s is not installed; install it with: %s", name, hint)
}

// runTool runs an administrator's tool with its arguments as they are and an environment of its own.
func runTool(name string, args ...string) error {
	path, err := tool(name)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + adminPath, "LC_ALL=C"}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
