package launcher

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A helper is in no group but its own, unless its profile says so and root lets it in:
//
//	groups = ["lp"] ─► setup --groups lp, as root ─► the record ─► /etc/group ─► sudo or su, for each program
//
// Root takes names from its command line alone, and only of groups that the owner is in: whoever can write the owner's
// settings gives the helper no more than the owner has, and nothing of what refused names.

// group is one line of the group database (group(5)).
type group struct {
	name    string
	gid     int
	members []string
}

func readGroups() (all []group, err error) {
	text, err := os.ReadFile("/etc/group")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 4 {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil {
			all = append(all, group{f[0], gid, strings.Split(f[3], ",")})
		}
	}
	return all, nil
}

// groupsOf returns the names of the groups that the account is in beside its own.
func groupsOf(a Account) (names []string, err error) {
	all, err := readGroups()
	for _, g := range all {
		if slices.Contains(g.members, a.Name) || g.gid == a.GID && slices.Contains(devices, g.name) {
			names = append(names, g.name)
		}
	}
	return names, err
}

// stray returns the groups that the helper is in and should not be.
func (p *Profile) stray(helper Account) ([]string, error) {
	in, err := groupsOf(helper)
	return slices.DeleteFunc(in, func(name string) bool { return slices.Contains(p.Groups, name) }), err
}

// devices are groups that give away what a helper must reach only through the daemon or as a loan, or not at all; refused are
// those that lead to root, to what others type, or into everybody's files.
var (
	devices = []string{"audio", "video", "render", "input", "camera"}
	refused = []string{
		"root", "sudo", "wheel", "admin", "adm", "staff", "operator", "shadow", "disk", "kmem", "mem", "tty", "utmp", "polkitd", "sandbox-audio",
		"docker", "podman", "lxd", "incus", "incus-admin", "libvirt", "libvirt-qemu", "systemd-journal", "systemd-network", "ssh", "_ssh", "crontab",
	}
)

// mayJoin returns why an owner may not have a helper in a group.
func mayJoin(owner Account, name string) error {
	all, err := readGroups()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(g group) bool { return g.name == name })
	switch {
	case !validName(strings.TrimLeft(name, "_")) || i < 0:
		return fmt.Errorf("there is no group %q", name)
	case slices.Contains(devices, name):
		return fmt.Errorf("the group %s gives the devices themselves; programs are lent what they may use", name)
	case slices.Contains(refused, name) || all[i].gid == 0:
		return fmt.Errorf("the group %s leads out of the sandbox", name)
	case owner.UID != 0 && !slices.Contains(all[i].members, owner.Name):
		return fmt.Errorf("you are not in the group %s, so it is not yours to give; join it first, with: sudo usermod -aG %s %s", name, name, owner.Name)
	}
	whose, err := accountWithGID(all[i].gid)
	if err == nil {
		return fmt.Errorf("the group %s is %s's own, and opens files that are nobody else's", name, whose.Name)
	}
	if !errors.Is(err, errNoAccount) {
		return err
	}
	return nil
}

// firstPerson is the lowest uid of accounts that are people's, in the usual login.defs(5).
const firstPerson = 1000

// accountWithGID finds a person, or one of our helpers, whose own group this is.
func accountWithGID(gid int) (Account, error) {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return Account{}, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || f[3] != strconv.Itoa(gid) {
			continue
		}
		a, err := parseAccount(f)
		if err != nil || a.UID >= firstPerson && a.Name != "nobody" || strings.HasPrefix(a.Comment, "sandbox-audio helper ") {
			return a, err
		}
	}
	return Account{}, errNoAccount
}

// groupsStep is the helper's place in the groups of its record. What it is in besides, accountStep takes it out of.
type groupsStep struct{ *change }

func (s *groupsStep) Describe() string {
	return fmt.Sprintf("%s in the groups %s", s.profile.Helper, strings.Join(s.profile.Groups, ", "))
}

// missing returns the groups that the helper is still to join.
func (s *groupsStep) missing() ([]string, error) {
	a, err := accountByName(s.profile.Helper)
	if err != nil {
		return s.profile.Groups, err
	}
	in, err := groupsOf(a)
	return slices.DeleteFunc(slices.Clone(s.profile.Groups), func(name string) bool { return slices.Contains(in, name) }), err
}

func (s *groupsStep) Check() (bool, error) {
	missing, err := s.missing()
	if errors.Is(err, errNoAccount) {
		return false, nil
	}
	return len(missing) == 0, err
}

func (s *groupsStep) Apply() error {
	missing, err := s.missing()
	for _, name := range missing {
		if err == nil {
			err = runTool("gpasswd", "-a", s.profile.Helper, name)
		}
	}
	return err
}

func (s *groupsStep) Undo() error {
	a, err := accountByName(s.profile.Helper)
	if errors.Is(err, errNoAccount) {
		return nil
	}
	in, err := groupsOf(a)
	for _, name := range s.profile.Groups {
		if err == nil && slices.Contains(in, name) {
			err = runTool("gpasswd", "-d", s.profile.Helper, name)
		}
	}
	return err
}
