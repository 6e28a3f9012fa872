package launcher

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
