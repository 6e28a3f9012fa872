package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Share is a folder that the owner and the helper both use. It lies beside the helper's home, so that neither home has to be
// opened for it, and each finds it at home under the same name:
//
//	/home/alice/Sandbox ─► /home/alice-sandbox-share/Sandbox ◄─ /home/alice-sandbox/Sandbox
type Share struct {
	Dir  string `json:"dir"`
	Link string `json:"link"` // in the owner's home
}

func (s Share) name() string { return filepath.Base(s.Dir) }

// DefaultShare is the link of a share for which no other was asked.
func DefaultShare(owner Account) string { return filepath.Join(owner.Home, "Sandbox") }

// AddShare makes a shared folder that the owner finds at link. It must run as root, except for a dry run. A folder that an earlier
// share of this name has left, with files in it, is taken into use again.
func AddShare(owner Account, profile, link string, dryRun bool, report Report) error {
	return changeShares(owner, profile, dryRun, func(c *change) error {
		if in, err := filepath.Rel(owner.Home, link); err != nil || !filepath.IsLocal(in) || in == "." {
			return fmt.Errorf("%s is not in your home %s, where the link to the shared folder is to be", link, owner.Home)
		}
		s := Share{Dir: filepath.Join(c.profile.Home+"-share", filepath.Base(link)), Link: link}
		before := c.profile.Shares
		if i := slices.IndexFunc(before, func(b Share) bool { return b.Dir == s.Dir }); i >= 0 && before[i] != s {
			return fmt.Errorf("%s is shared already, as %s", s.Dir, before[i].Link)
		} else if i < 0 {
			c.profile.Shares = append(slices.Clone(before), s)
		}
		step := &shareStep{c, s}
		err := apply([]Step{&recordStep{c}, step}, dryRun, false, report)
		if err != nil && !dryRun && len(before) < len(c.profile.Shares) {
			c.profile.Shares = before
			err = errors.Join(err, step.Undo(), (&recordStep{c}).Apply())
		}
		return err
	})
}

// RemoveShare takes a shared folder away from where both find it. The folder itself goes when it is empty; kept is its path
// when it stays.
func RemoveShare(owner Account, profile, link string, dryRun bool, report Report) (kept string, err error) {
	err = changeShares(owner, profile, dryRun, func(c *change) error {
		i := slices.IndexFunc(c.profile.Shares, func(s Share) bool { return s.Link == link })
		if i < 0 {
			return fmt.Errorf("%s is not shared; see: sandbox-audio share list", link)
		}
		step := &shareStep{c, c.profile.Shares[i]}
		if dryRun {
			report("would be removed", step)
			return nil
		}
		if err := step.Undo(); err != nil {
			return err
		}
		report("removed", step)
		kept = c.kept
		c.profile.Shares = slices.Delete(slices.Clone(c.profile.Shares), i, i+1)
		return (&recordStep{c}).Apply()
	})
	return kept, err
}

