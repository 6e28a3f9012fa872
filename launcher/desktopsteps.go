package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/adrg/xdg"

	"sandbox-audio/launcher/desktopfile"
)

// fileChange is a file of the owner's before and after an entry was added.
type fileChange struct {
	Path   string      `json:"path"`
	Before []byte      `json:"before"` // null where there was none
	Mode   fs.FileMode `json:"mode"`   // of what was there
	After  []byte      `json:"after"`
	List   bool        `json:"list,omitempty"` // others write it too: only what was added goes
}

// changeOf is the change that has a file hold after; what is there now is what it was before.
func changeOf(path string, after []byte, list bool) (c fileChange, err error) {
	c = fileChange{Path: path, Mode: 0o644, After: after, List: list}
	if target, err := filepath.EvalSymlinks(path); err == nil && list {
		c.Path = target // a list that is kept elsewhere stays there
	}
	st, err := os.Stat(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.Mode = st.Mode().Perm()
	text, err := os.ReadFile(c.Path)
	c.Before = append([]byte{}, text...) // not null
	return c, err
}

// change notes that a file is to hold after.
func (r *desktopRecord) change(path string, after []byte, list bool) error {
	c, err := changeOf(path, after, list)
	r.Changes = append(r.Changes, c)
	return errors.Join(err, r.willMake(filepath.Dir(c.Path)))
}

// willMake notes which directories have to be made for dir to be there.
func (r *desktopRecord) willMake(dir string) error {
	if slices.Contains(r.Made, dir) {
		return nil
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.willMake(filepath.Dir(dir)); err != nil {
		return err
	}
	r.Made = append(r.Made, dir)
	return nil
}

// entryChange is that of the entry itself.
func (r *desktopRecord) entryChange() *fileChange {
	return &r.Changes[slices.IndexFunc(r.Changes, func(c fileChange) bool { return filepath.Base(c.Path) == r.ID })]
}

func (r *desktopRecord) steps() []Step {
	steps := []Step{&desktopRecordStep{r}}
	for i := range r.Changes {
		steps = append(steps, &changeStep{r, &r.Changes[i]})
	}
	return steps
}

// desktopRecordStep is the record, first made and last removed, and the directories that the rest needs.
type desktopRecordStep struct{ *desktopRecord }

func (s *desktopRecordStep) Describe() string { return "the record " + s.path() }

func (s *desktopRecordStep) Check() (bool, error) { return false, nil }

func (s *desktopRecordStep) Apply() error {
	for _, dir := range s.Made {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return s.write()
}

func (r *desktopRecord) write() error { return writeFile(r.path(), encodeJSON(r), 0o600) }

// Undo also removes the directories that were made. Those that other entries are in go with the last of them.
func (s *desktopRecordStep) Undo() error {
	if err := removeFile(s.path()); err != nil {
		return err
	}
	var left []string
	for _, dir := range slices.Backward(s.Made) {
		if err := removeEmpty(dir); err != nil {
			return err
		}
		if _, err := os.Stat(dir); err == nil {
			left = append([]string{dir}, left...)
		}
	}
	others, err := desktopRecords()
	if err != nil || len(others) == 0 || len(left) == 0 {
		return err
	}
	others[0].Made = append(left, others[0].Made...)
	return others[0].write()
}

// changeStep is one file.
type changeStep struct {
	*desktopRecord
	c *fileChange
}

func (s *changeStep) Describe() string {
	switch {
	case s.c.List:
		return fmt.Sprintf("%s names %s first for links", s.c.Path, s.ID)
	case s.c == s.entryChange():
		return fmt.Sprintf("the desktop entry %s, %q in menus", s.c.Path, s.Name)
	}
	return "the icon " + s.c.Path
}

func (s *changeStep) Check() (bool, error) {
	now, err := os.ReadFile(s.c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return bytes.Equal(now, s.c.After), err
}

func (s *changeStep) Apply() error {
	if err := writeFile(s.c.Path, s.c.After, s.c.Mode); err != nil || s.c != s.entryChange() {
		return err
	}
	if err := updateCache(); err != nil {
		return err
	}
	made, err := changeOf(s.Cache.Path, nil, false)
	s.Cache.After = made.Before
	return errors.Join(err, s.write())
}

func (s *changeStep) Undo() error {
	if err := s.rebased(s.c, s.undoFile); err != nil || s.c != s.entryChange() {
		return err
	}
	return s.rebased(&s.Cache, s.undoCache)
}

// undoFile puts back what was there. A list that has changed since keeps what others have written.
func (s *changeStep) undoFile(now []byte) error {
	if s.c.List && now == nil {
		return nil // whoever removed the list did not want it
	}
	back := s.c.Before
	if s.c.List && !bytes.Equal(now, s.c.After) {
		f, err := desktopfile.Parse(now)
		if err != nil {
			return fmt.Errorf("%s: %w", s.c.Path, err)
		}
		f.RemoveDefault(s.ID, s.Types...)
		if back = f.Bytes(); len(back) == 0 && s.c.Before == nil {
			back = nil
		}
	}
	return putBack(s.c, back)
}

// undoCache puts the cache back that was there, or has it made anew where other entries have come and gone since.
func (s *changeStep) undoCache(now []byte) error {
	if bytes.Equal(now, s.Cache.After) {
		return putBack(&s.Cache, s.Cache.Before)
	}
	return updateCache()
}

func putBack(c *fileChange, text []byte) error {
	if text == nil {
		return removeFile(c.Path)
	}
	return writeFile(c.Path, text, c.Mode)
}

// rebased undoes a change of a file. An entry that was added after this one found the file as this one had left it; from
// now on it found it as this one had.
func (s *changeStep) rebased(c *fileChange, undo func(now []byte) error) error {
	before, err := changeOf(c.Path, nil, false)
	if err != nil {
		return err
	}
	if err := undo(before.Before); err != nil {
		return err
	}
	after, err := changeOf(c.Path, nil, false)
	if err != nil {
		return err
	}
	others, err := desktopRecords()
	if err != nil {
		return err
	}
	for _, r := range others {
		for _, other := range r.all() {
			if r.ID == s.ID || other.Path != c.Path {
				continue
			}
			if bytes.Equal(other.Before, c.After) {
				other.Before, other.Mode = c.Before, c.Mode
			}
			if bytes.Equal(other.After, before.Before) {
				other.After = after.Before
			}
			if err := r.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// all is every file that the record tells of.
func (r *desktopRecord) all() []*fileChange {
	all := []*fileChange{&r.Cache}
	for i := range r.Changes {
		all = append(all, &r.Changes[i])
	}
	return all
}

// updateCache has menus learn which types the entries open, where the tool for it is installed; else nothing reads the
// cache, or it is made when the session starts.
func updateCache() error {
	update, err := exec.LookPath("update-desktop-database")
	if err != nil {
		return nil
	}
	if out, err := exec.Command(update, "-q", filepath.Join(xdg.DataHome, "applications")).CombinedOutput(); err != nil {
		return fmt.Errorf("update-desktop-database: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
