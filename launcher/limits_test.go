package launcher

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// writeTree puts files below a directory, for everybody to read.
func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{"": 0, "1": 1, "512M": 512 << 20, "2G": 2 << 30, "64K": 64 << 10, "1T": 1 << 40} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "G", "-1", "1.5G", "2 G", "2GB", "g", "9999999999T", "18446744073709551616"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}

// Who holds the limits, on machines of every kind.
func TestWhoHoldsTheLimits(t *testing.T) {
	const (
		booted  = "run/systemd/system/x"
		manager = "run/user/1000/systemd/private"
		top     = "sys/fs/cgroup/cgroup.controllers"
		owners  = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"
	)
	all := limits{Memory: 1 << 30, Processes: 300, CPU: 50}
	three := "memory pids cpu"
	properties := []string{"--property=MemoryMax=1073741824", "--property=MemorySwapMax=0", "--property=TasksMax=300", "--property=CPUQuota=50%"}
	for name, test := range map[string]struct {
		files  map[string]string
		uid    int
		method string
		want   limits
		scope  []string // what holds them; without, for root, it is a group
		group  confinement
		note   bool
		err    string
	}{
		"the owner's systemd": {map[string]string{booted: "", manager: "", top: three, owners: three}, 1000, "sudo", all,
			slices.Concat([]string{"systemd-run", "--user", "--scope", "--quiet", "--collect"}, properties, []string{"--"}), confinement{Group: all}, false, ""},
		"a systemd that was given no cpu": {map[string]string{booted: "", manager: "", top: three, owners: "memory pids"}, 1000, "sudo", all, nil, confinement{}, false, "cpu_percent = 50 cannot be held"},
		"a systemd that was given nothing": {map[string]string{booted: "", manager: "", top: three, owners: ""}, 1000, "sudo", limits{Memory: 1 << 30, Processes: 300},
			nil, confinement{Data: 1 << 30, Tasks: 300}, true, ""},
		"no login of the owner's": {map[string]string{booted: "", top: three}, 1000, "sudo", limits{Processes: 300}, nil, confinement{Tasks: 300}, false, ""},
		"run0":                    {map[string]string{booted: "", top: three}, 1000, "run0", all, nil, confinement{Group: all}, false, ""},
		"root": {map[string]string{booted: "", top: three}, 0, "su", all,
			slices.Concat([]string{"systemd-run", "--scope", "--quiet", "--collect"}, properties, []string{"--"}), confinement{Group: all}, false, ""},
		"root without systemd":       {map[string]string{top: three}, 0, "su", all, nil, confinement{Group: all}, false, ""},
		"root in a container":        {map[string]string{top: three, "sys/fs/cgroup/cgroup.type": "domain"}, 0, "su", all, nil, confinement{}, false, "cpu_percent"},
		"nothing":                    {nil, 1000, "sudo", limits{Memory: 1 << 30, Processes: 60}, nil, confinement{Data: 1 << 30, Tasks: 60}, true, ""},
		"nothing that holds the cpu": {map[string]string{top: three}, 1000, "sudo", limits{CPU: 50}, nil, confinement{}, false, "nice = 10"},
		"no limits":                  {nil, 1000, "sudo", limits{}, nil, confinement{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeTree(t, root, test.files)
			f := machine()
			f.owner.UID = test.uid
			f.controllers = findControllers(root, test.uid)
			if _, ok := test.files[booted]; ok {
				f.controllers.systemdRun = "systemd-run" // not installed here, it may be
			}
			p := &Plan{Method: test.method, Enter: []string{"/bin/way", "enter"}}
			err := f.limit(p, test.want)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, without %q", err, test.err)
				}
				return
			}
			if err != nil || p.request.Confined != test.group || !slices.Equal(p.scope, test.scope) || len(p.Notes) > 0 != test.note {
				t.Errorf("%v, %+v, scope %q, notes %q", err, p.request.Confined, p.scope, p.Notes)
			}
			if made := p.group != nil; made != (name == "root without systemd") {
				t.Errorf("a control group is made: %v", made)
			}
			if test.method == "run0" && !slices.Equal(p.Enter, slices.Concat([]string{"/bin/way"}, properties, []string{"enter"})) {
				t.Errorf("run0 is asked by %q", p.Enter)
			}
		})
	}
}

