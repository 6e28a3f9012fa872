package launcher

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/adrg/xdg"
)

// plainSound connects and speaks no protocol, as the test's daemon does.
type plainSound struct {
	told *[]Rules // what the daemon was told, unless nil
}

type plainSession struct {
	net.Conn
	done chan struct{}
	told *[]Rules
}

func (s plainSession) Done() <-chan struct{} { return s.done }

func (s plainSession) Rule(_ int, r *Rules) error {
	if s.told != nil {
		*s.told = append(*s.told, *r)
	}
	return nil
}

func (p plainSound) Connect(ctx context.Context, addr string) (Session, error) {
	network, where, _ := strings.Cut(addr, ":")
	conn, err := new(net.Dialer).DialContext(ctx, network, where)
	if err != nil {
		return nil, err
	}
	s := plainSession{conn, make(chan struct{}), p.told}
	go func() {
		io.Copy(io.Discard, conn)
		close(s.done)
	}()
	return s, nil
}

// soundPlan is a plan with free addresses and the test's daemon, which notes each start in the file started.
func soundPlan(t *testing.T) (p *Plan, started func() []int) {
	t.Helper()
	state := xdg.StateHome
	xdg.StateHome = t.TempDir()
	t.Cleanup(func() { xdg.StateHome = state })
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p = &Plan{
		Owner:     Account{Name: "me", UID: os.Getuid()},
		Addresses: []string{"unix:" + filepath.Join(dir, "native"), "tcp:" + l.Addr().String()},
		DaemonUID: os.Getuid(),
	}
	list := filepath.Join(dir, "started")
	p.Daemon = []string{self, "daemon", "--device", list, "--listen", p.Addresses[0], "--listen", p.Addresses[1]}
	started = func() (pids []int) {
		text, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return pids
	}
	t.Cleanup(func() {
		for _, pid := range started() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return p, started
}

// A daemon that runs already is told the rules that hold now.
func TestDaemonIsToldRules(t *testing.T) {
	p, started := soundPlan(t)
	var told []Rules
	for _, mic := range []string{"deny", "allow"} {
		p.rules = Rules{Microphone: mic}
		l := &soundLink{sound: plainSound{&told}, plan: p}
		if err := l.up(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer l.session.Close()
	}
	if len(started()) != 1 || len(told) != 2 || told[0].Microphone != "deny" || told[1].Microphone != "allow" {
		t.Errorf("%d daemons were started, and told %+v", len(started()), told)
	}
}

// Several runs at once start one daemon between them; when it is killed, one of them starts the next.
func TestOneDaemonForAll(t *testing.T) {
	p, started := soundPlan(t)
	ctx, cancel := context.WithCancel(t.Context())
	const runs = 8
	errs := make(chan error, runs)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for range runs {
		watching.Add(1)
		go func() {
			defer watching.Done()
			l := &soundLink{sound: plainSound{}, plan: p}
			errs <- l.up(ctx)
			l.watch(ctx, func(s string) { t.Error(s) })
		}()
	}
	for range runs {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if n := len(started()); n != 1 {
		t.Fatalf("%d daemons were started", n)
	}
	first := started()[0]
	if sid, err := sessionOf(first); err != nil || sid != first {
		t.Errorf("the daemon %d is in the session %d, %v: it would end with our terminal", first, sid, err)
	}
	syscall.Kill(first, syscall.SIGKILL)
	until(t, "the next daemon to hold the addresses", func() bool {
		for _, addr := range p.Addresses {
			if h, ok, err := addressHolder(addr); err != nil || !ok || h.PID == first {
				return false
			}
		}
		return true
	})
	// All have looked by the time that all could have the lock once more.
	for range runs {
		unlock, err := lockDaemon(ctx)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	if n := len(started()); n != 2 {
		t.Errorf("%d daemons were started", n)
	}
}

func sessionOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strconv.Atoi(strings.Fields(rest)[3])
}

// An address that somebody else holds is named with its holder, nothing is started, and nothing is run.
func TestImpostor(t *testing.T) {
	impostor := filepath.Join(t.TempDir(), "impostor") // the same code under another name, so another program
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("cp", self, impostor).Run(); err != nil {
		t.Fatal(err)
	}
	for i, kind := range []string{"unix", "tcp"} {
		t.Run(kind, func(t *testing.T) {
			p, started := soundPlan(t)
			cmd := exec.Command(impostor, "daemon", "--listen", p.Addresses[i])
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			until(t, "the impostor to listen", func() bool {
				_, ok, err := addressHolder(p.Addresses[i])
				return ok && err == nil
			})
			p.Method, p.Enter = "su", []string{"/bin/false"} // must not come so far
			status, err := p.Run(plainSound{}, func(s string) { t.Error(s) })
			want := fmt.Sprintf("%s is held by impostor (pid %d) of ", p.Addresses[i], cmd.Process.Pid)
			if status != StatusFailed || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("status %d, error %v, without %q", status, err, want)
			}
			if n := len(started()); n != 0 {
				t.Errorf("%d daemons were started", n)
			}
		})
	}
}

// So is one that our own program holds as another user.
func TestDaemonOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	p, started := soundPlan(t)
	cmd := exec.Command("/proc/self/exe", "daemon", "--listen", p.Addresses[1])
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64123, Gid: 64123}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	until(t, "the other's daemon to listen", func() bool {
		_, ok, err := addressHolder(p.Addresses[1])
		return ok && err == nil
	})
	err := (&soundLink{sound: plainSound{}, plan: p}).up(t.Context())
	if err == nil || !strings.Contains(err.Error(), "of uid 64123, which is not the sound daemon of me") {
		t.Errorf("error %v", err)
	}
	if n := len(started()); n != 0 {
		t.Errorf("%d daemons were started", n)
	}
}

// What a daemon that cannot start has to say reaches the person.
func TestDaemonThatEndsAtOnce(t *testing.T) {
	p, _ := soundPlan(t)
	p.Daemon = []string{p.Daemon[0], "daemon", "--device", "broken"}
	err := (&soundLink{sound: plainSound{}, plan: p}).up(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "no such card") {
		t.Errorf("error %v", err)
	}
	st, err := os.Stat(filepath.Join(xdg.StateHome, "sandbox-audio", "daemon.log"))
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("the log: %v, %v", st, err)
	}
}
