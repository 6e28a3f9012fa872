package audiod

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/ask"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/session"
	"sandbox-audio/holder"
)

// The owner's question, "may this user record?". The worker may not reach the desktop, and what reaches the desktop shall not hear from clients:
//
//	worker ─ pipe: id, uid, pid ─► keeper ─► a process for this one question: uid and pid as arguments ─► package ask
//	worker ◄─ pipe: id, answer ── keeper ◄─ its exit status
//
// So nothing but numbers of fixed size passes either way.

// question asks for a user and the process that wants to record, 0 when that is not known.
type question struct {
	ID, UID uint32
	PID     int32
}

// outcome is what came of a question.
type outcome struct {
	ID     uint32
	Answer ask.Answer
}

const (
	maxQuestions = 4                // at a time; those that exceed it are answered with Nobody
	patience     = 60 * time.Second // with the person at the desk
	askGrace     = 10 * time.Second // for the process around it

	askStatus = 10 // exit status of a process that asked, less its answer
)

// Ask is the whole of a process that asks whether uid, or to be exact its process pid (0: not known), may record. It returns the exit status
// that tells the keeper what was answered, and ends the process when standard input ends: then nobody waits for it.
func Ask(uid uint32, pid int) (status int) {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	q := ask.Question{User: holder.UserName(uid), Program: programOf(uid, pid)}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := ask.Desktop(ctx, q, func() error {
		_, err := Confine(ConfineOptions{})
		return err
	})
	if err != nil {
		logf("%s wants to record and the owner cannot be asked: %v; allow it with: sandbox-audio mic allow --user %d", q.User, err, uid)
	}
	return askStatus + int(answer)
}

// programOf is what process pid calls itself, if it is one of uid's and no other that has the number now.
func programOf(uid uint32, pid int) string {
	proc := "/proc/" + strconv.Itoa(pid)
	var st unix.Stat_t
	comm, err := os.ReadFile(proc + "/comm")
	if err != nil || unix.Stat(proc, &st) != nil || st.Uid != uid {
		return ""
	}
	return holder.Printable(strings.TrimSuffix(string(comm), "\n"))
}

// answerQuestions serves one worker's questions until its end of the pipe is closed, which ends those that are open.
func (k *keeper) answerQuestions(questions, answers *os.File) {
	defer answers.Close()
	defer questions.Close()
	stdin, end, err := os.Pipe() // the standard input of all who ask
	if err != nil {
		logf("asking the owner: %v", err)
		return
	}
	defer stdin.Close()
	var open sync.WaitGroup
	defer open.Wait()
	defer end.Close()
	slots := make(chan struct{}, maxQuestions)
	for {
		var q question
		if binary.Read(questions, binary.NativeEndian, &q) != nil {
			return
		}
		select {
		case slots <- struct{}{}:
			open.Go(func() {
				answer := k.askOwner(q, stdin)
				<-slots
				binary.Write(answers, binary.NativeEndian, outcome{q.ID, answer})
			})
		default:
			binary.Write(answers, binary.NativeEndian, outcome{q.ID, ask.Nobody})
		}
	}
}

// askOwner runs the process that asks, with no more of the owner's environment than leads to the session bus.
func (k *keeper) askOwner(q question, stdin *os.File) ask.Answer {
	if len(k.opts.Ask) == 0 {
		return ask.Nobody
	}
	cmd := exec.Cmd{
		Path:  "/proc/self/exe",
		Args:  append([]string{"sandbox-audio"}, append(k.opts.Ask, strconv.FormatUint(uint64(q.UID), 10), strconv.Itoa(int(q.PID)))...),
		Stdin: stdin, Stderr: os.Stderr,
	}
	for _, name := range []string{"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if err := cmd.Start(); err != nil {
		logf("asking the owner: %v", err)
		return ask.Nobody
	}
	kill := time.AfterFunc(patience+askGrace, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	if a := ask.Answer(cmd.ProcessState.ExitCode() - askStatus); a.Valid() {
		return a
	}
	return ask.Nobody
}

// asker is the worker's end. It belongs to the loop.
type asker struct {
	out, in int
	next    uint32
	waiting map[uint32]func(ask.Answer)
	half    []byte // of an outcome
}

// newAsker takes up the pipes that the keeper left, to write to and to read from.
func newAsker(l *loop.Loop, out, in int) (*asker, error) {
	a := &asker{out: out, in: in, waiting: map[uint32]func(ask.Answer){}}
	for _, fd := range []int{a.out, a.in} {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("the keeper's pipes: %w", err)
		}
	}
	var w *loop.Watch
	w, err := l.Watch(a.in, loop.Readable, func(loop.Events) {
		if !a.read() {
			w.Close()
		}
	})
	return a, err
}

// microphone is the session.Asker.
func (a *asker) microphone(q session.Question, answer func(session.Answer)) {
	a.ask(q.UID, q.PID, func(got ask.Answer) {
		result := session.Answer{Allow: got == ask.Once || got == ask.Hour, Said: got.String()}
		if got == ask.Hour {
			result.For = time.Hour
		}
		answer(result)
	})
}

// ask asks whether uid may record. answer is called later, on the loop, once.
func (a *asker) ask(uid uint32, pid int32, answer func(ask.Answer)) {
	a.next++
	b, _ := binary.Append(nil, binary.NativeEndian, question{a.next, uid, pid})
	a.waiting[a.next] = answer
	if n, err := unix.Write(a.out, b); err != nil || n != len(b) { // shorter than PIPE_BUF: all or nothing
		a.answer(outcome{a.next, ask.Nobody})
	}
}

// read takes the answers that are there, and reports whether there may be more.
func (a *asker) read() bool {
	size := binary.Size(outcome{})
	b := make([]byte, 16*size)
	n, err := unix.Read(a.in, b)
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	} else if err != nil || n == 0 {
		return false
	}
	a.half = append(a.half, b[:n]...)
	for len(a.half) >= size {
		var o outcome
		binary.Decode(a.half, binary.NativeEndian, &o)
		a.half = a.half[size:]
		a.answer(o)
	}
	return true
}

func (a *asker) answer(o outcome) {
	if f := a.waiting[o.ID]; f != nil && o.Answer.Valid() {
		delete(a.waiting, o.ID)
		f(o.Answer)
	}
}
