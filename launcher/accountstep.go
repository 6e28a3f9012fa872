package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// accountStep is the helper's account: a system account that nobody logs in to, with a private home.
type accountStep struct{ *change }

func (s *accountStep) Describe() string {
	return fmt.Sprintf("the account %s with the home %s, which only it can enter", s.profile.Helper, s.profile.Home)
}

// comment marks an account as one that setup made, in case its record is lost between two lines.
func (s *accountStep) comment() string {
	return fmt.Sprintf("sandbox-audio helper of uid %d (profile %s)", s.profile.OwnerUID, s.profile.Name)
}

func (s *accountStep) Check() (bool, error) {
	a, err := accountByName(s.profile.Helper)
	if errors.Is(err, errNoAccount) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := s.mustBeOurs(a); err != nil {
		return false, err
	}
	groups, err := s.profile.stray(a)
	if err != nil {
		return false, err
	}
	st, err := os.Lstat(s.profile.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	uid, gid := fileOwner(st)
	return len(groups) == 0 && a.Shell == nologin() && a.Home == s.profile.Home && st.IsDir() &&
		st.Mode().Perm() == 0o700 && uid == a.UID && gid == a.GID && s.profile.HelperUID == a.UID, nil
}

// mustBeOurs refuses an account of the helper's name that setup did not make.
func (s *accountStep) mustBeOurs(a Account) error {
	known := s.profile.HelperUID != 0 && s.profile.HelperUID == a.UID
	if a.UID == 0 || a.Comment != s.comment() || !known && s.profile.HelperUID != 0 {
		return fmt.Errorf("an account %s (uid %d) exists that sandbox-audio did not make; choose another profile name", a.Name, a.UID)
	}
	return nil
}

func (s *accountStep) Apply() error {
	a, err := accountByName(s.profile.Helper)
	if errors.Is(err, errNoAccount) {
		if err := s.create(); err != nil {
			return err
		}
		a, err = accountByName(s.profile.Helper)
	}
	if err != nil {
		return err
	}
	if err := s.mustBeOurs(a); err != nil {
		return err
	}
	if s.profile.HelperUID != a.UID {
		s.renew = true
	}
	s.profile.HelperUID, s.profile.HelperGID = a.UID, a.GID
	if err := writeJSON(s.profile.path(), s.profile); err != nil {
		return err
	}
	if a.Shell != nologin() || a.Home != s.profile.Home {
		if err := runTool("usermod", "-s", nologin(), "-d", s.profile.Home, a.Name); err != nil {
			return err
		}
	}
	groups, err := s.profile.stray(a)
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := runTool("gpasswd", "-d", a.Name, group); err != nil {
			return err
		}
	}
	return s.privateHome(a)
}

// create makes the account. The home of an earlier helper of this name, kept by teardown, is taken into use again
// under the uid that its files have, as long as nobody else has got that uid.
func (s *accountStep) create() error {
	args := []string{"--system", "-c", s.comment(), "-d", s.profile.Home, "-s", nologin(), "-K", "HOME_MODE=0700"}
	st, err := os.Lstat(s.profile.Home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.mkdir("/home"); err != nil {
			return err
		}
		skel, err := os.MkdirTemp("", "skel")
		if err != nil {
			return err
		}
		defer os.Remove(skel)
		args = append(args, "-m", "-k", skel, "-U")
		if s.profile.HelperUID != 0 {
			args = append(args, "-u", strconv.Itoa(s.profile.HelperUID))
		}
	case err != nil:
		return err
	case !st.IsDir():
		return fmt.Errorf("%s is in the way: it is not a directory", s.profile.Home)
	default:
		uid, gid := fileOwner(st)
		if other, err := accountByUID(uid); err == nil {
			return fmt.Errorf("%s exists already and belongs to %s; move it away", s.profile.Home, other.Name)
		} else if !errors.Is(err, errNoAccount) {
			return err
		}
		if err := runTool("groupadd", "--system", "-g", strconv.Itoa(gid), s.profile.Helper); err != nil {
			return err
		}
		args = append(args, "-M", "-u", strconv.Itoa(uid), "-g", strconv.Itoa(gid))
	}
	return runTool("useradd", append(args, s.profile.Helper)...)
}

