package launcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"sandbox-audio/holder"
)

// session is the helper's own: its runtime directory (XDG_RUNTIME_DIR) with the session bus, the keys to displays and
// whatever its programs keep there. Programs that run at the same time share it; the last to end leaves it empty.
//
// Each entry program holds the file of users locked in shared mode (flock(2)), as the owner's runs hold their loans;
// whoever gets it alone is the first or the last. The directory's own lock guards coming and going.
type session struct {
	dir   string
	users *os.File
	bus   *bus // what this entry program serves; nil when another does, or nobody

	wayland     int    // the listening socket that leads to the owner's compositor; -1 for none
	waylandName string // in dir
}

const (
	usersFile   = ".users"
	rulesFile   = ".rules"         // what the session's programs are held to
	sessionWait = 10 * time.Second // until whoever comes or goes must be through
)

// joinSession makes the session if this is its first program, gives it files, and has its bus served.
func joinSession(req request) (*session, error) {
	s := &session{dir: req.RuntimeDir, wayland: -1}
	if dir, ok := strings.CutPrefix(s.dir, req.Home+"/"); ok {
		if err := privateDir(req.Home, dir); err != nil {
			return nil, fmt.Errorf("make the runtime directory: %w", err)
		}
	}
	unlock, err := lockDir(s.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.users, err = os.OpenFile(s.path(usersFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600); err != nil {
		return nil, err
	}
	if flock(s.users, unix.LOCK_EX|unix.LOCK_NB) == nil {
		s.clear(usersFile) // what a session that was killed has left
	}
	if err := flock(s.users, unix.LOCK_SH); err != nil {
		return nil, errors.Join(err, s.users.Close())
	}
	if err := s.agree(req); err != nil {
		return nil, errors.Join(err, s.users.Close())
	}
	if err := keepFiles(s.dir, req.Files); err != nil {
		return nil, errors.Join(err, s.users.Close())
	}
	if req.Wayland != "" {
		if err := s.listenWayland(req.Wayland); err != nil {
			return nil, errors.Join(fmt.Errorf("the socket for the compositor: %w", err), s.users.Close())
		}
	}
	if s.bus, err = serveBus(s.dir, req); err != nil {
		return nil, errors.Join(fmt.Errorf("the session bus: %w", err), s.users.Close())
	}
	return s, nil
}

func (s *session) path(name string) string { return filepath.Join(s.dir, name) }

// agree refuses a program that is to be held to other rules than those that run: they could do for it what it may not, a
// browser by opening a tab. The session is locked.
func (s *session) agree(req request) error {
	if req.Aside {
		return nil
	}
	end := "; end it first, with: sandbox-audio stop --profile " + req.Profile
	if req.Confined.NoNetwork {
		pid, err := networked()
		if err != nil {
			return err
		}
		if pid != 0 {
			return &confinementError{fmt.Errorf("network = off: %s (process %d) of the same user has the network, and could lend it%s", holder.ProgramName(pid), pid, end)}
		}
	}
	held, err := json.Marshal(req.Confined)
	if err != nil {
		return err
	}
	there, err := os.ReadFile(s.path(rulesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(s.path(rulesFile), held, 0o600)
	}
	if err == nil && !bytes.Equal(there, held) {
		err = &confinementError{errors.New("what runs in this profile was started before its settings were changed, and is held to the old ones" + end)}
	}
	return err
}

// networked finds a process of this user's that has the network of this one and is no entry program; 0 for none.
func networked() (pid int, err error) {
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return 0, err
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	pids, err := processesOf(os.Geteuid())
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		of, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err == nil && of != network || err != nil && !processLives(pid) || ending(pid) {
			continue
		}
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err != nil || exe != self {
			return pid, nil
		}
	}
	return 0, nil
}

// leave ends this program's part. The last one leaves nothing; when a bus was used, it waits until that is gone.
func (s *session) leave() error {
	unlock, err := lockDir(s.dir)
	if err != nil {
		return err
	}
	s.unlistenWayland()
	last := flock(s.users, unix.LOCK_EX|unix.LOCK_NB) == nil
	if err := s.bus.leave(last); err != nil {
		unlock()
		return err
	}
	inUse := busInUse(s.dir)
	if last && !inUse {
		s.clear()
	}
	s.users.Close()
	unlock()
	for end := time.Now().Add(sessionWait); last && inUse && time.Now().Before(end); time.Sleep(pollEvery) {
		inUse = busInUse(s.dir)
	}
	return nil
}

// clear removes what is in the runtime directory, except for the named files and what serves a bus. In a login's
// directory, which is not ours alone, it removes what we put there. Mounts, such as that of the document portal, are left
// to those who made them.
func (s *session) clear(keep ...string) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return
	}
	defer root.Close()
	if busInUse(s.dir) {
		keep = append(keep, busSocket, busLock, rulesFile)
	}
	top, err := root.Stat(".")
	if err != nil {
		return
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		st, err := root.Lstat(e.Name())
		if err != nil || device(st) != device(top) || slices.Contains(keep, e.Name()) || isLoginDir(s.dir) && !isOurs(e.Name()) {
			continue
		}
		_ = root.RemoveAll(e.Name()) // what cannot be removed is in nobody's way
	}
}

