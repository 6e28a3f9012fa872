package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sandbox-audio/templates"
)

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
