package audiod

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/policy"
	"sandbox-audio/holder"
)

// From the text of an address to a socket that listens on it:
//
//	"unix:/run/…/native" ─► ParseAddress ─► Listen: is the folder safe, does somebody answer there already? ─► bind, listen ─► Listener
//	"tcp:127.0.0.1:4713"                    or handedOver: systemd bound it, we only check what it is ─────────────────────► Listener

// Address is where the daemon listens: a Unix socket's path, or a loopback address and port.
type Address struct {
	Transport policy.Transport
	Path      string         // Unix
	AddrPort  netip.AddrPort // TCP; port 0 has the kernel choose one
}

func (a Address) String() string {
	if a.Transport == policy.TCP {
		return "tcp:" + a.AddrPort.String()
	}
	return "unix:" + a.Path
}

// maxPath is what fits into struct sockaddr_un beside the terminating zero, see unix(7).
const maxPath = 107

// ParseAddress reads "unix:/path", "tcp:127.0.0.1:PORT" or "tcp:[::1]:PORT".
func ParseAddress(s string) (Address, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "unix":
		switch {
		case !filepath.IsAbs(rest):
			return Address{}, fmt.Errorf("address %q: the path must be absolute, as in unix:/run/sandbox-audio/me/native", s)
		case strings.ContainsRune(rest, 0):
			return Address{}, fmt.Errorf("address %q: a path cannot hold a zero byte", s)
		case len(rest) > maxPath:
			return Address{}, fmt.Errorf("address %q: the path has %d bytes, and a unix socket's can have %d at most", s, len(rest), maxPath)
		}
		return Address{Transport: policy.Unix, Path: filepath.Clean(rest)}, nil
	case "tcp":
		ap, err := netip.ParseAddrPort(rest)
		if err != nil {
			return Address{}, fmt.Errorf("address %q: want a number and a port, as in tcp:127.0.0.1:4713 or tcp:[::1]:4713", s)
		}
		ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		if !ap.Addr().IsLoopback() || ap.Addr().Zone() != "" {
			return Address{}, fmt.Errorf("address %q: only loopback is served, because only of connections within this machine does the kernel say whose they are; use tcp:127.0.0.1:%d", s, ap.Port())
		}
		return Address{Transport: policy.TCP, AddrPort: ap}, nil
	}
	return Address{}, fmt.Errorf("address %q: it must begin with unix: or tcp:, as in unix:/run/sandbox-audio/me/native or tcp:127.0.0.1:4713", s)
}

// Listener is a listening socket. The descriptor belongs to whoever has the Listener.
type Listener struct {
	Address Address
	FD      int

	file unix.Stat_t // the Unix socket's file when we bound it; zero when others did
}

// Close ends the listening and removes the Unix socket's file, unless another has taken its place.
func (l Listener) Close() error {
	var st unix.Stat_t
	if l.file.Ino != 0 && unix.Lstat(l.Address.Path, &st) == nil && st.Dev == l.file.Dev && st.Ino == l.file.Ino {
		unix.Unlink(l.Address.Path) // where the folder became root's, the next start does it
	}
	return unix.Close(l.FD)
}

// Listen binds every address, or none. Sockets are open to all users, since the peer's uid decides; trusted lists who besides root
// and us may own the folder of a Unix socket.
func Listen(addrs []Address, trusted ...uint32) (ls []Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range ls {
				l.Close()
			}
			ls = nil
		}
	}()
	for _, a := range addrs {
		var l Listener
		if a.Transport == policy.TCP {
			l, err = listenTCP(a)
		} else {
			l, err = listenUnix(a, trusted)
		}
		if err != nil {
			return ls, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// backlog is how many connections wait while the worker is busy or being restarted.
const backlog = 128

func listenTCP(a Address) (Listener, error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(a.AddrPort.Port()), Addr: a.AddrPort.Addr().As16()})
	if a.AddrPort.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(a.AddrPort.Port()), Addr: a.AddrPort.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	// Connections of an earlier daemon linger in TIME_WAIT and must not keep us out; a second listening socket is refused all the same.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err = unix.Bind(fd, sa); err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return Listener{}, inUse(a)
		}
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	return listenerOf(fd)
}

