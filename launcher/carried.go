package launcher

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keepLook is the entry program's part: it brings the copy of the owner's fonts, themes and icons up to date. The program
// runs without them, too, and so run is told what goes wrong. It takes the line over; without one there is nothing to do.
func keepLook(home string, stamps map[string]string, line *os.File) error {
	if line == nil {
		return nil
	}
	defer line.Close()
	conn, err := net.FileConn(line)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(carryWait)); err != nil {
		return err
	}
	if err := updateLook(home, stamps, conn); err != nil {
		_ = writeMessage(conn, ask{Error: printable(err.Error())}, maxOutcome) // run may be the one that failed
	}
	return nil
}

func updateLook(home string, stamps map[string]string, conn net.Conn) error {
	dir := filepath.Join(home, lookCopy)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && stamps["fonts"]+stamps["themes"]+stamps["icons"] == "" {
		return nil
	}
	if err := privateDir(home, lookCopy); err != nil {
		return err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var want []string
	for _, part := range lookParts {
		if stamps[part] == "" {
			if err := root.RemoveAll(part); err != nil {
				return err
			}
		} else if have, err := root.ReadFile(filepath.Join(part, stampFile)); err != nil || string(have) != stamps[part] {
			want = append(want, part)
		}
	}
	if len(want) == 0 {
		return nil
	}
	if err := writeMessage(conn, ask{Parts: want}, maxOutcome); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	for _, part := range want {
		if err := replace(root, part, stamps[part], r); err != nil {
			return fmt.Errorf("%s/%s: %w", dir, part, err)
		}
	}
	return nil
}

// replace makes a part of the copy anew from an archive. Programs that run find the earlier one until this one is whole.
func replace(root *os.Root, part, stamp string, r io.Reader) error {
	next, old := part+".new", part+".old"
	defer func() {
		_ = root.RemoveAll(next)
		_ = root.RemoveAll(old)
	}()
	if err := errors.Join(root.RemoveAll(next), root.RemoveAll(old), root.Mkdir(next, 0o700)); err != nil { // one that was killed has left them
		return err
	}
	if err := unpack(root, next, tar.NewReader(r)); err != nil {
		return err
	}
	if have, err := root.ReadFile(filepath.Join(next, stampFile)); err != nil || string(have) != stamp {
		return io.ErrUnexpectedEOF
	}
	if err := root.Rename(part, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(next, part)
}

func unpack(root *os.Root, dir string, archive *tar.Reader) error {
	made := dir
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(dir, h.Name)
		if in := filepath.Dir(name); in != made {
			if err := root.MkdirAll(in, 0o700); err != nil {
				return err
			}
			made = in
		}
		if h.Typeflag == tar.TypeSymlink {
			err = root.Symlink(h.Linkname, name)
		} else {
			err = unpackFile(root, name, archive)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
