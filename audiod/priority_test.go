package audiod

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/realtime"
)

func init() { roles["hurried"] = hurried }

// hurried is a process whose loop is raised by a keeper with the rights of root, and then misbehaves in the way its argument says. It prints
// how it is scheduled, first when it has been raised.
func hurried(args []string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	fail(err)
	fail(unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: 60_000, Max: 10_000_000}, nil)) // killed so late because the machine may be busy
	keeper := os.NewFile(uintptr(pair[0]), "keeper")
	go func() {
		for {
			var e errand
			if binary.Read(keeper, binary.NativeEndian, &e) != nil {
				return
			}
			fail(unix.SchedSetAttr(int(e.Number), &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 5, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0))
			tell(keeper, report{Grant: &realtime.Grant{Kind: realtime.Realtime, Level: 5, By: "root"}})
		}
	}()
	l, err := loop.New()
	fail(err)
	boy, err := newKeeperLink(l, pair[1])
	fail(err)
	p := newPriority(l, boy, func(format string, args ...any) {})
	is := func() realtime.Kind {
		kind, _, err := realtime.Of(p.thread)
		fail(err)
		return kind
	}
	spin := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && is() == realtime.Realtime; {
			for range 10_000 {
			}
		}
	}
	misbehave := map[string]func(){}
	misbehave["flood"] = func() { // never idle, though no turn takes long
		if spin(2 * time.Millisecond); is() == realtime.Realtime {
			l.Post(misbehave["flood"])
			return
		}
	}
	misbehave["hang"] = func() { spin(20 * time.Second) }
	began := false
	l.AtTurnEnd(func() {
		switch st := p.status(); {
		case st.Kind == "realtime" && !began:
			began = true
			fmt.Println(is(), st.Kind, st.By)
			l.Post(misbehave[args[0]])
		case st.Kind == "ordinary" && began:
			fmt.Println(is(), st.Kind, st.Why, p.again.Pending())
			l.Stop()
		}
	})
	p.ask()
	fail(l.Run())
}

// TestNoRealtimeThreadRunsOn has one misbehave: it becomes ordinary, at the end of a turn or even within one that does not end.
func TestNoRealtimeThreadRunsOn(t *testing.T) {
	needRoot(t)
	for how, why := range map[string]string{"flood": "it was busy for more than half of the time", "hang": "it did not come to rest"} {
		t.Run(how, func(t *testing.T) {
			c := spawn(t, 0, nil, "hurried", how)
			first := c.line()
			if first != "realtime realtime root" {
				t.Fatal(first)
			}
			if got, want := c.line(), "ordinary ordinary "+why+" true"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAllowance spends time as it comes in, in bursts, and too much of it.
func TestAllowance(t *testing.T) {
	const ms = time.Millisecond
	a := newAllowance(0)
	now := time.Duration(0)
	for range 1000 { // just half of the time, in small pieces
		if now += 2 * ms; !a.use(now, ms) {
			t.Fatalf("half of the time is too much after %v", now)
		}
	}
	now += time.Second
	if !a.use(now, mostAtOnce) {
		t.Error("a burst after a rest is too much")
	}
	if a.use(now+ms, ms) {
		t.Error("all of the time is not too much")
	}
	b, busy := newAllowance(0), time.Duration(0)
	for b.use(busy, ms) {
		busy += ms
	}
	if busy < mostAtOnce || busy > 3*mostAtOnce {
		t.Errorf("all of the time is too much after %v", busy)
	}
}
