package launcher

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// limits are how much of the machine programs may have. The kernel holds all that a run starts to them, together, by a
// control group (cgroups(7), version 2), which takes somebody who may make one:
//
//	systemd's user manager   systemd-run --user --scope ─► sudo ─► entry program ─► program
//	systemd, asked by root   systemd-run --scope ─► su ─► …, or run0 with properties
//	root without systemd     a control group of the helper's, into which run puts the entry program
//
// Where there is nobody, memory and processes are held by resource limits (setrlimit(2)), which are less: the plan says so.
// What cannot be held at all is not run, and the entry program looks whether the group is as it should be.
type limits struct {
	Memory    uint64 `json:"memory,omitempty"`      // bytes, swapped out ones included
	Processes int    `json:"processes,omitempty"`   // and threads
	CPU       int    `json:"cpu_percent,omitempty"` // of one processor
}

// leastMemory and leastProcesses are what the launcher itself needs within them, and a shell.
const (
	leastMemory    = 64 << 20
	leastProcesses = 50
	mostProcesses  = 1 << 22 // PID_MAX_LIMIT of the kernel
)

// limits reads what the profile says of them; the error names the key.
func (b *Bounds) limits() (l limits, key string, err error) {
	l = limits{Processes: b.Processes, CPU: b.CPU}
	if l.Memory, err = parseSize(b.Memory); err != nil {
		return l, "memory", fmt.Errorf("memory %q: %w", b.Memory, err)
	}
	switch {
	case l.Memory != 0 && l.Memory < leastMemory:
		return l, "memory", fmt.Errorf("memory %q is less than 64M, with which no program starts", b.Memory)
	case l.Processes != 0 && (l.Processes < leastProcesses || l.Processes > mostProcesses):
		return l, "processes", fmt.Errorf("processes %d is not from %d to %d; threads count", l.Processes, leastProcesses, mostProcesses)
	case l.CPU < 0 || l.CPU > 100_000:
		return l, "cpu_percent", fmt.Errorf("cpu_percent %d is not from 1 to 100000; 100 is one processor", l.CPU)
	}
	return l, "", nil
}

// parseSize reads bytes as systemd and others write them: a number, and K, M, G or T for powers of 1024. Empty is 0.
func parseSize(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := text, uint64(1)
	if at := strings.IndexByte("KMGT", text[len(text)-1]); at >= 0 {
		number, unit = text[:len(text)-1], 1<<(10*(at+1))
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n == 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("write it as a number of bytes, or with K, M, G or T, like \"2G\"")
	}
	return n * unit, nil
}

// controllers are the kinds of limits that control groups can hold, by whoever makes them.
type controllers struct {
	systemdRun string   // its path; empty where systemd does not run
	system     []string // for root, and for systemd itself
	owner      []string // for the owner's systemd; nil without
}

const cgroups = "/sys/fs/cgroup"

// findControllers looks at the machine below root.
func findControllers(root string, uid int) (c controllers) {
	c.system = listOf(filepath.Join(root, cgroups, "cgroup.controllers"))
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err != nil { // sd_booted(3)
		if _, err := os.Stat(filepath.Join(root, cgroups, "cgroup.type")); err == nil {
			// In a container: what is its topmost group here has processes, and hands out nothing anew.
			c.system = listOf(filepath.Join(root, cgroups, "cgroup.subtree_control"))
		}
		return c
	}
	c.systemdRun, _ = tool("systemd-run")
	id := strconv.Itoa(uid)
	if _, err := os.Stat(filepath.Join(root, "run/user", id, "systemd/private")); err == nil {
		c.owner = listOf(filepath.Join(root, cgroups, "user.slice/user-"+id+".slice/user@"+id+".service/cgroup.controllers"))
	}
	return c
}

func listOf(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}