// A limit holds when any of the groups from the process's own upwards has it, or less.
func TestHeld(t *testing.T) {
	own := "sys/fs/cgroup/a/b/"
	for name, test := range map[string]struct {
		files map[string]string
		want  string // what does not hold
	}{
		"its own group":   {map[string]string{own + "memory.max": "1000\n", own + "pids.max": "100\n", own + "cpu.max": "50000 100000\n"}, ""},
		"less":            {map[string]string{own + "memory.max": "10\n", own + "pids.max": "7\n", own + "cpu.max": "1000 100000\n"}, ""},
		"a group above":   {map[string]string{own + "memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n", own + "pids.max": "100\n", own + "cpu.max": "25000 50000\n"}, ""},
		"no memory":       {map[string]string{own + "memory.max": "max\n", own + "pids.max": "100\n", own + "cpu.max": "50000 100000\n"}, "memory = 1000"},
		"more memory":     {map[string]string{own + "memory.max": "1001\n", own + "pids.max": "100\n", own + "cpu.max": "50000 100000\n"}, "memory = 1000"},
		"no processes":    {map[string]string{own + "memory.max": "1000\n", own + "cpu.max": "50000 100000\n"}, "processes = 100"},
		"no cpu":          {map[string]string{own + "memory.max": "1000\n", own + "pids.max": "100\n", own + "cpu.max": "max 100000\n"}, "cpu_percent = 50"},
		"the next door's": {map[string]string{"sys/fs/cgroup/a/c/memory.max": "1000\n"}, "memory = 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeTree(t, root, map[string]string{"proc/self/cgroup": "5:pids:/x\n0::/a/b\n"})
			writeTree(t, root, test.files)
			err := limits{1000, 100, 50}.held(root)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if err := (limits{}).held(t.TempDir()); err != nil {
		t.Errorf("no limits: %v", err)
	}
}

// With systemd, of which there is only as much here as run looks at: the way in goes by systemd-run, and when the group is
// not as it was asked to be, nothing is run.
func TestLimitsBySystemd(t *testing.T) {
	p, settings, run := confinedOwner(t)
	uid := strconv.Itoa(p.OwnerUID)
	if err := unix.Mount("tmpfs", cgroups, "tmpfs", 0, "mode=755"); err != nil {
		t.Skip(err) // a machine without control groups
	}
	t.Cleanup(func() {
		if err := unix.Unmount(cgroups, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	const fake = "/usr/local/bin/systemd-run"
	files := map[string]string{
		"/run/systemd/system/x":                 "",
		"/run/user/" + uid + "/systemd/private": "",
		cgroups + "/user.slice/user-" + uid + ".slice/user@" + uid + ".service/cgroup.controllers": "cpu memory pids\n",
		fake:         "#!/bin/sh\nenv >/run/asked; printf '%s\\n' \"$@\" >>/run/asked\nwhile [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n",
		"/run/asked": "",
	}
	writeTree(t, "/", files)
	if path, err := tool("systemd-run"); err != nil || path != fake {
		if err := unix.Mount(fake, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	}
	t.Cleanup(func() {
		for _, path := range slices.Collect(maps.Keys(files)) {
			os.Remove(path)
		}
		os.RemoveAll("/run/systemd")
		os.RemoveAll("/run/user/" + uid)
	})
	for path, mode := range map[string]os.FileMode{fake: 0o755, "/run/asked": 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	settings("memory = \"100M\"\nprocesses = 80\n")
	out, err := run("echo", "ran").CombinedOutput()
	if status := statusOf(t, err); status != StatusFailed || !bytes.Contains(out, []byte("memory = 104857600 does not hold")) || bytes.Contains(out, []byte("ran\n")) {
		t.Errorf("status %d: %s", status, out)
	}
	writeTree(t, cgroups, map[string]string{"memory.max": "104857600\n", "pids.max": "80\n"})
	if got := output(t, run("echo", "ran")); got != "ran" {
		t.Errorf("it said %q", got)
	}
	text, err := os.ReadFile("/run/asked")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"XDG_RUNTIME_DIR=/run/user/" + uid, "--user\n--scope\n", "--property=MemoryMax=104857600\n--property=MemorySwapMax=0\n--property=TasksMax=80\n--\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("systemd-run was started with\n%s, without %q", text, want)
		}
	}
}

// Without systemd: a program gets no more memory than its limit, and a fork bomb no more processes.
func TestResourceLimitsHold(t *testing.T) {
	p, settings, run := confinedOwner(t)
	for _, network := range []string{"host", "off"} {
		t.Run("network "+network, func(t *testing.T) {
			settings(fmt.Sprintf("network = %q\nmemory = \"256M\"\nprocesses = 90\n", network))
			const copy = "dd if=/dev/zero of=/dev/null count=1 bs="
			out, err := run("sh", "-c", copy+"64M && echo some && ! "+copy+"400M && echo no more").CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("\nsome\n")) || !bytes.HasSuffix(out, []byte("no more\n")) {
				t.Errorf("%v: %s", err, out)
			}
			if !bytes.Contains(out, []byte("note: memory = 268435456 bytes holds for each process by itself")) {
				t.Errorf("nothing is said of what does not hold: %s", out)
			}
			bomb := startTalk(t, run())
			bomb.say(t, "(for i in $(seq 300); do sleep 600 & done) 2>/dev/null; echo full")
			threads := 0
			pids, err := processesOf(p.HelperUID)
			if err != nil {
				t.Fatal(err)
			}
			for _, pid := range pids {
				tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
				threads += len(tasks)
			}
			if most := map[string]int{"host": 90, "off": 90 + 30}[network]; threads > most || threads < 60 { // without network the entry program's threads count apart
				t.Errorf("%d threads run", threads)
			}
			if err := endProcesses(p.HelperUID); err != nil {
				t.Fatal(err)
			}
		})
	}
}