func changeShares(owner Account, profile string, dryRun bool, do func(*change) error) error {
	unlock, err := lockSetup(dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := FindProfile(owner, profile); err != nil {
		return err
	}
	c, err := newChange(owner, profile)
	if err != nil {
		return err
	}
	return do(c)
}

// shareStep is one shared folder, the links to it, and the helper's bookmark.
type shareStep struct {
	*change
	share Share
}

func (s *shareStep) Describe() string {
	return fmt.Sprintf("the folder %s, shared by %s and %s, which both find at home as %s", s.share.Dir, s.profile.Owner, s.profile.Helper, s.share.name())
}

func (s *shareStep) access() []byte {
	a := acl{owner: aclAll, mask: aclAll, users: map[uint32]uint16{uint32(s.profile.HelperUID): aclAll}}
	return a.bytes()
}

// inherited is what files that either makes have from the beginning: both may do everything, whoever made them.
func inherited(a, b uint32) []byte {
	list := acl{owner: aclAll, mask: aclAll, users: map[uint32]uint16{a: aclAll, b: aclAll}}
	return list.bytes()
}

func (s *shareStep) Check() (bool, error) {
	dir, err := os.OpenFile(s.share.Dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	st, err := dir.Stat()
	if err != nil {
		return false, err
	}
	uid, _ := fileOwner(st)
	a, err := getACL(dir.Fd(), aclAccess)
	if err != nil || a == nil || uid != s.owner.UID || a.mask != aclAll || a.other != 0 || a.users[uint32(s.profile.HelperUID)] != aclAll {
		return false, err
	}
	for _, l := range s.links() {
		home, err := os.OpenRoot(l.home)
		if err != nil {
			return false, err
		}
		to, err := home.Readlink(l.name)
		home.Close()
		if err != nil || to != s.share.Dir {
			return false, nil
		}
	}
	return true, nil
}

type shareLink struct {
	home, name string
	uid, gid   int
}

func (s *shareStep) links() []shareLink {
	in, _ := filepath.Rel(s.owner.Home, s.share.Link) // AddShare has seen to it
	return []shareLink{{s.owner.Home, in, s.owner.UID, s.owner.GID}, {s.profile.Home, s.share.name(), s.profile.HelperUID, s.profile.HelperGID}}
}

func (s *shareStep) Apply() error {
	if err := os.Mkdir(filepath.Dir(s.share.Dir), 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir(s.share.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.OpenFile(s.share.Dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Chown(s.owner.UID, s.owner.GID); err != nil {
		return err
	}
	if err := setACL(dir.Fd(), aclAccess, s.access()); err != nil {
		return err
	}
	if err := setACL(dir.Fd(), aclDefault, inherited(uint32(s.owner.UID), uint32(s.profile.HelperUID))); err != nil {
		return err
	}
	for _, l := range s.links() {
		if err := s.link(l); err != nil {
			return err
		}
	}
	return s.bookmark(true)
}

// link makes a link in a home, whose owner may have put anything there.
func (s *shareStep) link(l shareLink) error {
	home, err := os.OpenRoot(l.home)
	if err != nil {
		return err
	}
	defer home.Close()
	err = home.Symlink(s.share.Dir, l.name)
	if errors.Is(err, fs.ErrExist) {
		if to, err := home.Readlink(l.name); err == nil && to == s.share.Dir {
			return nil
		}
		return fmt.Errorf("%s is there already; name one that is not, or move it away", filepath.Join(l.home, l.name))
	}
	if err != nil {
		return err
	}
	return home.Lchown(l.name, l.uid, l.gid)
}

// Undo leaves a folder with files in it, which are the owner's as much as the helper's.
func (s *shareStep) Undo() error {
	for _, l := range s.links() {
		home, err := os.OpenRoot(l.home)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if to, linkErr := home.Readlink(l.name); linkErr == nil && to == s.share.Dir {
			err = home.Remove(l.name)
		}
		if err := errors.Join(err, home.Close()); err != nil {
			return err
		}
	}
	if err := s.bookmark(false); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := removeEmpty(s.share.Dir); err != nil {
		return err
	}
	if _, err := os.Lstat(s.share.Dir); err == nil {
		s.kept = strings.TrimSpace(s.kept + " " + s.share.Dir)
	}
	return removeEmpty(filepath.Dir(s.share.Dir))
}

// bookmarks is where GTK's file dialogs, of versions 3 and 4, have them.
const bookmarks = ".config/gtk-3.0/bookmarks"

// bookmark adds or removes the share among the bookmarks of the helper's file dialogs.
func (s *shareStep) bookmark(add bool) error {
	home, err := os.OpenRoot(s.profile.Home)
	if err != nil {
		return err
	}
	defer home.Close()
	line := (&url.URL{Scheme: "file", Path: s.share.Dir}).String() + " " + s.share.name() + "\n"
	before, err := home.ReadFile(bookmarks)
	if err != nil && (!add || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	after := bytes.ReplaceAll(before, []byte(line), nil)
	if add {
		after = append(after, line...)
		for _, dir := range []string{".config", filepath.Dir(bookmarks)} {
			if err := s.mkdirHome(home, dir); err != nil {
				return err
			}
		}
	}
	if len(after) == 0 {
		for _, name := range []string{bookmarks, filepath.Dir(bookmarks), ".config"} {
			_ = home.Remove(name) // what is not empty stays
		}
		return nil
	}
	return s.writeHome(home, bookmarks, after)
}
