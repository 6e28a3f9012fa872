// Package policy answers one question about every connection, before a byte of it is read: who is at the other end, by the
// kernel's word, and what may that user do?
//
//	accepted socket ─► identify: SO_PEERCRED, or sock_diag for TCP on loopback ─► Peer ─► Rules ─► Grant, or a Refusal with its reason
//
// Nothing a client sends plays a part: no cookie, no address list, no claimed name. A user is who made the socket; one who hands a
// connected socket to somebody else has lent him the grant.
package policy

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sandbox-audio/sockdiag"
)

// Transport is how a peer reached us.
type Transport uint8

const (
	Unix Transport = iota // a Unix stream socket
	TCP                   // TCP on loopback
)

func (t Transport) String() string {
	if t == TCP {
		return "tcp"
	}
	return "unix"
}

// NoID stands where the kernel gave no user or group: (uid_t)-1, which no process can have.
const NoID = ^uint32(0)

// Peer is the process at the other end of a connection as it was when the connection was made.
type Peer struct {
	UID       uint32 // NoID in a Refusal when it cannot be told
	GID       uint32 // NoID on TCP
	PID       int32  // 0 when the kernel does not say: on TCP, or from another PID namespace
	Transport Transport

	inode  uint32 // of the peer's TCP socket,
	cookie uint64 // and the kernel's own number for it, never used twice
}

func (p Peer) String() string {
	switch {
	case p.UID == NoID:
		return "unknown user over " + p.Transport.String()
	case p.PID == 0:
		return fmt.Sprintf("uid %d over %s", p.UID, p.Transport)
	default:
		return fmt.Sprintf("uid %d (pid %d) over %s", p.UID, p.PID, p.Transport)
	}
}

// Grant is what a peer may do. The zero value is nothing.
type Grant uint8

const (
	None     Grant = iota
	Playback       // play its own streams, see and touch nothing else
	Owner          // everything
)

func (g Grant) String() string { return [...]string{"none", "playback", "owner"}[g] }

// Reason says why a connection was refused, in words for the log and for status.
type Reason string

const (
	NoGrant      Reason = "no grant"                     // a user nobody allowed
	RootOverTCP  Reason = "root over tcp"                // sockets without an owner read as uid 0, so 0 proves nothing here
	Closed       Reason = "closed before the check"      // no process holds the other end any more
	HalfClosed   Reason = "half-closed before the check" // one direction is shut down
	Reset        Reason = "reset before the check"       // the connection was torn down
	NotFound     Reason = "not in the kernel's table"    // the other end is not on this machine's loopback, or bound to a device
	NotLoopback  Reason = "not a loopback address"
	Changed      Reason = "other end changed"    // the second look found another socket or user than the first
	LookupFailed Reason = "lookup failed"        // the kernel could not be asked; Refusal.Err has the cause
	TooMany      Reason = "too many connections" // of one user; Admit never says so, its caller does
)

// Refusal is the error for a connection that must be closed unread.
type Refusal struct {
	Peer   Peer
	Reason Reason
	Err    error // the cause, with LookupFailed only
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("refused %v: %s: %v", r.Peer, r.Reason, r.Err)
	}
	return fmt.Sprintf("refused %v: %s", r.Peer, r.Reason)
}

func (r *Refusal) Unwrap() error { return r.Err }

// Rules knows who has which grant, and how to ask the kernel who is calling. One goroutine at a time may use it.
type Rules struct {
	owners   map[uint32]bool
	accounts accounts
	kernel   *sockdiag.Kernel
}

// NewRules grants Owner to the given users and Playback to those that allow names: USER, a login name or a number, or @GROUP, whose
// members /etc/passwd (by primary group) and /etc/group list. A name that does not exist is an error now; later, when an
// administrator changes those files, the grants follow.
func NewRules(owners []uint32, allow []string) (*Rules, error) {
	r := &Rules{owners: make(map[uint32]bool), accounts: accounts{passwd: file{path: "/etc/passwd"}, group: file{path: "/etc/group"}}}
	for _, uid := range owners {
		r.owners[uid] = true
	}
	if err := r.accounts.allow(allow); err != nil {
		return nil, err
	}
	kernel, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	r.kernel = kernel
	return r, nil
}

// Close gives back the descriptor Rules keeps for its questions.
func (r *Rules) Close() error { return r.kernel.Close() }

