package audiod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stateFolder makes, below dir, the folder in which the worker keeps what it remembers, uid's alone to enter. What its parents lack is made
// too. It is a folder of its own because the worker may write all of it.
func stateFolder(dir string, uid, gid int) (folder string, err error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%s is no absolute path", dir)
	}
	mode := fs.FileMode(0o700)
	if os.Getuid() != uid {
		mode = 0o755 // root's, on the way to the other user's
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", err
	}
	folder = filepath.Join(dir, "memory")
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: folder, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", &fs.PathError{Op: "stat", Path: folder, Err: err}
	}
	switch int(st.Uid) {
	case uid:
	case os.Getuid():
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return "", &fs.PathError{Op: "chown", Path: folder, Err: err}
		}
	default:
		return "", fmt.Errorf("%s belongs to user %d, not %d", folder, st.Uid, uid)
	}
	return folder, nil
}
