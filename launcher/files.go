package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"

	"sandbox-audio/templates"
)

// clientConf is where libpulse looks first, below the home. Not a client.conf.d folder: Flatpak reads this file only.
const clientConf = ".config/pulse/client.conf"

// homeStep is what setup writes into the helper's home. The helper may have put anything there, symbolic links too,
// so every name is resolved below the home and no file is written in place.
type homeStep struct{ *change }

func (s *homeStep) Describe() string {
	return s.profile.ClientConf + " with both addresses of the sound daemon"
}

func (s *homeStep) text() ([]byte, error) {
	return templates.Render("client.conf", map[string]any{
		"Owner": s.profile.Owner, "Helper": s.profile.Helper, "Servers": s.profile.servers(),
	})
}

func (s *homeStep) Check() (bool, error) {
	want, err := s.text()
	if err != nil {
		return false, err
	}
	home, err := os.OpenRoot(s.profile.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer home.Close()
	st, err := home.Lstat(clientConf)
	if err != nil || !st.Mode().IsRegular() || st.Mode().Perm() != 0o600 {
		return false, nil
	}
	uid, _ := fileOwner(st)
	got, err := home.ReadFile(clientConf)
	return err == nil && uid == s.profile.HelperUID && bytes.Equal(got, want), nil
}

func (s *homeStep) Apply() error {
	text, err := s.text()
	if err != nil {
		return err
	}
	home, err := os.OpenRoot(s.profile.Home)
	if err != nil {
		return err
	}
	defer home.Close()
	for _, dir := range []string{".config", ".config/pulse"} {
		if err := s.mkdirHome(home, dir); err != nil {
			return err
		}
	}
	return s.writeHome(home, clientConf, text)
}

// writeHome puts a file of the helper's own in the place of what is there.
func (c *change) writeHome(home *os.Root, name string, text []byte) error {
	f, err := renameio.NewPendingFile(name, renameio.WithRoot(home), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chown(c.profile.HelperUID, c.profile.HelperGID); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// mkdirHome makes a directory of the helper's own. Only a directory that is still root's, so one made here, changes hands.
func (c *change) mkdirHome(home *os.Root, dir string) error {
	if err := home.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := home.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if uid, _ := fileOwner(st); uid != 0 {
		return nil
	}
	return f.Chown(c.profile.HelperUID, c.profile.HelperGID)
}

// Undo removes the file, and the directories around it that nobody else uses.
func (s *homeStep) Undo() error {
	home, err := os.OpenRoot(s.profile.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer home.Close()
	st, err := home.Stat(".")
	if err != nil {
		return err
	}
	if uid, _ := fileOwner(st); uid != s.profile.HelperUID {
		return nil // not the home that setup made
	}
	_ = home.RemoveAll(lookCopy)
	for _, name := range []string{clientConf, filepath.Dir(clientConf), ".config", filepath.Dir(lookCopy), ".cache"} {
		_ = home.Remove(name) // what is not as setup left it is the helper's, and is kept with the home
	}
	return nil
}

// entryStep is the entry program: a copy of this binary that only root can change, because the sudo rule lets the
// owner start it as the helper.
type entryStep struct{ *change }

func (s *entryStep) Describe() string { return "the entry program " + s.profile.Entry }

func (s *entryStep) Check() (bool, error) {
	st, err := os.Lstat(s.profile.Entry)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if uid, _ := fileOwner(st); uid != 0 || st.Mode() != 0o755 {
		return false, nil
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return false, err
	}
	there, err := os.ReadFile(s.profile.Entry)
	return bytes.Equal(self, there), err
}

func (s *entryStep) Apply() error {
	if err := s.mkdir(filepath.Dir(s.profile.Entry)); err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return writeFile(s.profile.Entry, self, 0o755)
}

func (s *entryStep) Undo() error {
	if len(s.others) > 0 {
		return nil
	}
	return removeFile(s.profile.Entry)
}

// ruleStep lets the owner start the entry program, and that alone, as the helper without a password.
type ruleStep struct{ *change }

func (s *ruleStep) Describe() string {
	return fmt.Sprintf("the sudo rule %s: %s may run %s as %s without a password, and have root lend it the graphics card and cameras meanwhile", s.profile.Rule, s.profile.Owner, s.profile.Entry, s.profile.Helper)
}

func (s *ruleStep) text() ([]byte, error) {
	var devices []string
	for _, kinds := range deviceKinds {
		devices = append(devices, strings.Join(devicesCommand(s.profile, kinds), " "))
	}
	return templates.Render("sudoers", map[string]any{
		"OwnerName": s.profile.Owner, "Owner": sudoersName(s.owner), "Helper": s.profile.Helper, "Entry": s.profile.Entry, "Devices": devices,
	})
}

func (s *ruleStep) Check() (bool, error) {
	want, err := s.text()
	if err != nil {
		return false, err
	}
	return sameFile(s.profile.Rule, want, 0o440)
}

func (s *ruleStep) Apply() error {
	text, err := s.text()
	if err != nil {
		return err
	}
	// sudo skips names with a dot in them, and such is the temporary one.
	f, err := newFile(s.profile.Rule, text, 0o440)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := runTool("visudo", "-cf", f.Name()); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

func (s *ruleStep) Undo() error { return removeFile(s.profile.Rule) }

// newFile is a file of root's with this content and mode under a temporary name beside path, which it replaces when the
// caller says so.
func newFile(path string, text []byte, mode fs.FileMode) (*renameio.PendingFile, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(text); err != nil {
		return nil, errors.Join(err, f.Cleanup())
	}
	return f, nil
}

// writeFile replaces the file at path as a whole, its mode too.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	f, err := newFile(path, text, mode)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	return f.CloseAtomicallyReplace()
}

// sameFile reports whether root's file at path holds just this, with this mode.
func sameFile(path string, want []byte, mode fs.FileMode) (bool, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	got, err := os.ReadFile(path)
	uid, _ := fileOwner(st)
	return bytes.Equal(got, want) && st.Mode() == mode && uid == 0, err
}

// dir is a directory below /run.
type dir struct {
	Path     string
	Mode     fs.FileMode
	UID, GID int
}

// runDirs lists the directories of one profile below /run: the one that holds the daemon's socket and is its alone to
// write, and the helper's runtime directory.
func (p *Profile) runDirs() ([]dir, error) {
	daemon, err := accountByName(p.daemonUser())
	if err != nil {
		return nil, fmt.Errorf("the account %s: %w", p.daemonUser(), err)
	}
	return []dir{
		{filepath.Dir(p.Socket), 0o755, daemon.UID, daemon.GID},
		{p.RuntimeDir, 0o700, p.HelperUID, p.HelperGID},
	}, nil
}

// runDirStep is the profile's directories below /run.
type runDirStep struct{ *change }

func (s *runDirStep) Describe() string {
	return fmt.Sprintf("the directories %s (for the socket) and %s (for the helper)", filepath.Dir(s.profile.Socket), s.profile.RuntimeDir)
}

func (s *runDirStep) Check() (bool, error) {
	dirs, err := s.profile.runDirs()
	if errors.Is(err, errNoAccount) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, d := range dirs {
		st, err := os.Lstat(d.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if uid, gid := fileOwner(st); uid != d.UID || gid != d.GID || st.Mode() != fs.ModeDir|d.Mode {
			return false, nil
		}
	}
	return true, nil
}

func (s *runDirStep) Apply() error {
	if err := os.Mkdir(runDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dirs, err := s.profile.runDirs()
	if err != nil {
		return err
	}
	s.renew = true
	for _, d := range dirs {
		if err := os.Mkdir(d.Path, d.Mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		f, err := os.OpenFile(d.Path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Chown(d.UID, d.GID), f.Chmod(d.Mode), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *runDirStep) Undo() error {
	if err := os.RemoveAll(s.profile.RuntimeDir); err != nil {
		return err
	}
	if len(s.ofOwner()) > 0 {
		return nil
	}
	if err := os.RemoveAll(filepath.Dir(s.profile.Socket)); err != nil {
		return err
	}
	return removeEmpty(runDir)
}

// tmpfilesStep has systemd make the directories below /run again after a reboot; one file for all of an owner's profiles.
type tmpfilesStep struct{ *change }

func (s *tmpfilesStep) Describe() string {
	return s.profile.Tmpfiles + ", which brings those directories back after a reboot"
}

func (s *tmpfilesStep) text(profiles []*Profile) ([]byte, error) {
	var dirs []dir
	for _, p := range profiles {
		more, err := p.runDirs()
		if err != nil {
			return nil, err
		}
		for _, d := range more {
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	slices.SortFunc(dirs, func(a, b dir) int { return strings.Compare(a.Path, b.Path) })
	return templates.Render("tmpfiles.conf", map[string]any{"Owner": s.profile.Owner, "Directories": dirs})
}

func (s *tmpfilesStep) Check() (bool, error) {
	want, err := s.text(append(s.ofOwner(), s.profile))
	if errors.Is(err, errNoAccount) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return sameFile(s.profile.Tmpfiles, want, 0o644)
}

func (s *tmpfilesStep) Apply() error { return s.write(append(s.ofOwner(), s.profile)) }

func (s *tmpfilesStep) write(profiles []*Profile) error {
	text, err := s.text(profiles)
	if err != nil {
		return err
	}
	return writeFile(s.profile.Tmpfiles, text, 0o644)
}

func (s *tmpfilesStep) Undo() error {
	if rest := s.ofOwner(); len(rest) > 0 {
		return s.write(rest)
	}
	return removeFile(s.profile.Tmpfiles)
}

// printable is text from elsewhere as it may be shown on a terminal: bounded, and without control characters.
func printable(text string) string {
	const most = 400
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
