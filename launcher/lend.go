package launcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A loan is something of the owner's that a helper may use for as long as programs of its run: a key to the display, a
// place on a device's list. Programs that run at the same time share it, and the last to end takes it back.
//
// Who uses a loan holds its file, in the owner's state directory, locked in shared mode (flock(2)); the kernel counts
// and forgets nobody, however they end. The file's text is the loan, so that whoever finds it unused, after a crash
// too, can take the loan back. Files are opened, locked and removed only under the lock of their directory.
//
//	lend      nobody's file: write, Apply, write ─► shared lock       somebody's: read, Check ─► shared lock
//	takeBack  nobody else's file: read, Undo, remove                  somebody's: unlock
//	sweep     the same, for what runs that were killed have left
type loan interface {
	Step
	// file is the name of the loan's file, the same for everybody who can share it: KIND, a dash, and what tells it
	// from others of its kind. Check must not say yes before the loan was made by Apply or by somebody else entirely.
	file() string
	// leave ends this process's own use of the loan.
	leave()
}

// loanKinds makes an empty loan of each kind, to be filled from its file.
var loanKinds = map[string]func() loan{
	"cgroup":  func() loan { return new(controlGroup) },
	"x11key":  func() loan { return new(x11Key) },
	"x11user": func() loan { return new(x11User) },
	"device":  func() loan { return new(lentDevice) },
}

// lender is one run's loans.
type lender struct {
	dir  string
	held []heldLoan
}

type heldLoan struct {
	loan
	file *os.File
}

func newLender() (*lender, error) {
	dir, err := daemonDir()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "lent")
	return &lender{dir: dir}, os.MkdirAll(dir, 0o700)
}

// lock makes this process the only one that opens and removes files of loans.
func (l *lender) lock() (unlock func(), err error) {
	dir, err := os.Open(l.dir)
	if err != nil {
		return nil, err
	}
	if err := flock(dir, unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return func() { dir.Close() }, nil
}

// flock locks an open file in a way that ends with it; unix.EWOULDBLOCK is what another's lock says to LOCK_NB.
func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

// lend has the helper use the loan until takeBack. When others use it, s becomes what they made.
func (l *lender) lend(s loan) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	f, err := os.OpenFile(filepath.Join(l.dir, s.file()), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	switch err = flock(f, unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		var lent bool
		if lent, err = makeLoan(f, s); !lent {
			return errors.Join(err, os.Remove(f.Name()), f.Close())
		}
	case unix.EWOULDBLOCK:
		err = joinLoan(f, s)
	}
	if err == nil {
		err = flock(f, unix.LOCK_SH)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.held = append(l.held, heldLoan{s, f})
	return nil
}

// makeLoan makes a loan that nobody uses, after taking back what the file may tell of. Without an error, lent is false where it was
// not ours to make; with one, it is true where something could not be taken back, of which the file still tells.
func makeLoan(f *os.File, s loan) (lent bool, err error) {
	old := loanKinds[kindOf(s.file())]()
	if err := readLoan(f, old); err == nil {
		if err := old.Undo(); err != nil {
			return true, fmt.Errorf("take back what an earlier run has lent: %w", err)
		}
	} else if !errors.Is(err, errUnwritten) {
		return false, err
	}
	if there, err := s.Check(); there || err != nil {
		return false, err
	}
	if err := writeLoan(f, s); err != nil { // before it is made, so that it is found if this process gets no further
		return false, err
	}
	if err = s.Apply(); err == nil {
		err = writeLoan(f, s)
	}
	if err != nil {
		undoErr := s.Undo()
		return undoErr != nil, errors.Join(err, undoErr)
	}
	return true, nil
}

// joinLoan uses what others made. When it is no good any more, as after a restart of the X server, it is made anew.
func joinLoan(f *os.File, s loan) error {
	if err := readLoan(f, s); err != nil {
		return err
	}
	if ok, err := s.Check(); ok || err != nil {
		return err
	}
	if err := s.Apply(); err != nil {
		return err
	}
	return writeLoan(f, s)
}

// takeBack ends this run's use of all loans; those that nobody else uses are undone.
func (l *lender) takeBack() (first error) {
	if len(l.held) == 0 {
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for i := len(l.held) - 1; i >= 0; i-- {
		h := l.held[i]
		h.leave()
		if err := l.end(h.file, h.loan); err != nil && first == nil {
			first = fmt.Errorf("take back %s: %w", h.Describe(), err)
		}
	}
	l.held = nil
	return first
}

// end undoes the loan of the file and removes the file, unless somebody uses it; it closes the file.
func (l *lender) end(f *os.File, s loan) error {
	defer f.Close()
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return nil
	} else if err != nil {
		return err
	}
	if err := readLoan(f, s); err != nil && !errors.Is(err, errUnwritten) {
		return err
	}
	if err := s.Undo(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

// sweep takes back what runs lent that were killed. What cannot be taken back now stays for the next time.
func (l *lender) sweep() (first error) {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	names, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		make, known := loanKinds[kindOf(name.Name())]
		if !known {
			continue
		}
		f, err := os.OpenFile(filepath.Join(l.dir, name.Name()), os.O_RDWR, 0)
		if err == nil {
			err = l.end(f, make())
		}
		if err != nil && first == nil {
			first = fmt.Errorf("take back what an earlier run has lent (%s): %w", name.Name(), err)
		}
	}
	return first
}

// writeLoan adds a line. The last whole one counts, so that nothing is lost if this process is killed meanwhile.
func writeLoan(f *os.File, s loan) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return err
}

// errUnwritten is about a file whose maker was killed before it had written it, and so before it lent anything.
var errUnwritten = errors.New("nothing was lent")

func readLoan(f *os.File, s loan) error {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxLoan))
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 {
		return errUnwritten
	}
	return json.Unmarshal(text[bytes.LastIndexByte(text[:end], '\n')+1:end], s)
}

const maxLoan = 64 << 10 // bytes

func kindOf(file string) string {
	kind, _, _ := strings.Cut(file, "-")
	return kind
}
