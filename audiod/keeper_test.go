package audiod

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/holder"
)

func init() {
	roles["role:keeper"] = func(args []string) {
		var opts Options
		if err := json.Unmarshal([]byte(args[0]), &opts); err != nil {
			panic(err)
		}
		if err := Keep(opts, "role:worker"); err != nil {
			logf("%v", err)
			os.Exit(1)
		}
	}
	roles["role:worker"] = fakeWorker
	roles["role:squatter"] = squat
}

// fakeWorker tells each client its pid, its uid and its options, and ends with the status a client writes.
func fakeWorker([]string) {
	ls, ready, opts, err := Inherited()
	if err != nil {
		logf("%v", err)
		os.Exit(3)
	}
	if slices.Equal(opts.Devices, []string{"none"}) {
		logf("no such device")
		os.Exit(1)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	for _, l := range ls {
		f := os.NewFile(uintptr(l.FD), "listener")
		ln, err := net.FileListener(f)
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					panic(err)
				}
				b, _ := json.Marshal(opts)
				fmt.Fprintf(conn, "%d %d %s\n", os.Getpid(), os.Getuid(), b)
				if status, err := io.ReadAll(conn); err == nil && len(status) > 0 {
					n, _ := strconv.Atoi(string(status))
					os.Exit(n)
				}
				conn.Close()
			}
		}()
	}
	ready(strings.Join(opts.Devices, " ") + "\x1b[2J")
	<-term
}

// squat tries to take an address until its input ends, then says how often it tried and how often it succeeded.
func squat(args []string) {
	stop := make(chan bool)
	go func() { io.Copy(io.Discard, os.Stdin); close(stop) }()
	fmt.Println("trying")
	tries, wins := 0, 0
	for {
		select {
		case <-stop:
			fmt.Println(tries, wins)
			return
		default:
		}
		for _, addr := range args {
			network, address, _ := strings.Cut(addr, ":")
			tries++
			if ln, err := net.Listen(network, address); err == nil {
				wins++
				ln.Close()
			}
			if network == "unix" && os.Remove(address) == nil {
				wins++
			}
		}
	}
}

// keep starts a keeper on a Unix socket and a TCP port.
func keep(t *testing.T, uid uint32, opts Options, extra ...*os.File) (c *child, path, port string) {
	t.Helper()
	if opts.Listen == nil {
		opts.Listen = []string{"unix:" + openFolder(t, int(uid)) + "/native", fmt.Sprintf("tcp:127.0.0.1:%d", freePort(t))}
	}
	b, _ := json.Marshal(opts)
	c = spawn(t, uid, extra, "role:keeper", string(b))
	return c, strings.TrimPrefix(opts.Listen[0], "unix:"), strings.TrimPrefix(opts.Listen[len(opts.Listen)-1], "tcp:")
}

// query connects and returns what the fake worker says of itself.
func query(network, address string) (pid, uid int, opts Options, err error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	var text string
	if _, err = fmt.Fscan(conn, &pid, &uid, &text); err == nil {
		err = json.Unmarshal([]byte(text), &opts)
	}
	return
}

func sayStatus(t *testing.T, path, status string) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, status)
	conn.(*net.UnixConn).CloseWrite()
	io.ReadAll(conn) // until it has ended
}

// leaked reports whether a process has the file open.
func leaked(t *testing.T, pid int, name string) bool {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("descriptors of %d: %d, %v", pid, len(fds), err)
	}
	return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == name })
}

func (c *child) waitReady() {
	c.t.Helper()
	until(c.t, "the ready line", func() bool { return strings.Contains(c.stderr(), "ready on") || gone(c.Process.Pid) })
	if !strings.Contains(c.stderr(), "ready on") {
		c.t.Fatalf("the keeper ended: %s", c.stderr())
	}
}

// As an ordinary user: what is said, what the worker gets, and that the old pair leaves nothing when it is told to end.
func TestKeeper(t *testing.T) {
	t.Setenv("SECRET", "of the owner")
	inbox, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: openFolder(t, ownerUID) + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer inbox.Close()
	os.Chmod(inbox.LocalAddr().String(), 0o666)
	t.Setenv("NOTIFY_SOCKET", inbox.LocalAddr().String())

	uid := os.Getuid()
	if uid == 0 {
		uid = ownerUID
	}
	stray, err := os.CreateTemp(t.TempDir(), "stray") // left open by whoever started the keeper
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	c, path, port := keep(t, ownerUID, Options{Devices: []string{"fake"}, Allow: []string{"4242"}, IdleExit: time.Minute}, stray)
	c.waitReady()
	if want := fmt.Sprintf("sandbox-audio: ready on unix:%s and tcp:%s (device fake?[2J)\n", path, port); c.stderr() != want {
		t.Errorf("said %q, want %q", c.stderr(), want)
	}
	pid, got, opts, err := query("tcp", port)
	if err != nil || got != uid || opts.Allow[0] != "4242" || opts.IdleExit != time.Minute || opts.Owners[0] != uint32(uid) {
		t.Errorf("tcp: uid %d, %+v, %v", got, opts, err)
	}
	if again, _, _, err := query("unix", path); err != nil || again != pid {
		t.Errorf("unix: pid %d, not %d, %v", again, pid, err)
	}
	if name := holder.ProgramName(pid); name != "sandbox-audio" {
		t.Errorf("the worker is called %q", name)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || strings.Contains(string(env), "SECRET") {
		t.Errorf("the worker's environment: %q, %v", env, err)
	}
	if leaked(t, pid, stray.Name()) || !leaked(t, c.Process.Pid, stray.Name()) {
		t.Error("the worker has a descriptor that the keeper was started with")
	}
	for _, addr := range []string{"unix:" + path, "tcp:" + port} {
		a, _ := ParseAddress(addr)
		if p, err := holderOf(a); err != nil || p.PID != c.Process.Pid || p.UID != uint32(uid) {
			t.Errorf("holder of %s: %v, %v; want the keeper, %d", addr, p, err, c.Process.Pid)
		}
	}

	second, _, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}, Listen: []string{"unix:" + path, "tcp:" + port}})
	second.Wait()
	wantError(t, fmt.Errorf("%s", second.stderr()), "in use by", fmt.Sprintf("(pid %d)", c.Process.Pid), "kill")
	third, _, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}, Listen: []string{"tcp:" + port}})
	third.Wait()
	wantError(t, fmt.Errorf("%s", third.stderr()), "in use by", fmt.Sprintf("(pid %d)", c.Process.Pid), "kill")

	c.Process.Signal(unix.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if !gone(pid) {
		t.Error("the worker is still there")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is still there: %v", err)
	}
	buf := make([]byte, 100)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		inbox.SetDeadline(time.Now().Add(time.Minute))
		if n, err := inbox.Read(buf); string(buf[:n]) != want {
			t.Errorf("service manager told %q, %v; want %q", buf[:n], err, want)
		}
	}
}