// Admit says who is at the other end of the connected socket fd and what he may do. The error is always a *Refusal, and the grant
// is None exactly then. Call it right after accept: bytes a peer sent before it vanished stay readable, and must not be read.
func (r *Rules) Admit(fd int) (Peer, Grant, error) {
	peer, err := r.identify(fd)
	if err != nil {
		return peer, None, err
	}
	grant := r.grant(peer.UID)
	if grant == None {
		return peer, None, &Refusal{Peer: peer, Reason: NoGrant}
	}
	return peer, grant, nil
}

// Recheck asks again, after the handshake: still the same socket of the same user, still connected, still granted. The error is always
// a *Refusal. It closes the gap in which a peer could have been a short-lived socket that was gone when its port was looked up.
func (r *Rules) Recheck(fd int, before Peer) error {
	peer, grant, err := r.Admit(fd)
	switch {
	case err != nil:
		return err
	case grant == None || peer != before:
		return &Refusal{Peer: peer, Reason: Changed}
	}
	return nil
}

func (r *Rules) grant(uid uint32) Grant {
	switch {
	case uid == NoID:
		return None
	case r.owners[uid]:
		return Owner
	case r.accounts.allowed(uid):
		return Playback
	}
	return None
}

func (r *Rules) identify(fd int) (Peer, error) {
	family, err := domain(fd)
	if err != nil {
		return refuse(Peer{UID: NoID, GID: NoID}, LookupFailed, fmt.Errorf("getsockopt SO_DOMAIN: %w", err))
	}
	switch family {
	case unix.AF_UNIX:
		return identifyUnix(fd)
	case unix.AF_INET, unix.AF_INET6:
		return r.identifyTCP(fd)
	}
	return refuse(Peer{UID: NoID, GID: NoID}, LookupFailed, fmt.Errorf("address family %d is neither unix nor tcp", family))
}

// identifyUnix reads the credentials the kernel noted at connect(2): the effective uid and gid, see SO_PEERCRED in unix(7).
func identifyUnix(fd int) (Peer, error) {
	cred, err := credentials(fd)
	if err != nil {
		return refuse(Peer{UID: NoID, GID: NoID}, LookupFailed, fmt.Errorf("getsockopt SO_PEERCRED: %w", err))
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid, Transport: Unix}, nil
}

// identifyTCP looks up the socket at the other end: the one whose own address is our peer's and whose peer is us.
func (r *Rules) identifyTCP(fd int) (Peer, error) {
	peer := Peer{UID: NoID, GID: NoID, Transport: TCP}
	theirs, err := peerName(fd)
	if errors.Is(err, unix.ENOTCONN) {
		return refuse(peer, Reset, nil)
	} else if err != nil {
		return refuse(peer, LookupFailed, fmt.Errorf("getpeername: %w", err))
	}
	ours, err := sockName(fd)
	if err != nil {
		return refuse(peer, LookupFailed, fmt.Errorf("getsockname: %w", err))
	}
	if !theirs.Addr().IsLoopback() || !ours.Addr().IsLoopback() {
		return refuse(peer, NotLoopback, nil)
	}
	sock, err := r.kernel.Connected(theirs, ours)
	if errors.Is(err, sockdiag.ErrNotFound) {
		if torndown(fd) {
			return refuse(peer, Reset, nil)
		}
		return refuse(peer, NotFound, nil)
	} else if err != nil {
		return refuse(peer, LookupFailed, err)
	}
	if sock.Inode == 0 {
		return refuse(peer, Closed, nil) // and whatever uid it shows is not to be believed
	}
	peer.UID, peer.inode, peer.cookie = sock.UID, sock.Inode, sock.Cookie
	switch sock.State {
	case unix.BPF_TCP_ESTABLISHED:
	case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT:
		return refuse(peer, HalfClosed, nil)
	default:
		return refuse(peer, Closed, nil)
	}
	if peer.UID == 0 {
		return refuse(peer, RootOverTCP, nil)
	}
	return peer, nil
}

func refuse(peer Peer, why Reason, err error) (Peer, error) {
	return peer, &Refusal{Peer: peer, Reason: why, Err: err}
}

// torndown reports whether our own end is out of the connection already, as a reset leaves it.
func torndown(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == unix.BPF_TCP_CLOSE
}
