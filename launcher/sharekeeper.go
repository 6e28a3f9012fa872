package launcher

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// shareKeeper has both sides reach what either puts into a shared folder, also what was made with the mode 0600, as browsers make
// downloads: the mode's group bits are the list's mask then, and take from the other side what the list gives (acl(5)).
// Only a file's owner may mend that. So each side keeps a keeper while a program runs, run as the owner and the entry
// program as the helper, and each looks after its own files alone; what was made in between is mended at the start.
//
// The tree is the other side's to change meanwhile: names are resolved below it, links are not followed, and nothing is
// opened for reading.
type shareKeeper struct {
	root     *os.Root
	me, peer uint32
	fd       int // of inotify(7); -1 once closed
	events   *os.File
	watched  map[int32]string // directories below root, by watch
	done     chan struct{}
}

const (
	maxWatched = 4096 // directories of one share that are watched; the others are mended at start and end
	maxDepth   = 64
	shareMask  = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB | unix.IN_ONLYDIR
)

// keepShare mends what is in dir, and goes on until close. A share that is not there is none.
func keepShare(dir string, me, peer int) (*shareKeeper, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		root.Close()
		return nil, err
	}
	k := &shareKeeper{root: root, me: uint32(me), peer: uint32(peer), fd: fd, events: os.NewFile(uintptr(fd), "inotify"), watched: map[int32]string{}, done: make(chan struct{})}
	k.scan(".", 0)
	go k.watch()
	return k, nil
}

// close mends what was made last.
func (k *shareKeeper) close() {
	k.events.Close()
	<-k.done
	k.fd = -1
	k.scan(".", 0)
	k.root.Close()
}

func (k *shareKeeper) watch() {
	defer close(k.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := k.events.Read(buf)
		if err != nil {
			return // closed
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			watch, mask, size := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
			name := unix.ByteSliceToString(b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+size])
			b = b[unix.SizeofInotifyEvent+size:]
			dir, known := k.watched[watch]
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				k.scan(".", 0)
			case mask&unix.IN_IGNORED != 0:
				delete(k.watched, watch)
			case known && name != "":
				k.look(filepath.Join(dir, name), 0)
			}
		}
	}
}

// scan looks at everything below a directory, and watches it.
func (k *shareKeeper) scan(dir string, depth int) {
	f, err := k.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil || depth > maxDepth {
		return // not ours to enter
	}
	defer f.Close()
	if k.fd >= 0 && len(k.watched) < maxWatched {
		if watch, err := unix.InotifyAddWatch(k.fd, fdPath(f.Fd()), shareMask); err == nil {
			k.watched[int32(watch)] = dir
		}
	}
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			k.look(filepath.Join(dir, name), depth+1)
		}
		if err != nil {
			return
		}
	}
}

// look mends one file of ours. What fails is as it was, and the other side is told by the kernel that it may not.
func (k *shareKeeper) look(path string, depth int) {
	f, err := k.root.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return
	}
	sys := st.Sys().(*syscall.Stat_t)
	if sys.Uid == k.me && (st.IsDir() || st.Mode().IsRegular() && sys.Nlink == 1) {
		k.mend(f, st)
	}
	if st.IsDir() {
		k.scan(path, depth)
	}
}

func (k *shareKeeper) mend(f *os.File, st fs.FileInfo) {
	need := uint16(aclRead | aclWrite)
	if st.IsDir() || st.Mode()&0o100 != 0 {
		need |= aclExecute
	}
	a, err := getACL(f.Fd(), aclAccess)
	if err != nil {
		return
	}
	if a == nil || a.users[k.peer]&a.mask&need != need {
		list := acl{owner: uint16(st.Mode().Perm()>>6) | need, mask: need, users: map[uint32]uint16{k.me: need, k.peer: need}}
		_ = setACL(f.Fd(), aclAccess, list.bytes())
	}
	if st.IsDir() {
		if a, err := getACL(f.Fd(), aclDefault); err == nil && (a == nil || a.users[k.peer]&a.mask != aclAll) {
			_ = setACL(f.Fd(), aclDefault, inherited(k.me, k.peer))
		}
	}
}

// keepShares keeps each of the shares; what cannot be kept is not there, or not ours.
func keepShares(dirs []string, me, peer int) (stop func()) {
	var keepers []*shareKeeper
	for _, dir := range dirs {
		if k, err := keepShare(dir, me, peer); err == nil {
			keepers = append(keepers, k)
		}
	}
	return func() {
		for _, k := range keepers {
			k.close()
		}
	}
}