// privateHome makes the home the helper's own, mode 0700, whatever the distribution's defaults are.
func (s *accountStep) privateHome(a Account) error {
	if err := os.Mkdir(a.Home, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.OpenFile(a.Home, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return errors.Join(dir.Chown(a.UID, a.GID), dir.Chmod(0o700))
}

// Undo removes the home when nothing is in it, or with purge whatever is, and then the account.
func (s *accountStep) Undo() error {
	if err := s.removeHome(); err != nil {
		return err
	}
	a, err := accountByName(s.profile.Helper)
	if err == nil && s.mustBeOurs(a) == nil {
		err = runTool("userdel", a.Name)
	}
	if err != nil && !errors.Is(err, errNoAccount) {
		return err
	}
	return s.removeGroup()
}

func (s *accountStep) removeHome() error {
	st, err := os.Lstat(s.profile.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if uid, _ := fileOwner(st); uid != s.profile.HelperUID || !st.IsDir() {
		return nil // not the home that setup made
	}
	if s.purge {
		return os.RemoveAll(s.profile.Home)
	}
	if err := removeEmpty(s.profile.Home); err != nil {
		return err
	}
	if _, err := os.Lstat(s.profile.Home); err == nil {
		s.kept = s.profile.Home
	}
	return nil
}

// removeGroup removes the helper's own group where userdel leaves it (USERGROUPS_ENAB off, login.defs(5)).
func (s *accountStep) removeGroup() error {
	if _, err := accountByName(s.profile.Helper); !errors.Is(err, errNoAccount) || !groupExists(s.profile.Helper) {
		return nil
	}
	return runTool("groupdel", s.profile.Helper)
}

// serviceStep is the account the daemon runs as where the owner is root: audiod never serves as root.
type serviceStep struct{ *change }

func (s *serviceStep) Describe() string {
	return "the account " + ServiceUser + ", which the sound daemon runs as"
}

func (s *serviceStep) Check() (bool, error) {
	a, err := accountByName(ServiceUser)
	if errors.Is(err, errNoAccount) {
		return false, nil
	}
	if err == nil && a.UID == 0 {
		err = fmt.Errorf("the account %s is root", ServiceUser)
	}
	return err == nil, err
}

func (s *serviceStep) Apply() error {
	args := []string{"--system", "-U", "-M", "-d", "/nonexistent", "-s", nologin(), "-c", "sandbox-audio sound daemon"}
	if groupExists("audio") {
		args = append(args, "-G", "audio")
	}
	if err := runTool("useradd", append(args, ServiceUser)...); err != nil {
		return err
	}
	a, err := accountByName(ServiceUser)
	if err != nil {
		return err
	}
	s.shared.ServiceUID = a.UID
	return writeJSON(sharedFile, s.shared)
}

func (s *serviceStep) Undo() error {
	used := slices.ContainsFunc(s.others, func(p *Profile) bool { return p.OwnerUID == 0 })
	a, err := accountByName(ServiceUser)
	if used || errors.Is(err, errNoAccount) || err == nil && a.UID != s.shared.ServiceUID {
		return nil
	}
	if err != nil {
		return err
	}
	if err := endProcesses(a.UID); err != nil {
		return err
	}
	if err := os.RemoveAll(stateDir + "/memory"); err != nil { // the daemon's, see its --state
		return err
	}
	if err := removeDaemonLog(); err != nil {
		return err
	}
	if err := runTool("userdel", ServiceUser); err != nil {
		return err
	}
	if groupExists(ServiceUser) {
		if err := runTool("groupdel", ServiceUser); err != nil {
			return err
		}
	}
	s.shared.ServiceUID = 0
	return writeJSON(sharedFile, s.shared)
}

func fileOwner(st fs.FileInfo) (uid, gid int) {
	sys := st.Sys().(*syscall.Stat_t)
	return int(sys.Uid), int(sys.Gid)
}
