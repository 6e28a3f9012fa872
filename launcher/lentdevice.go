package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lentDevice is a helper's entry on a device's access control list.
type lentDevice struct {
	Path   string `json:"path"`
	Helper int    `json:"helper"` // uid
}

func (d *lentDevice) Describe() string {
	return fmt.Sprintf("the right of uid %d to open %s", d.Helper, d.Path)
}

func (d *lentDevice) file() string {
	return fmt.Sprintf("device-%s-%d", strings.ReplaceAll(d.Path[1:], "/", "_"), d.Helper)
}

func (d *lentDevice) leave() {}

// list reads the list; without one, the mode as a list.
func (d *lentDevice) list() (node *os.File, a *acl, err error) {
	node, err = os.OpenFile(d.Path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := node.Stat()
	if err == nil && st.Mode()&fs.ModeCharDevice == 0 {
		err = fmt.Errorf("%s is no device", d.Path)
	}
	if err == nil {
		a, err = getACL(node.Fd(), aclAccess)
	}
	if err != nil {
		return nil, nil, errors.Join(err, node.Close())
	}
	if a == nil {
		a = modeACL(st.Mode())
	}
	return node, a, nil
}

func (d *lentDevice) Check() (bool, error) {
	node, a, err := d.list()
	if err != nil {
		return false, err
	}
	return a.users[uint32(d.Helper)]&a.mask&(aclRead|aclWrite) == aclRead|aclWrite, node.Close()
}

func (d *lentDevice) Apply() error {
	return d.change(func(a *acl) { a.users[uint32(d.Helper)] = aclRead | aclWrite })
}

// Undo takes the entry off the list. With the node its list is gone, too.
func (d *lentDevice) Undo() error {
	err := d.change(func(a *acl) { delete(a.users, uint32(d.Helper)) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *lentDevice) change(change func(*acl)) error {
	node, a, err := d.list()
	if err != nil {
		return err
	}
	defer node.Close()
	change(a)
	a.widen()
	return setACL(node.Fd(), aclAccess, a.bytes())
}

// devicesStep is what a keeper of this helper's that was killed has left.
type devicesStep struct{ *change }

func (s *devicesStep) Describe() string {
	return "no device is open to " + s.profile.Helper + " while no program of it runs"
}

func (s *devicesStep) Check() (bool, error) {
	names, err := os.ReadDir(deviceLoans)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(names) == 0, err
}

func (s *devicesStep) Apply() error {
	l, err := newDeviceLender()
	if err != nil {
		return err
	}
	return l.sweep()
}

// Undo waits for the keepers of runs that have just ended; those of other helpers stay.
func (s *devicesStep) Undo() error {
	suffix := "-" + strconv.Itoa(s.profile.HelperUID)
	for end := time.Now().Add(killWait); ; time.Sleep(pollEvery) {
		names, err := os.ReadDir(deviceLoans)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(names, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), suffix) }) {
			break
		}
		if err := s.Apply(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("a program still holds a device of %s; see: sudo ls %s", s.profile.Helper, deviceLoans)
		}
	}
	if len(s.others) > 0 {
		return nil
	}
	return removeEmpty(deviceLoans)
}

// newDeviceLender is root's lender.
func newDeviceLender() (*lender, error) {
	l := &lender{dir: deviceLoans}
	return l, os.MkdirAll(l.dir, 0o700)
}

const deviceLoans = runDir + "/.lent" // no owner's or helper's name begins with a dot