func device(st fs.FileInfo) uint64 { return st.Sys().(*syscall.Stat_t).Dev }

func isLoginDir(dir string) bool { return filepath.Dir(dir) == filepath.Dir(loginDir(0)) }

// isOurs reports whether a name in the runtime directory is one that only we use.
func isOurs(name string) bool {
	return name == usersFile || name == rulesFile || name == linkDir || name == lookDir || name == busLock || strings.HasPrefix(name, "xauthority-") || strings.HasPrefix(name, waylandPrefix)
}

// Each run leads to the compositor by a socket of its own, and waylandAny leads to one of those: services that the bus
// starts belong to no run.
const (
	waylandPrefix = "wayland-sandbox-"
	waylandAny    = waylandPrefix + "any"
)

func (s *session) listenWayland(name string) error {
	socket, err := listenAt(s.path(name))
	if err != nil {
		return err
	}
	s.wayland, s.waylandName = socket, name
	return s.linkWayland(name)
}

// listenAt makes a listening socket in the place of what an earlier program may have left there.
func listenAt(path string) (socket int, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, err
	}
	if socket, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if err = unix.Bind(socket, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(socket, unix.SOMAXCONN)
	}
	if err != nil {
		return -1, errors.Join(&fs.PathError{Op: "listen", Path: path, Err: err}, unix.Close(socket))
	}
	return socket, nil
}

func (s *session) linkWayland(name string) error {
	if err := os.Remove(s.path(waylandAny)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(name, s.path(waylandAny))
}

// unlistenWayland takes this run's socket away; services go by another's from then on, if there is one.
func (s *session) unlistenWayland() {
	if s.waylandName == "" {
		return
	}
	_ = os.Remove(s.path(s.waylandName))
	if to, err := os.Readlink(s.path(waylandAny)); err != nil || to != s.waylandName {
		return
	}
	others, err := filepath.Glob(s.path(waylandPrefix + "[0-9]*"))
	if err != nil || len(others) == 0 {
		_ = os.Remove(s.path(waylandAny))
		return
	}
	_ = s.linkWayland(filepath.Base(others[0]))
}

// lockDir takes the lock of a directory. A program of the helper's that keeps it costs the helper its further programs.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(sessionWait); ; time.Sleep(pollEvery) {
		err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK || time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
		}
	}
}

// privateDir makes dir below home, every part of it the helper's alone.
func privateDir(home, dir string) error {
	root, err := os.OpenRoot(home)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return root.Chmod(dir, 0o700)
}

// keepFiles writes files into dir that are the helper's alone to read. Another program of the helper's may be reading
// the earlier ones.
func keepFiles(dir string, files map[string][]byte) error {
	if len(files) == 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, text := range files {
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		f, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithStaticPermissions(0o600))
		if err != nil {
			return err
		}
		defer f.Cleanup()
		if _, err := f.Write(text); err != nil {
			return err
		}
		if err := f.CloseAtomicallyReplace(); err != nil {
			return err
		}
	}
	return nil
}
