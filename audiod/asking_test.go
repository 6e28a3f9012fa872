package audiod

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/ask"
	"sandbox-audio/audiod/ask/asktest"
	"sandbox-audio/audiod/loop"
)

func init() {
	roles["role:crash"] = func([]string) { os.Exit(2) }
	roles["role:ask"] = func(args []string) {
		uid, _ := strconv.ParseUint(args[0], 10, 32)
		pid, _ := strconv.Atoi(args[1])
		os.Exit(Ask(uint32(uid), pid))
	}
}

// asking is a worker's end and a keeper's, joined by pipes, in one process.
type asking struct {
	*asker
	loop    *loop.Loop
	answers chan ask.Answer
	hangUp  func() // the worker ends
	ended   chan bool
}

func newAsking(t *testing.T, argv ...string) *asking {
	t.Helper()
	pipes := make([]*os.File, 4)
	for i := 0; i < 4; i += 2 {
		var err error
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	a := &asking{loop: l, answers: make(chan ask.Answer, 16), ended: make(chan bool)}
	k := &keeper{opts: Options{Ask: argv}}
	go func() {
		k.answerQuestions(pipes[0], pipes[3])
		close(a.ended)
	}()
	if a.asker, err = newAsker(l, int(pipes[1].Fd()), int(pipes[2].Fd())); err != nil {
		t.Fatal(err)
	}
	a.hangUp = func() { pipes[1].Close() }
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		a.hangUp()
		<-a.ended
		l.Stop()
		<-done
		l.Close()
		pipes[2].Close()
	})
	return a
}

func (a *asking) put(uid uint32, pid int) {
	a.loop.Post(func() { a.ask(uid, int32(pid), func(answer ask.Answer) { a.answers <- answer }) })
}

func (a *asking) want(t *testing.T, want ask.Answer) {
	t.Helper()
	select {
	case got := <-a.answers:
		if got != want {
			t.Errorf("the answer is %q, not %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Errorf("no answer; it should be %q", want)
	}
}

// From a worker's question to a button on the desktop and back. A process that asks gives up root first, and a session bus takes none but its
// own user, so root has nobody do this.
func TestAsking(t *testing.T) {
	if os.Getuid() == 0 {
		u, err := user.Lookup(nobody)
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		c := spawn(t, uint32(uid), nil, "-test.run=^TestAsking$", "-test.v")
		passed := false
		for c.lines.Scan() {
			t.Log(c.lines.Text())
			passed = passed || c.lines.Text() == "PASS"
			if strings.HasPrefix(c.lines.Text(), "--- SKIP") {
				t.Skip("see above")
			}
		}
		if !passed {
			t.Error("it failed as ", nobody)
		}
		return
	}
	desktop := asktest.New(t)
	a := newAsking(t, "role:ask")
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	self := uint32(os.Getuid())

	a.put(self, sleep.Process.Pid)
	n := desktop.Shown()
	if !strings.Contains(n.Body, "“sleep”, run by user "+nobody) && self != 65534 || !strings.Contains(n.Body, "“sleep”") {
		t.Errorf("shown: %q", n.Body)
	}
	desktop.Press(n.ID, "hour")
	a.want(t, ask.Hour)

	a.put(4242, sleep.Process.Pid) // whose process that is not
	a.put(4243, 0)
	first, second := desktop.Shown(), desktop.Shown()
	for _, n := range []asktest.Notification{first, second} {
		if strings.Contains(n.Body, "sleep") || !strings.Contains(n.Body, "uid 424") {
			t.Errorf("shown: %q", n.Body)
		}
	}
	desktop.Press(first.ID, "deny")
	a.want(t, ask.Denied)
	desktop.Press(second.ID, "once")
	a.want(t, ask.Once)

	for range maxQuestions { // no more of them than fit on a screen
		a.put(self, 0)
	}
	var open []uint32
	for range maxQuestions {
		open = append(open, desktop.Shown().ID)
	}
	a.put(self, 0)
	a.want(t, ask.Nobody)
	desktop.Dismiss(open[0])
	a.want(t, ask.Unanswered)

	a.hangUp() // who asks for a worker that is gone leaves
	select {
	case <-a.ended:
	case <-time.After(time.Minute):
		t.Error("questions of a worker that has ended stay open")
	}
}

// Without a desktop, or with something broken in its place, the answer is that nobody was asked.
func TestNobodyToAsk(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	for name, argv := range map[string][]string{"no desktop": {"role:ask"}, "not served": nil, "crash": {"role:crash"}} {
		t.Run(name, func(t *testing.T) {
			a := newAsking(t, argv...)
			a.put(4242, 0)
			a.want(t, ask.Nobody)
			for i := range 100 {
				a.loop.Post(func() { a.ask(uint32(i), 0, func(got ask.Answer) { a.answers <- got }) })
			}
			for range 100 {
				a.want(t, ask.Nobody)
			}
		})
	}
}

func TestAskerReadsPieces(t *testing.T) {
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var in, out [2]*os.File
	for _, p := range []*[2]*os.File{&in, &out} {
		if p[0], p[1], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		defer p[0].Close()
		defer p[1].Close()
	}
	a, err := newAsker(l, int(out[1].Fd()), int(in[0].Fd()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 3 {
		a.ask(1, 0, func(answer ask.Answer) { got = append(got, fmt.Sprint(i, answer)) })
	}
	words := []uint32{2, uint32(ask.Once), 2, uint32(ask.Once), 99, uint32(ask.Once), 1, 77, 1, uint32(ask.Denied)} // once, again, unknown, nonsense
	var b []byte
	for _, w := range words {
		b = append(b, byte(w), 0, 0, 0)
	}
	for i := range b {
		in[1].Write(b[i : i+1])
		a.read()
	}
	if strings.Join(got, ", ") != "1allowed, 0denied" && strings.Join(got, ", ") != "1 allowed, 0 denied" {
		t.Errorf("heard %q", got)
	}
}
