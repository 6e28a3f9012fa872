package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// usage is what a server's processes have consumed so far, and the memory they hold now.
type usage struct {
	cpu      float64 // milliseconds
	switches int     // context switches, voluntary or not
	pss      float64 // megabytes; what processes share is counted once
}

// usageOf adds up the threads of pids. The time comes from schedstat, which counts nanoseconds where stat counts ticks of 10 ms.
func usageOf(b *testing.B, pids []int) (u usage) {
	for _, pid := range pids {
		for _, task := range tasks(b, pid) {
			stat, err := os.ReadFile(task + "/schedstat")
			if err != nil {
				b.Fatal(err)
			}
			ns, _ := strconv.ParseFloat(strings.Fields(string(stat))[0], 64)
			u.cpu += ns / 1e6
			u.switches += field(b, task+"/status", "voluntary_ctxt_switches") + field(b, task+"/status", "nonvoluntary_ctxt_switches")
		}
		u.pss += float64(field(b, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")) / 1024
	}
	return u
}

func tasks(b *testing.B, pid int) []string {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if len(tasks) == 0 {
		b.Fatalf("process %d is gone", pid)
	}
	return tasks
}

func field(b *testing.B, path, key string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	b.Fatalf("%s has no %s", path, key)
	return 0
}

// pin keeps every thread of pids on one CPU.
func pin(b *testing.B, cpu int, pids []int) {
	var set unix.CPUSet
	set.Set(cpu)
	for _, pid := range pids {
		for _, task := range tasks(b, pid) {
			tid, _ := strconv.Atoi(filepath.Base(task))
			if err := unix.SchedSetaffinity(tid, &set); err != nil {
				b.Fatalf("pin %d to CPU %d: %v", tid, cpu, err)
			}
		}
	}
}