// The addresses are never free while workers die, and the next worker serves who waits.
func TestKeeperWorkerKilled(t *testing.T) {
	c, path, port := keep(t, ownerUID, Options{Devices: []string{"fake"}})
	c.waitReady()
	wanted := []string{"role:squatter", "tcp4:" + port}
	if os.Getuid() == 0 { // or the stranger is ourselves, whom the folder is open to
		wanted = append(wanted, "unix:"+path)
	}
	stranger := spawn(t, strangerUID, nil, wanted...)
	stranger.line()
	last, _, _, err := query("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		start := time.Now()
		unix.Kill(last, unix.SIGKILL)
		next := last
		until(t, "the next worker", func() bool {
			for _, at := range [][2]string{{"tcp", port}, {"unix", path}} {
				pid, _, _, err := query(at[0], at[1])
				if err != nil || pid == last { // a connection the dead worker had accepted
					return false
				}
				next = pid
			}
			return true
		})
		t.Logf("death %d: served again after %v", i+1, time.Since(start).Round(time.Millisecond))
		last = next
	}
	until(t, "word of five deaths", func() bool { return strings.Count(c.stderr(), "signal: killed; starting it again") >= 5 })
	if strings.Count(c.stderr(), "starting it again") != 5 || strings.Count(c.stderr(), "ready on") != 1 {
		t.Errorf("said %q", c.stderr())
	}
	stranger.in.Close()
	var tries, wins int
	fmt.Sscan(stranger.line(), &tries, &wins)
	t.Logf("the stranger tried %d times", tries)
	if tries == 0 || wins != 0 {
		t.Errorf("the stranger took an address in %d of %d attempts", wins, tries)
	}
}

func TestKeeperKilled(t *testing.T) {
	c, path, port := keep(t, ownerUID, Options{Devices: []string{"fake"}})
	c.waitReady()
	pid, _, _, err := query("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Process.Kill()
	until(t, "the worker's end", func() bool { return gone(pid) })
	c.Wait()
	next, _, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}, Listen: []string{"unix:" + path, "tcp:" + port}}) // over the dead socket
	next.waitReady()
	if _, _, _, err := query("unix", path); err != nil {
		t.Error(err)
	}
}

func TestKeeperEnds(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		c, path, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}})
		c.waitReady()
		sayStatus(t, path, "0")
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket's file is still there: %v", err)
		}
	})
	t.Run("failed start", func(t *testing.T) {
		c, path, _ := keep(t, ownerUID, Options{Devices: []string{"none"}})
		c.Wait()
		wantError(t, fmt.Errorf("%s", c.stderr()), "no such device\n", "the daemon could not start: the worker ended: exit status 1\n")
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket's file is still there: %v", err)
		}
	})
	t.Run("unknown user", func(t *testing.T) {
		c, _, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}, Allow: []string{"no-such-user"}})
		c.Wait()
		wantError(t, fmt.Errorf("%s", c.stderr()), `there is no user "no-such-user" to allow`)
	})
	t.Run("no address", func(t *testing.T) {
		c := spawn(t, ownerUID, nil, "role:keeper", "{}")
		c.Wait()
		wantError(t, fmt.Errorf("%s", c.stderr()), "no address to listen on", "--listen")
	})
	t.Run("failed later", func(t *testing.T) {
		c, path, _ := keep(t, ownerUID, Options{Devices: []string{"fake"}})
		c.waitReady()
		sayStatus(t, path, "7")
		until(t, "the next worker", func() bool { return strings.Contains(c.stderr(), "serves again (device fake?[2J)") })
		wantError(t, fmt.Errorf("%s", c.stderr()), "the worker ended: exit status 7; starting it again")
	})
	t.Run("worker by hand", func(t *testing.T) {
		c := spawn(t, ownerUID, nil, "role:worker")
		c.Wait()
		wantError(t, fmt.Errorf("%s", c.stderr()), "start the daemon with sandbox-audio daemon")
	})
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Unix(0, 0)
	var waits []time.Duration
	for range 12 {
		b.started(now)
		now = now.Add(time.Second)
		waits = append(waits, b.ended(now))
		now = now.Add(waits[len(waits)-1])
	}
	if waits[0] != 0 || waits[2] != 0 || waits[3] != 50*time.Millisecond || waits[4] != 100*time.Millisecond || waits[11] != 2*time.Second {
		t.Errorf("waits %v", waits)
	}
	b.started(now)
	if w := b.ended(now.Add(longLife)); w != 0 {
		t.Errorf("after a long life %v", w)
	}
}
