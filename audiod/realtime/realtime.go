// Package realtime gets one thread a place before others on the processor, as far as its user may have that:
//
//	RLIMIT_RTPRIO ─► rtkit: realtime ─► RLIMIT_NICE ─► rtkit: nice ─► ordinary
//
// What it needs no rights for it does itself; RealtimeKit, a service of the system bus, does it for who sits at the machine. So it is the
// keeper's part of the work: another thread of the same user's is raised just as well as one's own.
package realtime

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kind is how a thread is scheduled, for people and for scripts.
type Kind string

const (
	Realtime Kind = "realtime" // SCHED_RR: before all that is ordinary
	Nice     Kind = "nice"     // with a larger share than others, and sooner
	Ordinary Kind = "ordinary"
)

// What is asked for, as by PulseAudio (daemon.conf(5): realtime-priority, nice-level); less where less is offered.
const (
	priority = 5
	nice     = -11
)

// A realtime thread that does not sleep for so long gets SIGXCPU, which Bound deals with, and after a while more its process is killed (getrlimit(2),
// RLIMIT_RTTIME). RealtimeKit wants no more.
const (
	signalTime = 60 * time.Millisecond
	killTime   = 200 * time.Millisecond
)

// Grant is what a thread has got.
type Grant struct {
	Kind   Kind
	Level  int    // of Realtime the priority, 1 to 99; of Nice the nice value, -20 to 19
	By     string // RLIMIT_RTPRIO, RLIMIT_NICE or rtkit
	Why    string // it is not Realtime: what each way to there said
	Advice string // what to do about that; Raise leaves it to its caller
}

// ways are tried in this order. Each returns the level that it got the thread to.
var ways = []struct {
	kind Kind
	by   string
	try  func(process, thread int) (level int, err error)
}{
	{Realtime, "RLIMIT_RTPRIO", realtimeByLimit},
	{Realtime, "rtkit", realtimeByKit},
	{Nice, "RLIMIT_NICE", niceByLimit},
	{Nice, "rtkit", niceByKit},
}

// Raise gets a thread of a process of the same user's as much as there is to be had. It may wait for the system bus for some seconds. Threads that the
// thread makes are ordinary.
func Raise(process, thread int) Grant {
	if err := limitTime(process); err != nil {
		return Grant{Kind: Ordinary, Why: err.Error()}
	}
	var why []string
	for _, way := range ways {
		level, err := way.try(process, thread)
		if err == nil {
			if way.kind == Realtime {
				why = nil
			}
			return Grant{Kind: way.kind, Level: level, By: way.by, Why: strings.Join(why, "; ")}
		}
		if way.kind == Realtime {
			why = append(why, err.Error())
		}
	}
	return Grant{Kind: Ordinary, Why: strings.Join(why, "; ")}
}

// limitTime sets how long realtime threads of a process may run without sleeping.
func limitTime(process int) error {
	limit := unix.Rlimit{Cur: uint64(signalTime.Microseconds()), Max: uint64(killTime.Microseconds())}
	var old unix.Rlimit
	if unix.Prlimit(process, unix.RLIMIT_RTTIME, nil, &old) == nil && old.Max < limit.Max { // it cannot be raised again
		limit = unix.Rlimit{Cur: old.Max / 2, Max: old.Max}
	}
	if err := unix.Prlimit(process, unix.RLIMIT_RTTIME, &limit, nil); err != nil {
		return fmt.Errorf("realtime threads cannot be kept from running for ever: setting RLIMIT_RTTIME: %w", err)
	}
	return nil
}

func realtimeByLimit(process, thread int) (int, error) {
	limit, err := limitOf(process, unix.RLIMIT_RTPRIO)
	if err != nil {
		return 0, err
	}
	level := min(priority, int(min(limit, 99)))
	if level == 0 {
		return 0, errors.New("RLIMIT_RTPRIO is 0")
	}
	err = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: uint32(level), Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	if err != nil {
		return 0, fmt.Errorf("RLIMIT_RTPRIO is %d, yet SCHED_RR is refused: %w", limit, err)
	}
	return level, nil
}

func niceByLimit(process, thread int) (int, error) {
	limit, err := limitOf(process, unix.RLIMIT_NICE)
	if err != nil {
		return 0, err
	}
	level := max(nice, 20-int(min(limit, 40)))
	if level >= 0 {
		return 0, fmt.Errorf("RLIMIT_NICE is %d", limit)
	}
	err = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(level), Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	if err != nil {
		return 0, fmt.Errorf("RLIMIT_NICE is %d, yet nice %d is refused: %w", limit, level, err)
	}
	return level, nil
}

func limitOf(process, resource int) (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Prlimit(process, resource, nil, &limit); err != nil {
		return 0, fmt.Errorf("prlimit: %w", err)
	}
	return limit.Cur, nil
}

// Of is how a thread of this process is scheduled now, by the kernel's word. It is a system call.
func Of(thread int) (kind Kind, level int, err error) {
	attr, err := unix.SchedGetAttr(thread, 0)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("sched_getattr: %w", err)
	case attr.Policy == unix.SCHED_RR || attr.Policy == unix.SCHED_FIFO:
		return Realtime, int(attr.Priority), nil
	case attr.Nice < 0:
		return Nice, int(attr.Nice), nil
	}
	return Ordinary, int(attr.Nice), nil
}

// GiveUp makes the calling thread ordinary. A seccomp filter can tell it from what would make it anything else.
func GiveUp() {
	var ordinary int32 // struct sched_param
	unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_NORMAL, uintptr(unsafe.Pointer(&ordinary)))
}

// Permit gives this process and those that it starts the right to a realtime thread, RLIMIT_RTPRIO, which only root can: call it before
// giving root up. Who has no such right is told by Raise.
func Permit() {
	var limit unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_RTPRIO, nil, &limit) == nil && limit.Cur < priority {
		unix.Prlimit(0, unix.RLIMIT_RTPRIO, &unix.Rlimit{Cur: priority, Max: max(priority, limit.Max)}, nil)
	}
}