// limit has the plan hold its program to l.
func (f *facts) limit(p *Plan, l limits) error {
	if l == (limits{}) {
		return nil
	}
	root, systemd := f.owner.UID == 0, f.controllers.systemdRun != ""
	can := f.controllers.owner
	if p.Method == "run0" || root {
		can = f.controllers.system
	} else if !systemd {
		can = nil
	}
	held := &p.request.Confined
	if l.Memory > 0 && slices.Contains(can, "memory") {
		held.Group.Memory = l.Memory
	} else if held.Data = l.Memory; l.Memory > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("memory = %d bytes holds for each process by itself: there is %s to hold them together", l.Memory, noGroups))
	}
	if l.Processes > 0 && slices.Contains(can, "pids") {
		held.Group.Processes = l.Processes
	} else {
		held.Tasks = uint64(l.Processes)
	}
	if held.Group.CPU = l.CPU; l.CPU > 0 && !slices.Contains(can, "cpu") {
		return fmt.Errorf("cpu_percent = %d cannot be held: there is %s; take it out of the profile, or say how nice programs are instead (nice = 10)", l.CPU, noGroups)
	}
	if held.Group == (limits{}) {
		return nil
	}
	switch {
	case p.Method == "run0":
		p.Enter = slices.Insert(slices.Clone(p.Enter), 1, held.Group.properties("--property=")...)
	case systemd:
		p.scope = []string{f.controllers.systemdRun, "--user", "--scope", "--quiet", "--collect"}
		if root {
			p.scope = slices.Delete(p.scope, 1, 2)
		}
		p.scope = append(append(p.scope, held.Group.properties("--property=")...), "--")
	default:
		p.group = &controlGroup{Helper: f.helper.Name, Limits: held.Group}
	}
	return nil
}

// noGroups is what is missing where limits are not held by a control group.
const noGroups = "neither a systemd of yours here nor, for root, a control group (version 2)"

// properties is the limits as systemd takes them (systemd.resource-control(5)).
func (l limits) properties(prefix string) (args []string) {
	if l.Memory > 0 {
		args = append(args, fmt.Sprint(prefix, "MemoryMax=", l.Memory), prefix+"MemorySwapMax=0")
	}
	if l.Processes > 0 {
		args = append(args, fmt.Sprint(prefix, "TasksMax=", l.Processes))
	}
	if l.CPU > 0 {
		args = append(args, fmt.Sprint(prefix, "CPUQuota=", l.CPU, "%"))
	}
	return args
}

// held returns an error unless this process is in a control group that holds it to l, or in one within such a group. root
// is where /proc and /sys are looked at.
func (l limits) held(root string) error {
	if l == (limits{}) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut("\n"+string(text), "\n0::") // version 2's line
	path, _, _ := strings.Cut(rest, "\n")
	least := limits{math.MaxUint64, math.MaxInt, math.MaxInt}
	for dir := filepath.Join("/", path); ; dir = filepath.Dir(dir) {
		at := func(name string) []string { return listOf(filepath.Join(root, cgroups, dir, name)) }
		if n, ok := number(at("memory.max")); ok {
			least.Memory = min(least.Memory, uint64(n))
		}
		if n, ok := number(at("pids.max")); ok {
			least.Processes = min(least.Processes, n)
		}
		if f := at("cpu.max"); len(f) == 2 { // quota and period
			quota, ok := number(f)
			period, err := strconv.Atoi(f[1])
			if ok && err == nil && period > 0 {
				least.CPU = min(least.CPU, quota*100/period)
			}
		}
		if dir == "/" {
			break
		}
	}
	for _, limit := range []struct {
		key         string
		want, least uint64
	}{
		{"memory", l.Memory, least.Memory}, {"processes", uint64(l.Processes), uint64(least.Processes)}, {"cpu_percent", uint64(l.CPU), uint64(least.CPU)},
	} {
		if limit.want > 0 && limit.least > limit.want {
			return fmt.Errorf("%s = %d does not hold in the control group %s that the program would run in; look at it with: systemd-cgls; or take it out of the profile", limit.key, limit.want, cmp.Or(printable(path), "(none)"))
		}
	}
	return nil
}

// number is the first of fields; ok is false for max, which is none.
func number(fields []string) (n int, ok bool) {
	if len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.Atoi(fields[0])
	return n, err == nil
}
