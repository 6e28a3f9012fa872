package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sandbox-audio/templates"
)

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
