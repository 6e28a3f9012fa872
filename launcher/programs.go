package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Program is one that runs as a helper. What it calls itself is its own word.
type Program struct {
	Profile   string    `json:"profile"`
	Helper    string    `json:"helper"`
	Name      string    `json:"name"` // of the program that was run; empty for what has outlived the program it came with
	PID       int       `json:"pid"`
	Command   []string  `json:"command"`
	Started   time.Time `json:"started"`
	Processes int       `json:"processes"` // it and those it has started
	Memory    uint64    `json:"memory"`    // resident, in bytes
	all       []int
}

// ListPrograms lists what runs as the owner's helpers: a Program for each that run has started, with all that came of it, and one
// for each process that belongs to none.
func ListPrograms(owner Account) ([]Program, error) {
	all, err := profiles()
	if err != nil {
		return nil, err
	}
	programs := []Program{}
	for _, p := range all {
		if p.OwnerUID != owner.UID {
			continue
		}
		of, err := p.programs()
		if err != nil {
			return nil, err
		}
		programs = append(programs, of...)
	}
	return programs, nil
}

func (p *Profile) programs() ([]Program, error) {
	pids, err := processesOf(p.HelperUID)
	if err != nil {
		return nil, err
	}
	table := map[int]*process{}
	for _, pid := range pids {
		if proc, err := readProcess(pid); err == nil {
			if proc.memory > 0 { // else it is just ending
				table[pid] = proc
			}
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
	}
	roots := map[int]*Program{}
	for pid, proc := range table {
		root := rootOf(table, pid)
		if proc.isEntry() || root == 0 {
			continue
		}
		r := roots[root]
		if r == nil {
			top := table[root]
			r = &Program{Profile: p.Name, Helper: p.Helper, PID: root, Command: top.command, Started: top.started}
			if parent := table[top.parent]; parent != nil {
				r.Name = top.title()
			}
			roots[root] = r
		}
		r.Processes++
		r.Memory += proc.memory
		r.all = append(r.all, pid)
	}
	var programs []Program
	for _, r := range roots {
		slices.Sort(r.all)
		programs = append(programs, *r)
	}
	slices.SortFunc(programs, func(a, b Program) int { return a.PID - b.PID })
	return programs, nil
}

// rootOf is the process that an entry program has started on the way up from pid, or the last one on that way that is
// the helper's; 0 when pid belongs to what entry programs need for themselves.
func rootOf(table map[int]*process, pid int) int {
	for range len(table) {
		parent := table[table[pid].parent]
		switch {
		case parent == nil:
			return pid
		case parent.isEntry() && !parent.isRun():
			return 0 // the session bus, and what serves it
		case parent.isEntry():
			return pid
		}
		pid = table[pid].parent
	}
	return pid
}

// process is what /proc tells of one (proc(5)).
type process struct {
	name    string
	parent  int
	command []string
	started time.Time
	memory  uint64
}

// title is what a person calls the program: what a script is called, not its shell.
func (p *process) title() string {
	if len(p.command) > 0 && strings.HasPrefix(filepath.Base(p.command[0]), p.name) {
		return filepath.Base(p.command[0]) // the other is cut to 15 bytes
	}
	return p.name
}

// isEntry reports whether this is the entry program, and isRun whether it is there for a program of run's.
func (p *process) isEntry() bool {
	return len(p.command) > 1 && filepath.Base(p.command[0]) == EntryName && strings.HasPrefix(p.command[1], "@")
}

func (p *process) isRun() bool { return strings.HasPrefix(p.command[1], runSocket) }

func readProcess(pid int) (*process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return nil, err
	}
	command, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return nil, err
	}
	open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	if open < 0 || end < open {
		return nil, fmt.Errorf("%s/stat holds %q", dir, stat)
	}
	// From the state on, which is the third field: parent 4, start 22 in ticks of 10 ms since boot, resident pages 24.
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 22 {
		return nil, fmt.Errorf("%s/stat holds %q", dir, stat)
	}
	p := &process{name: string(stat[open+1 : end])}
	p.parent, _ = strconv.Atoi(f[1])
	ticks, _ := strconv.ParseInt(f[19], 10, 64)
	pages, _ := strconv.ParseUint(f[21], 10, 64)
	p.started = bootTime().Add(time.Duration(ticks) * 10 * time.Millisecond)
	p.memory = pages * uint64(os.Getpagesize())
	if text := strings.TrimSuffix(string(command), "\x00"); text != "" {
		p.command = strings.Split(text, "\x00")
	}
	return p, nil
}

// bootTime is when the ticks of /proc/PID/stat began.
func bootTime() time.Time {
	stat, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(stat), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	seconds, _ := strconv.ParseInt(line, 10, 64)
	return time.Unix(seconds, 0)
}

const (
	stopGrace = 5 * time.Second // between SIGTERM and SIGKILL
	signalArg = "@signal"       // has the entry program send a signal, as the helper, to processes of the helper's
)

// Stop ends the programs of this name that run as the helper of the profile, or all when the name is empty, with all
// they have started: SIGTERM first, and SIGKILL to what stays. It returns how many there were.
func Stop(owner Account, config Config, profile, name string) (stopped int, err error) {
	p, err := FindProfile(owner, profile)
	if err != nil {
		return 0, err
	}
	all, err := p.programs()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(r Program) bool { return name != "" && r.Name != name })
	if len(all) == 0 {
		return 0, nil
	}
	left := all
	for _, round := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGTERM, stopGrace}, {syscall.SIGKILL, killWait}} {
		if err := p.signal(owner, config, round.sig, left); err != nil {
			return 0, err
		}
		for end := time.Now().Add(round.wait); time.Now().Before(end); time.Sleep(pollEvery) {
			left = slices.DeleteFunc(slices.Clone(left), func(r Program) bool { return !slices.ContainsFunc(r.all, processLives) })
			if len(left) == 0 {
				return len(all), nil
			}
		}
	}
	return 0, fmt.Errorf("process %d does not end", left[0].PID)
}

// signal sends a signal to all processes of programs, as the helper: whatever a number stands for by then, nobody else's
// process is hit.
func (p *Profile) signal(owner Account, config Config, sig syscall.Signal, programs []Program) error {
	argv := []string{p.Entry, signalArg, strconv.Itoa(int(sig))}
	for _, r := range programs {
		for _, pid := range r.all {
			argv = append(argv, strconv.Itoa(pid))
		}
	}
	_, err := p.outputAsHelper(owner, config, maxOutcome, argv...)
	return err
}

// sendSignal is the entry program's part of it. What is gone already is as good.
func sendSignal(args []string) error {
	var numbers []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no process", arg)
		}
		numbers = append(numbers, n)
	}
	for _, pid := range numbers[1:] {
		if err := syscall.Kill(pid, syscall.Signal(numbers[0])); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}
