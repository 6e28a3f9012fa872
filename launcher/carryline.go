package launcher

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ask is what the entry program says: which parts it wants, or why it gave up.
type ask struct {
	Parts []string `json:"parts,omitempty"`
	Error string   `json:"error,omitempty"`
}

// offer is a line for the entry program to ask on. The caller closes it once it is sent.
func (c carriage) offer(say func(string)) (line *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, line := os.NewFile(uintptr(fds[0]), "line"), os.NewFile(uintptr(fds[1]), "line")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, errors.Join(err, line.Close())
	}
	go func() {
		defer conn.Close()
		if err := c.serve(conn); err != nil {
			say("note: not all of your fonts, themes and icons could be copied for the program: " + printable(err.Error()))
		}
	}()
	return line, nil
}

// serve sends the parts that are asked for, one after the other, until the line ends.
func (c carriage) serve(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(carryWait)); err != nil {
		return err
	}
	w := bufio.NewWriterSize(conn, 64<<10)
	for {
		var a ask
		if err := readMessage(conn, &a, maxOutcome); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if a.Error != "" {
			return errors.New(a.Error)
		}
		for _, part := range a.Parts[:min(len(a.Parts), len(lookParts))] {
			if err := pack(w, c[part], c.stamps()[part]); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// pack writes files as an archive, and the stamp as the last one, for an archive that breaks off does not always look so. A file that
// is not as it was listed is left out; the next start lists it anew.
func pack(w io.Writer, files []carried, stamp string) error {
	archive := tar.NewWriter(w)
	roots := map[string]*os.Root{}
	defer func() {
		for _, root := range roots {
			root.Close()
		}
	}()
	for _, f := range files {
		root := roots[f.base]
		if root == nil {
			var err error
			if root, err = os.OpenRoot(f.base); err != nil {
				return err
			}
			roots[f.base] = root
		}
		if err := packFile(archive, root, f); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(f.base, f.path), err)
		}
	}
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: stampFile, Size: int64(len(stamp)), Mode: 0o600}); err != nil {
		return err
	}
	if _, err := io.WriteString(archive, stamp); err != nil {
		return err
	}
	return archive.Close()
}

func packFile(archive *tar.Writer, root *os.Root, f carried) error {
	if f.link != "" {
		return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.name, Linkname: f.link})
	}
	file, err := root.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a pipe by now
	if err != nil {
		return nil
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() != f.size || !st.ModTime().Equal(f.time) {
		return nil
	}
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: f.size, ModTime: f.time, Mode: 0o600}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, file, f.size)
	return err
}