func listenUnix(a Address, trusted []uint32) (Listener, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(a.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return Listener{}, fmt.Errorf("cannot listen on %v: there is no folder %s; make it with mkdir -m 755 %[2]s", a, filepath.Dir(a.Path))
	} else if err != nil {
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	if err := checkFolder(dir, append(trusted, 0, uint32(unix.Geteuid()))); err != nil {
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	unlock, err := lockPath(a.Path)
	if err != nil {
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	defer unlock()
	if err := removeStale(a); err != nil {
		return Listener{}, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	l := Listener{Address: a, FD: fd}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: a.Path}); err == nil {
		err = unix.Lstat(a.Path, &l.file)
	}
	if err == nil {
		err = unix.Chmod(a.Path, 0o666)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		l.Close()
		return Listener{}, fmt.Errorf("cannot listen on %v: %w", a, err)
	}
	return l, nil
}

// checkFolder makes sure that nobody but the owners can put another file where the socket is, now or after the daemon has ended: the
// folder and all above it are theirs, and closed to other writers (above it, a sticky folder like /tmp will do).
func checkFolder(dir string, owners []uint32) error {
	for at := dir; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Stat(at, &st); err != nil {
			return &os.PathError{Op: "stat", Path: at, Err: err}
		}
		if !slices.Contains(owners, st.Uid) {
			return fmt.Errorf("the folder %s belongs to %s, who could put another socket in our place; use a folder of your own", at, holder.UserName(st.Uid))
		}
		sticky := st.Mode&unix.S_ISVTX != 0 && at != dir
		if st.Mode&0o022 != 0 && !sticky {
			return fmt.Errorf("others may write to the folder %s and could put another socket in our place; close it with chmod go-w %[1]s, or use a folder of your own", at)
		}
		if at == "/" {
			return nil
		}
	}
}

// lockPath keeps a second daemon from taking a socket for stale between our bind and our listen. The lock file goes when it is done.
func lockPath(path string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if there, err := os.Lstat(f.Name()); err == nil && os.SameFile(mine, there) {
			return func() { os.Remove(f.Name()); f.Close() }, nil
		}
		f.Close() // the one before us has removed it
	}
}

// removeStale clears the path of a socket nobody listens on.
func removeStale(a Address) error {
	st, err := os.Lstat(a.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot listen on %v: %w", a, err)
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("cannot listen on %v: a file that is not a socket is there; move it away, or choose another path with --listen", a)
	}
	if _, err := holderOf(a); !errors.Is(err, holder.ErrNobody) {
		return inUse(a)
	}
	if err := os.Remove(a.Path); err != nil {
		return fmt.Errorf("cannot listen on %v: nobody listens on the socket there, but it cannot be removed: %w", a, err)
	}
	return nil
}

// listenerOf looks at a descriptor from elsewhere: it must be a listening stream socket, Unix or loopback TCP.
func listenerOf(fd int) (Listener, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Listener{}, fmt.Errorf("descriptor %d is not a socket: %w", fd, err)
	}
	listening, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if kind != unix.SOCK_STREAM || listening == 0 {
		return Listener{}, fmt.Errorf("descriptor %d is not a listening stream socket", fd)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Listener{}, fmt.Errorf("descriptor %d: getsockname: %w", fd, err)
	}
	var ap netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrUnix:
		return Listener{Address: Address{Transport: policy.Unix, Path: sa.Name}, FD: fd}, nil
	case *unix.SockaddrInet4:
		ap = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ap = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	if !ap.Addr().IsLoopback() {
		return Listener{}, fmt.Errorf("descriptor %d listens on %v, and only unix sockets and loopback are served", fd, ap)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	return Listener{Address: Address{Transport: policy.TCP, AddrPort: ap}, FD: fd}, nil
}

// handedOver takes the sockets a service manager bound for us, by the protocol of sd_listen_fds(3); none is no error.
func handedOver() ([]Listener, error) {
	pid, n := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, err := strconv.Atoi(n)
	if err != nil || count < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is not a number of sockets", n)
	}
	var ls []Listener
	for fd := 3; fd < 3+count; fd++ {
		l, err := listenerOf(fd)
		if err != nil {
			return nil, fmt.Errorf("socket handed over by the service manager: %w", err)
		}
		unix.CloseOnExec(fd)
		ls = append(ls, l)
	}
	return ls, nil
}
