package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

// reachMain tries the addresses, NETWORK:ADDRESS each, and says of each in a line whether somebody answers there.
func reachMain(addresses []string) int {
	for _, addr := range addresses {
		network, where, _ := strings.Cut(addr, ":")
		if network == "own" { // a listener of this process's own
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			network, where = "tcp", l.Addr().String()
		}
		conn, err := net.Dial(network, where)
		if err == nil {
			conn.Close()
		}
		fmt.Println(addr, err == nil)
	}
	return 0
}

// confinedOwner is an owner whose profile is set up with what the configuration says of it; settings changes that.
func confinedOwner(t *testing.T) (p *Profile, settings func(text string), run func(argv ...string) *exec.Cmd) {
	t.Helper()
	_, owner := needRoot(t)
	p = mustSetup(t, owner, DefaultProfile)
	launch := launcherOf(t, owner)
	now := ""
	settings = func(text string) { now = text }
	run = func(argv ...string) *exec.Cmd { return launch([]string{"TEST_CONFIG=" + now}, argv...) }
	return p, settings, run
}

// openCopy is a copy of the test binary, under a name that says what it is to be, for everybody to run.
func openCopy(t *testing.T, name string) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "open")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// listen has somebody answer at an address; uids gets who calls, where the kernel says so.
func listen(t *testing.T, network, addr string) (at string, uids <-chan int) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen := make(chan int, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if unix, ok := conn.(*net.UnixConn); ok {
				if cred, err := peercred.Of(unix); err == nil {
					seen <- int(cred.Uid)
				}
			}
			conn.Close()
		}
	}()
	return network + ":" + l.Addr().String(), seen
}

// What listens on the machine, by TCP or by an abstract name, is out of reach with network = off; sockets in the file
// system are not, and there the kernel says who calls as ever. A program's own loopback works.
func TestNetworkOff(t *testing.T) {
	p, settings, run := confinedOwner(t)
	tcp, _ := listen(t, "tcp", "127.0.0.1:0")
	abstract, _ := listen(t, "unix", "@confine-test-"+strconv.Itoa(os.Getpid()))
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file, callers := listen(t, "unix", dir+"/s")
	for _, path := range []string{dir, dir + "/s"} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	reach := []string{openCopy(t, "reach"), tcp, abstract, file, "own:"}
	for network, want := range map[string]string{
		"host": fmt.Sprintf("%s true\n%s true\n%s true\nown: true", tcp, abstract, file),
		"off":  fmt.Sprintf("%s false\n%s false\n%s true\nown: true", tcp, abstract, file),
	} {
		settings("network = \"" + network + "\"\n")
		if got := output(t, run(reach...)); got != want {
			t.Errorf("network = %s:\n%s\nnot\n%s", network, got, want)
		}
		if uid := <-callers; uid != p.HelperUID {
			t.Errorf("network = %s: the caller has the uid %d, not %d", network, uid, p.HelperUID)
		}
	}
	settings("network = \"off\"\n")
	for _, line := range strings.Split(output(t, run("grep", "^Cap[IPEA]", "/proc/self/status")), "\n") {
		if f := strings.Fields(line); len(f) != 2 || strings.Trim(f[1], "0") != "" {
			t.Errorf("a capability is left: %s", line)
		}
	}
	if got := output(t, run("id", "-u")); got != strconv.Itoa(p.HelperUID) {
		t.Errorf("the program has the uid %s", got)
	}
	nothingLeft(t, p)
}

// The session bus starts whatever the helper's own files name; that is held to the same.
func TestWhatTheBusStartsIsConfined(t *testing.T) {
	p, settings, run := confinedOwner(t)
	settings("network = \"off\"\nno_new_privs = true\n")
	script := `mkdir -p ~/.local/share/dbus-1/services; cd ~/.local/share/dbus-1/services
printf '#!/bin/sh\nreadlink /proc/self/ns/net >~/net; grep NoNewPrivs /proc/self/status >~/nnp; : >~/done\n' >~/service; chmod +x ~/service
printf '[D-BUS Service]\nName=test.Service\nExec=%s/service\n' ~ >x.service
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.StartServiceByName string:test.Service uint32:0 >/dev/null &
for i in $(seq 1000); do [ -e ~/done ] && break; sleep 0.01; done; kill $!; cat ~/net ~/nnp`
	out, _ := run("sh", "-c", script).Output()
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); !strings.Contains(got, "\nnet:[") && !strings.HasPrefix(got, "net:[") || strings.Contains(got, network) || !strings.Contains(got, "NoNewPrivs:\t1") {
		t.Errorf("the service has %q; the machine's network is %s", got, network)
	}
	nothingLeft(t, p)
}

// Programs that are held to different rules do not run side by side: one could act for the other.
func TestOneSessionOneSetOfRules(t *testing.T) {
	p, settings, run := confinedOwner(t)
	const off, host = "network = \"off\"\n", "nice = 1\n"
	for _, test := range []struct{ first, then, says string }{
		{off, "", "started before its settings were changed"},
		{"", host, "started before its settings were changed"},
		{"", off, "has the network"},
	} {
		settings(test.first)
		one := startTalk(t, run())
		if got := output(t, run("echo", "joined")); got != "joined" {
			t.Errorf("with the same rules: %q", got)
		}
		settings(test.then)
		out, err := run("true").CombinedOutput()
		if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), test.says) || !strings.Contains(string(out), "sandbox-audio stop --profile default") {
			t.Errorf("%q beside %q: status %d, %s", test.then, test.first, status, out)
		}
		one.end(t)
		if out, err := run("true").CombinedOutput(); err != nil {
			t.Errorf("%q after %q: %v: %s", test.then, test.first, err, out)
		}
		nothingLeft(t, p)
	}
}

