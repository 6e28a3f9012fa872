package launcher

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sandbox-audio/holder"
)

const (
	termGrace = 2 * time.Second // between SIGTERM and SIGKILL
	killWait  = 5 * time.Second // until a killed process must be gone
	pollEvery = 10 * time.Millisecond
)

// endProcesses ends every process that has uid as any of its user ids: SIGTERM first, SIGKILL to those that stay.
// A zombie is only waited for: userdel counts it, but who must reap it is its parent.
func endProcesses(uid int) error {
	for _, round := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGTERM, termGrace}, {syscall.SIGKILL, killWait}} {
		told := map[int]bool{}
		for end := time.Now().Add(round.wait); ; time.Sleep(pollEvery) {
			pids, err := processesOf(uid)
			if err != nil || len(pids) == 0 {
				return err
			}
			for _, pid := range pids {
				if !told[pid] { // also those that a process started while we were looking
					told[pid] = true
					_ = syscall.Kill(pid, round.sig) // gone meanwhile is as good
				}
			}
			if time.Now().After(end) {
				break
			}
		}
	}
	pids, err := processesOf(uid)
	if err == nil && len(pids) > 0 && processLives(pids[0]) {
		err = fmt.Errorf("process %d (%s) of uid %d does not end", pids[0], holder.ProgramName(pids[0]), uid)
	}
	return err
}

// processesOf lists the processes, except this one, that have uid as any of their user ids.
func processesOf(uid int) (pids []int, err error) {
	want := strconv.Itoa(uid)
	err = eachProcess(func(pid int) bool {
		uids, _, ok := processUIDs(pid)
		if ok && pid != os.Getpid() && slices.Contains(uids, want) {
			pids = append(pids, pid)
		}
		return true
	})
	return pids, err
}

// eachProcess calls f with each process id of /proc until it returns false.
func eachProcess(f func(pid int) bool) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && !f(pid) {
			break
		}
	}
	return nil
}

// processLives reports whether the process is there and no zombie.
func processLives(pid int) bool {
	_, zombie, ok := processUIDs(pid)
	return ok && !zombie
}

// parentOf returns the parent of a process; 0 when it is gone.
func parentOf(pid int) int {
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	parent, _ := strconv.Atoi(line)
	return parent
}

// processUIDs returns the real, effective, saved and file system uid of a process; ok is false when it is gone.
func processUIDs(pid int) (uids []string, zombie, ok bool) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil, false, false
	}
	_, rest, ok := strings.Cut(string(status), "\nUid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Fields(line), strings.Contains(string(status), "\nState:\tZ"), ok
}
