package audiod

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is the one account without privileges that every system has.
const nobody = "nobody"

func init() {
	// become PATH|FOLDER: listens, has some threads, becomes nobody, tells what happened, waits.
	roles["role:become"] = func(args []string) {
		var threads sync.WaitGroup
		for range 8 {
			threads.Add(1)
			go func() { runtime.LockOSThread(); threads.Done(); select {} }()
		}
		threads.Wait()
		id, err := serviceUser(nobody)
		if err != nil {
			panic(err)
		}
		ls, err := Listen([]Address{{Path: args[0]}, mustAddress("tcp:127.0.0.1:0")})
		if err != nil {
			panic(err)
		}
		err = id.become(ls)
		fmt.Println(ls[1].Address, err)
		io.Copy(io.Discard, os.Stdin)
	}
	// unproven: a process that never became anybody, or one of whose threads is somebody else; prove must see it.
	roles["role:unproven"] = func(args []string) {
		id, err := serviceUser(nobody)
		if err != nil {
			panic(err)
		}
		ready := make(chan bool)
		switch args[0] {
		case "root":
		case "one thread":
			go func() {
				runtime.LockOSThread()
				unix.RawSyscall(unix.SYS_SETRESUID, uintptr(id.uid), uintptr(id.uid), uintptr(id.uid))
				close(ready)
				select {}
			}()
			<-ready
			if err := renounce(); err != nil {
				panic(err)
			}
			groups, _ := unix.Getgroups()
			id = identity{name: "root", groups: groups}
		}
		fmt.Println(id.prove())
	}
}

func mustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestServiceUser(t *testing.T) {
	id, err := serviceUser(nobody)
	if err != nil || id.uid == 0 || len(id.groups) == 0 {
		t.Errorf("%+v, %v", id, err)
	}
	_, err = serviceUser("no-such-user")
	wantError(t, err, `no user "no-such-user"`, "useradd --system --no-create-home --shell /usr/sbin/nologin --groups audio no-such-user", "--user")
	_, err = serviceUser("root")
	wantError(t, err, "never served as root")
}

func TestBecome(t *testing.T) {
	needRoot(t)
	id, err := serviceUser(nobody)
	if err != nil {
		t.Fatal(err)
	}
	path := openFolder(t, 0) + "/native"
	c := spawn(t, 0, nil, "role:become", path)
	addr, said, _ := strings.Cut(c.line(), " ")
	if said != "<nil>" {
		t.Fatal(said)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.Process.Pid))
	if err != nil || len(threads) < 8 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		status := string(b)
		for _, want := range []string{
			fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", id.uid), fmt.Sprintf("\nGid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", id.gid),
			"\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n", "\nCapBnd:\t0000000000000000\n", "\nNoNewPrivs:\t1\n",
		} {
			if !strings.Contains(status, want) {
				t.Errorf("%s lacks %q:\n%s", path, want, status)
			}
		}
	}
	// Who asks the kernel who serves hears the service user's name, on both transports.
	for _, a := range []Address{{Path: path}, mustAddress(addr)} {
		if p, err := holderOf(a); err != nil || p.UID != uint32(id.uid) || p.PID != c.Process.Pid {
			t.Errorf("holder of %v: %v, %v", a, p, err)
		}
	}
}

func TestProveSeesThrough(t *testing.T) {
	needRoot(t)
	if got := spawn(t, 0, nil, "role:unproven", "root").line(); !strings.Contains(got, "not every thread became user nobody") {
		t.Errorf("still root: %s", got)
	}
	id, err := serviceUser(nobody)
	if err != nil {
		t.Fatal(err)
	}
	if got := spawn(t, 0, nil, "role:unproven", "one thread").line(); !strings.Contains(got, fmt.Sprintf(`Uid is "%d\t`, id.uid)) {
		t.Errorf("one thread of another user: %s", got)
	}
}

// Root's keeper serves as another user, though its binary lies where that user cannot go, and root as well as that user is the owner.
func TestKeeperAsRoot(t *testing.T) {
	needRoot(t)
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	closed := t.TempDir()
	os.Chmod(closed, 0o700)
	binary, err := os.OpenFile(closed+"/sandbox-audio", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(binary, self); err != nil {
		t.Fatal(err)
	}
	binary.Close()

	id, err := serviceUser(nobody)
	if err != nil {
		t.Fatal(err)
	}
	path, port := openFolder(t, id.uid)+"/native", freePort(t)
	opts, _ := json.Marshal(Options{Listen: []string{"unix:" + path, fmt.Sprintf("tcp:127.0.0.1:%d", port)}, Devices: []string{"fake"}, User: nobody})
	c := spawnBinary(t, binary.Name(), 0, nil, "role:keeper", string(opts))
	c.waitReady()
	pid, uid, got, err := query("unix", path)
	if err != nil || uid != id.uid || fmt.Sprint(got.Owners) != fmt.Sprint([]int{0, id.uid}) {
		t.Errorf("worker: uid %d, %+v, %v", uid, got, err)
	}
	a := mustAddress(fmt.Sprintf("tcp:127.0.0.1:%d", port))
	if p, err := holderOf(a); err != nil || p.String() != fmt.Sprintf("sandbox-audio (pid %d) of user nobody", c.Process.Pid) {
		t.Errorf("holder: %v, %v", p, err)
	}
	unix.Kill(pid, unix.SIGKILL)
	until(t, "the next worker", func() bool {
		next, _, _, err := query("tcp", a.AddrPort.String())
		return err == nil && next != pid
	})
	c.Process.Signal(unix.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file: %v", err)
	}
}