// A run that is killed takes the program along, out of its namespaces too.
func TestKilledRunEndsAConfinedProgram(t *testing.T) {
	p, settings, run := confinedOwner(t)
	settings("network = \"off\"\nno_new_privs = true\n")
	cmd := run("sh", "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lineOf(t, out)
	cmd.Process.Kill()
	go io.Copy(io.Discard, out)
	cmd.Wait()
	until(t, "all of the helper's to end", func() bool {
		pids, err := processesOf(p.HelperUID)
		return err == nil && len(pids) == 0
	})
}

// The entry program killed with everything that dies with its parent: the program does, though two execs lie between.
func TestConfinedProgramDiesWithTheEntryProgram(t *testing.T) {
	p, settings, run := confinedOwner(t)
	settings("network = \"off\"\n")
	out, err := run("sh", "-c", "kill -KILL $PPID; exec sleep 600").CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), "was killed") {
		t.Errorf("status %d: %s", status, out)
	}
	until(t, "all of the helper's to end", func() bool {
		pids, err := processesOf(p.HelperUID)
		return err == nil && len(pids) == 0
	})
}

func TestWhatAConfinedProgramStartsWith(t *testing.T) {
	_, settings, run := confinedOwner(t)
	settings("no_new_privs = true\nnice = 7\numask = \"037\"\nenvironment = { COLOUR = \"blue green\", LANG = \"C\" }\n")
	got := output(t, run("sh", "-c", `grep NoNewPrivs /proc/self/status; nice; umask; echo "$COLOUR $LANG"; ls /proc/self/fd | tr '\n' ' '`))
	if want := "NoNewPrivs:\t1\n7\n0037\nblue green C\n0 1 2 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The entry program is of the same user and must not be a way out for a program that traces it.
func TestTheEntryProgramIsGuarded(t *testing.T) {
	_, settings, run := confinedOwner(t)
	settings("no_new_privs = true\n")
	if got := output(t, run("sh", "-c", "cat /proc/$PPID/task/*/status | grep NoNewPrivs | sort -u")); got != "NoNewPrivs:\t1" {
		t.Errorf("with no_new_privs the entry program has %q", got)
	}
	yama, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	free := len(yama) == 0 || yama[0] == '0' // else the kernel keeps all programs from it
	for config, open := range map[string]bool{"": free, "memory = \"1G\"\n": false, "processes = 4000\n": false, "network = \"off\"\n": false, "network = \"off\"\nprocesses = 4000\n": false} {
		settings(config)
		err := run("sh", "-c", "exec 3</proc/$PPID/mem").Run() // takes the right to trace
		if status := statusOf(t, err); (status == 0) != open {
			t.Errorf("%q: the entry program's memory is open: %v", config, status == 0)
		}
	}
}

// A kernel that lets users have no namespaces: nothing is run.
func TestNetworkOffWhereTheKernelForbidsIt(t *testing.T) {
	p, settings, run := confinedOwner(t)
	settings("network = \"off\"\n")
	cmd := run("touch", p.Home+"/ran")
	cred := cmd.SysProcAttr.Credential
	cmd.Args = append([]string{"forbid", strconv.Itoa(int(cred.Uid)), strconv.Itoa(int(cred.Gid)), cmd.Path}, cmd.Args...)
	cmd.Path, cmd.SysProcAttr = openCopy(t, "forbid"), nil
	out, err := cmd.CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !strings.Contains(string(out), "network = off: the kernel does not let") {
		t.Errorf("status %d: %s", status, out)
	}
	if _, err := os.Lstat(p.Home + "/ran"); err == nil {
		t.Error("the program was run")
	}
}

// forbidMain forbids user namespaces to itself and all that comes of it, and becomes another user and program.
func forbidMain(args []string) int {
	const flags = 16 // of seccomp_data, the lower half of the first argument
	jump := func(code uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | code, K: k, Jt: yes, Jf: no}
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	filter := []unix.SockFilter{
		load(0),
		jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 3),
		load(flags),
		jump(unix.BPF_JSET, unix.CLONE_NEWUSER, 0, 1),
		ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)),
		ret(unix.SECCOMP_RET_ALLOW),
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	uid, _ := strconv.Atoi(args[0])
	gid, _ := strconv.Atoi(args[1])
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	if err == nil {
		err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid))
	}
	if err == nil {
		err = syscall.Exec(args[2], args[3:], os.Environ())
	}
	panic(err)
}

// Before the limits hold for it, no other program of the helper's can trace what is to become the program, and have it start
// something else: its files in /proc are root's then (proc(5)). The program's own are its own again.
func TestConfinedStageIsNotTraced(t *testing.T) {
	p, settings, run := confinedOwner(t)
	says, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer says.Close()
	size, err := unix.FcntlInt(tell.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tell.Write(make([]byte, size)); err != nil { // a full pipe holds up who has to tell of a failure
		t.Fatal(err)
	}
	order, err := json.Marshal(confinedOrder{Confinement: confinement{Tasks: 4000}, Path: "/no/such/program", Tell: 3})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.Entry, confinedArg, string(order), "program")
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.HelperUID), Gid: uint32(p.HelperUID)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	until(t, "the stage to be closed to others", func() bool {
		st, err := os.Lstat("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := fileOwner(st)
		return uid == 0
	})
	if !processLives(cmd.Process.Pid) {
		t.Error("the stage has ended")
	}
	settings("processes = 4000\n")
	if got := output(t, run("stat", "-c", "%u", "/proc/self/fd")); got != strconv.Itoa(p.HelperUID) {
		t.Errorf("the program's files in /proc are of uid %s", got)
	}
}
