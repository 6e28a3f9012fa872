package audiod

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/realtime"
)

// What the worker, confined, has its keeper do, which may ask the system for it and does not hear from clients:
//
//	worker ─ an errand: two numbers ─► keeper, which looks whether they make sense
//	worker ◄─ a report, in JSON ────── keeper
//
// Both go over a pair of sockets that keeps packets apart.

// errand is one thing to do.
type errand struct {
	Kind   errandKind
	Number int32
}

type errandKind int32

const (
	raiseThread errandKind = iota // Number is the id of a thread of the worker's; reported is the grant
	takeCard                      // the number of a card; reported is whether it is ours, and what others do about it from then on
	giveCard                      // of one that is closed
)

// report is what came of an errand.
type report struct {
	Grant *realtime.Grant `json:",omitempty"`
	Card  *cardReport     `json:",omitempty"`
	Come  bool            `json:",omitempty"` // the owner's sound server answers, which it did not before
}

const maxReport = 16 << 10 // bytes

// errands makes the pair of sockets for a worker, whose end it returns. serve is to be called when the worker is there, or could not be started;
// await says that it is to be told when the owner's sound server comes.
func (k *keeper) errands() (theirs *os.File, serve func(worker int, await bool), err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "worker")
	return os.NewFile(uintptr(pair[1]), "keeper"), func(worker int, await bool) { go k.runErrands(ours, worker, await) }, nil
}

// runErrands does what one worker asks for, until it has ended.
func (k *keeper) runErrands(at *os.File, worker int, await bool) {
	defer at.Close()
	ended := make(chan struct{})
	defer close(ended)
	if await {
		go func() {
			if k.comes(ended) {
				tell(at, report{Come: true})
			}
		}()
	}
	cards := newReserver(func(r cardReport) { tell(at, report{Card: &r}) })
	defer cards.close()
	b := make([]byte, binary.Size(errand{}))
	for {
		size, err := at.Read(b)
		if err != nil || size == 0 {
			return
		}
		var e errand
		if _, err := binary.Decode(b[:size], binary.NativeEndian, &e); err != nil {
			continue
		}
		n := int(e.Number)
		switch {
		case e.Kind == raiseThread && isThread(worker, n):
			go k.raise(at, worker, n) // the system bus may take its time
		case e.Kind == takeCard && n >= 0 && n <= maxCard:
			cards.take(n)
		case e.Kind == giveCard && n >= 0 && n <= maxCard:
			cards.give(n)
		}
	}
}

func (k *keeper) raise(at *os.File, process, thread int) {
	grant := realtime.Raise(process, thread)
	if grant.Kind != realtime.Realtime {
		grant.Advice = k.realtimeAdvice()
	}
	tell(at, report{Grant: &grant})
}

// realtimeAdvice is what gives the worker's user the right to a realtime thread (limits.conf(5)).
func (k *keeper) realtimeAdvice() string {
	if k.user.uid != 0 { // root could not give it
		return "start the daemon with that limit, as in a container by: docker run --ulimit rtprio=5"
	}
	name := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return "echo '" + name + " - rtprio 5' | sudo tee /etc/security/limits.d/sandbox-audio.conf, and log in anew; or: sudo apt install rtkit"
}

// isThread reports whether a process has that thread.
func isThread(process, thread int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(process), "task", strconv.Itoa(thread)))
	return err == nil
}

func tell(at *os.File, r report) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // there is nothing in it that cannot be put so
	}
	at.Write(b) // nobody is left to read it where that fails
}

// keeperLink is the worker's end. It belongs to the loop.
type keeperLink struct {
	fd      int
	granted func(realtime.Grant)
	card    func(cardReport)
	come    func()
}

// newKeeperLink takes up the socket that the keeper left.
func newKeeperLink(l *loop.Loop, fd int) (*keeperLink, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("the keeper's socket: %w", err)
	}
	b := &keeperLink{fd: fd, granted: func(realtime.Grant) {}, card: func(cardReport) {}, come: func() {}}
	var w *loop.Watch
	w, err := l.Watch(fd, loop.Readable, func(loop.Events) {
		if !b.read() {
			w.Close()
		}
	})
	return b, err
}

// send has the keeper do e. The report comes later.
func (b *keeperLink) send(e errand) error {
	bytes, _ := binary.Append(nil, binary.NativeEndian, e)
	if _, err := unix.Write(b.fd, bytes); err != nil {
		return fmt.Errorf("asking the keeper: %w", err)
	}
	return nil
}

// read takes one report, and returns whether there may be more.
func (b *keeperLink) read() bool {
	var bytes [maxReport]byte
	n, err := unix.Read(b.fd, bytes[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	} else if err != nil || n == 0 {
		return false
	}
	var r report
	if json.Unmarshal(bytes[:n], &r) != nil {
		return true
	}
	if r.Grant != nil {
		b.granted(*r.Grant)
	}
	if r.Card != nil {
		b.card(*r.Card)
	}
	if r.Come {
		b.come()
	}
	return true
}
