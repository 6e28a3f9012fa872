package launcher

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

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

// removeFile removes a file that may be gone already. A directory in its place is not what setup made and stays.
func removeFile(path string) error {
	err := syscall.Unlink(path)
	if err == syscall.ENOENT || err == syscall.ENOTDIR || err == syscall.EISDIR || err == nil {
		return nil
	}
	return &fs.PathError{Op: "unlink", Path: path, Err: err}
}

// removeEmpty removes a directory that may be gone already, and leaves one that others use.
func removeEmpty(dir string) error {
	err := syscall.Rmdir(dir)
	if err == syscall.ENOENT || err == syscall.ENOTEMPTY || err == syscall.EEXIST || err == nil {
		return nil
	}
	return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
}
