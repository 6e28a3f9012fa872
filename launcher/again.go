package launcher

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sandbox-audio/launcher/peercred"
)

// While a program of the helper's runs, others need no sudo: the run of that one has its entry program start one more.
//
//	another run ─ socket's name ─► run ─ order ─► its entry program ─ fork, exec ─► entry program ─► the other run's socket
//
// The runs are both the owner's, by the kernel's word, and go the same way, by a rule that asks for no password. From there
// on all is as if the other had gone it too; and when nobody answers it goes.

// againWait is how long the other entry program may take before sudo is asked.
var againWait = time.Second

// meets reports whether the plan's way can be shared: where there are limits each program comes into a scope of its own, and
// run0 has polkit ask each time.
func (p *Plan) meets() bool { return len(p.scope) == 0 && p.Method != "run0" }

// meeting is the socket of the run that has others' entry programs started. It is the kernel's, gone with that run.
func (p *Plan) meeting() *net.UnixAddr {
	way := fnv.New64()
	fmt.Fprintf(way, "%q", p.Enter)
	return &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("%srun-%d-%d-%x", runSocket, os.Getuid(), p.Helper.UID, way.Sum64())}
}

// startAgain is start by way of another run. ok is false when there is none.
func (r *running) startAgain() (ok bool, err error) {
	if !r.plan.meets() {
		return false, nil
	}
	conn, err := net.DialUnix("unix", nil, r.plan.meeting())
	if err != nil {
		return false, nil
	}
	cred, err := peercred.Of(conn)
	if err != nil || int(cred.Uid) != os.Getuid() {
		return false, conn.Close()
	}
	if err := r.open(); err != nil {
		return false, err
	}
	r.other = conn
	b := &become{done: make(chan struct{})}
	r.become = b
	go func() {
		defer close(b.done)
		if conn.SetDeadline(time.Now().Add(againWait)) == nil && writeMessage(conn, order{Enter: r.listener.Addr().String()}, maxOrder) == nil {
			_, _ = conn.Read(make([]byte, 1)) // until that run gives up, or this one
		}
	}()
	return true, nil
}

// meet does for other runs what startAgain asks, until it is stopped. Another run that does it already goes before.
func (r *running) meet() (stop func()) {
	if !r.plan.meets() || r.asked {
		return func() {}
	}
	l, err := net.ListenUnix("unix", r.plan.meeting())
	if err != nil {
		return func() {}
	}
	go func() {
		for {
			conn, err := acceptFrom(l, os.Getuid())
			if err != nil {
				return // stopped
			}
			var o order
			err = conn.SetReadDeadline(time.Now().Add(againWait))
			if err == nil {
				err = readMessage(conn, &o, maxOrder)
			}
			if err == nil {
				err = r.order(order{Enter: o.Enter})
			}
			if err != nil {
				conn.Close()
				continue
			}
			time.AfterFunc(againWait, func() { conn.Close() })
		}
	}()
	return func() { l.Close() }
}

// enterAgain is the entry program's part: it starts another for the run with that socket.
func enterAgain(name string, ownerUID int) error {
	if !strings.HasPrefix(name, runSocket) {
		return fmt.Errorf("%q is no run's", name)
	}
	self, err := os.Executable() // what is there now, as sudo would start it
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(self, []string{EntryName, name, strconv.Itoa(ownerUID)}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err == nil {
		go func() { _, _ = syscall.Wait4(pid, nil, 0, nil) }() // it may outlive us
	}
	return err
}
