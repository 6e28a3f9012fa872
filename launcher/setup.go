package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// change is one run of setup or teardown: whose, and what the machine looked like before.
type change struct {
	owner   Account
	profile *Profile
	others  []*Profile // every other profile on this machine
	shared  shared
	first   bool // the profile has no record yet
	purge   bool
	renew   bool   // a daemon that runs does not know of something that was made just now
	kept    string // the home that teardown left behind, when it did
}

// Setup makes or repairs the helper of owner's profile and all that belongs to it. It must run as root, except for a
// dry run. Called twice it does what it does once. When the first setup of a profile fails, what it had made is undone.
// groups are those that the helper is in from then on, beside its own; nil leaves them as they are.
func Setup(owner Account, profile string, groups []string, dryRun bool, report Report) error {
	unlock, err := lockSetup(dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := newChange(owner, profile)
	if err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	for _, name := range groups {
		if err := mayJoin(owner, name); err != nil {
			return err
		}
	}
	if groups != nil {
		slices.Sort(groups)
		c.profile.Groups = slices.Compact(groups)
	}
	return apply(c.steps(), dryRun, c.first, report)
}

// Teardown removes what Setup made for owner's profile, by its record, and nothing else. Programs of the helper are
// ended first. The helper's home goes too when it holds only what Setup put there, or with purge; kept is its path
// when it stays. What other profiles share stays until the last of them goes. Without a record there is nothing to do
// and the error wraps what FindProfile says.
func Teardown(owner Account, profile string, purge, dryRun bool, report Report) (kept string, err error) {
	unlock, err := lockSetup(dryRun)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := FindProfile(owner, profile); err != nil {
		return "", err
	}
	c, err := newChange(owner, profile)
	if err != nil {
		return "", err
	}
	c.purge = purge
	err = undo(c.steps(), dryRun, report)
	return c.kept, err
}

// lockSetup lets one setup or teardown run at a time. The lock is on a directory that is there before and after.
func lockSetup(dryRun bool) (unlock func(), err error) {
	if dryRun {
		return func() {}, nil
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("accounts are made and removed by root; run it with: sudo sandbox-audio")
	}
	dir, err := os.Open(filepath.Dir(stateDir))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	syscall.Umask(0o022)
	return func() { dir.Close() }, nil
}

func newChange(owner Account, name string) (*change, error) {
	c := &change{owner: owner}
	all, err := profiles()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.OwnerUID == owner.UID && p.Name == name {
			c.profile = p
		} else {
			c.others = append(c.others, p)
		}
	}
	if err := readJSON(sharedFile, &c.shared); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c.profile == nil {
		c.first = true
		if c.profile, err = newProfile(owner, name, c.others); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// newProfile decides the names and addresses of a profile that has no record yet.
func newProfile(owner Account, name string, others []*Profile) (*Profile, error) {
	helper, err := helperName(owner, name)
	if err != nil {
		return nil, err
	}
	home := filepath.Join("/home", helper)
	p := &Profile{
		Name: name, Owner: owner.Name, OwnerUID: owner.UID,
		Helper: helper, Home: home, ClientConf: filepath.Join(home, clientConf),
		Socket:     filepath.Join(runDir, owner.Name, "native"),
		RuntimeDir: filepath.Join(runDir, helper),
		Entry:      entryPath,
	}
	if owner.UID != 0 {
		p.Rule = fmt.Sprintf("/etc/sudoers.d/sandbox-audio-%d-%s", owner.UID, name)
	}
	if _, err := os.Stat("/etc/tmpfiles.d"); err == nil {
		p.Tmpfiles = fmt.Sprintf("/etc/tmpfiles.d/sandbox-audio-%d.conf", owner.UID)
	}
	p.Port, err = choosePort(owner, others)
	return p, err
}

// choosePort returns the port of the owner's daemon: the one its other profiles name, else the first from 4713 on
// that no other owner has and nobody listens on.
func choosePort(owner Account, others []*Profile) (int, error) {
	taken := map[int]bool{}
	for _, p := range others {
		if p.OwnerUID == owner.UID {
			return p.Port, nil
		}
		taken[p.Port] = true
	}
	for port := firstPort; port <= lastPort; port++ {
		if taken[port] {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free on 127.0.0.1", firstPort, lastPort)
}

// prepare refuses, before anything is made, what could not be finished or is not ours to touch.
func (c *change) prepare() error {
	needed := []string{"useradd", "userdel"}
	if c.owner.UID != 0 {
		needed = append(needed, "sudo", "visudo")
	} else {
		needed = append(needed, "su")
	}
	for _, name := range needed {
		if _, err := tool(name); err != nil {
			return err
		}
	}
	return nil
}

// steps lists what a profile consists of, in the order in which it is made. The sudo rule comes last: nobody becomes
// the helper before everything stands, nor while it is being taken away.
func (c *change) steps() []Step {
	steps := []Step{&recordStep{c}}
	if c.owner.UID == 0 {
		steps = append(steps, &serviceStep{c})
	}
	steps = append(steps, &accountStep{c}, &homeStep{c}, &entryStep{c}, &runDirStep{c})
	if len(c.profile.Groups) > 0 {
		steps = append(steps, &groupsStep{c})
	}
	if c.profile.Tmpfiles != "" {
		steps = append(steps, &tmpfilesStep{c})
	}
	for _, share := range c.profile.Shares {
		steps = append(steps, &shareStep{c, share})
	}
	steps = append(steps, &devicesStep{c}, &runningStep{c})
	if c.profile.Rule != "" {
		steps = append(steps, &ruleStep{c})
	}
	return steps
}

// ofOwner returns those of the other profiles that belong to the same owner.
func (c *change) ofOwner() (same []*Profile) {
	for _, p := range c.others {
		if p.OwnerUID == c.owner.UID {
			same = append(same, p)
		}
	}
	return same
}

// mkdir makes a directory of root's with its missing parents, and notes each in the shared record first.
func (c *change) mkdir(path string) error {
	if st, err := os.Lstat(path); err == nil {
		if !st.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	}
	if err := c.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if !slices.Contains(c.shared.Directories, path) {
		c.shared.Directories = append(c.shared.Directories, path)
	}
	if err := writeJSON(sharedFile, c.shared); err != nil {
		return err
	}
	return os.Mkdir(path, 0o755)
}

// recordStep is the record itself: the first thing made, so that whatever happens teardown knows what to look for.
type recordStep struct{ *change }

func (s *recordStep) Describe() string { return "the record " + s.profile.path() }

func (s *recordStep) Check() (bool, error) {
	return sameFile(s.profile.path(), encodeJSON(s.profile), 0o644)
}

func (s *recordStep) Apply() error {
	for _, dir := range []string{stateDir, ownerDir(s.owner.UID)} {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := writeJSON(sharedFile, s.shared); err != nil {
		return err
	}
	return writeJSON(s.profile.path(), s.profile)
}

func (s *recordStep) Undo() error {
	if err := removeFile(s.profile.path()); err != nil {
		return err
	}
	if err := removeEmpty(ownerDir(s.owner.UID)); err != nil || len(s.others) > 0 {
		return err
	}
	for i := len(s.shared.Directories) - 1; i >= 0; i-- {
		if err := removeEmpty(s.shared.Directories[i]); err != nil {
			return err
		}
	}
	if err := removeFile(sharedFile); err != nil {
		return err
	}
	return removeEmpty(stateDir)
}
