package audiod

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/realtime"
	"sandbox-audio/audiod/session"
)

// Work is the worker process: everything that touches what clients send. It returns when it was told to end, or has had no clients for
// as long as its options say; call it once in a process, from main.
//
//	Inherited ─► loop, device, mixer, sessions ─► Confine ─► ready ─► turn after turn
func Work() error {
	listeners, ready, opts, err := Inherited()
	if err != nil {
		return err
	}
	log, flush := newLog()
	defer flush()
	l, err := loop.New()
	if err != nil {
		return err
	}
	rules, err := policy.NewRules(opts.Owners, opts.Allow)
	if err != nil {
		return err
	}
	refusals := policy.NewRefusals(log)
	remembered, written := memory.New(), []string(nil)
	if opts.State != "" {
		remembered, written = memory.Open(opts.State, l, l.Post, log), []string{opts.State}
	}
	defer remembered.Close()
	server := session.NewServer(l, refusals, log)
	server.Remember(remembered)
	if err := opts.ofUsers(server.Limit, server.Microphone); err != nil {
		return err
	}
	asker, err := newAsker(l, questionsFD, answersFD)
	if err != nil {
		return err
	}
	server.AskWith(asker.microphone)
	errands, err := newKeeperLink(l, errandsFD)
	if err != nil {
		return err
	}
	hurry := &priority{grant: realtime.Grant{Kind: realtime.Ordinary, Why: "it plays on no card"}}
	if opts.hurries() {
		hurry = newPriority(l, errands, log)
	}
	server.ShowPriority(hurry.status)
	devices, err := openDevices(l, opts, server, log)
	if err != nil {
		return err
	}
	defer devices.close()
	errands.come = devices.cross
	if opts.reserves {
		devices.reserve(errands)
	}
	names, files, read := devices.names()
	written = append(written, files...)
	cs := &clients{loop: l, rules: rules, refusals: refusals, log: log, held: map[uint32]int{}, server: server}

	leave := l.NewTimer(func() { l.Stop() })
	cs.idle = func(idle bool) {
		if leave.Stop(); idle && opts.IdleExit > 0 {
			leave.Set(l.Now() + opts.IdleExit)
		}
	}
	cs.idle(true)
	for _, listener := range listeners {
		if listener.Address.Transport == policy.TCP {
			if err := rules.CheckTCP(); err != nil {
				return err
			}
		}
		if err := cs.listen(listener.FD); err != nil {
			return err
		}
	}
	l.AtTurnEnd(cs.turnEnd)

	slim := slimmer()
	how, err := Confine(ConfineOptions{Write: written, Read: read})
	if err != nil {
		return err
	}
	logf("worker confined: %s", how)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	go func() {
		<-stop
		l.Stop()
	}()
	ready(names)
	if hurry.thread != 0 {
		hurry.ask()
	}
	slim()
	newGarbage(l, devices.sounding)
	return l.Run()
}

// newLog makes a log that never keeps its caller waiting: lines go through a side goroutine, and where that is behind by many they are
// dropped and counted. flush waits until what was logged is out.
func newLog() (log func(format string, args ...any), flush func()) {
	lines := make(chan string, 128)
	done := make(chan struct{})
	dropped := 0
	go func() {
		for line := range lines {
			logf("%s", line)
		}
		close(done)
	}()
	log = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if dropped > 0 {
			line = fmt.Sprintf("%s (%d lines before this one were dropped)", line, dropped)
		}
		select {
		case lines <- line:
			dropped = 0
		default:
			dropped++
		}
	}
	return log, func() { close(lines); <-done }
}
