package need

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Unstalled does do again when the machine stood still for longer than most meanwhile, up to five times in all. It needs root.
func Unstalled(t testing.TB, most time.Duration, do func()) {
	t.Helper()
	for range 4 {
		longest := Stalls()
		do()
		stall := longest()
		if stall < most {
			return
		}
		t.Logf("the machine stood still for %v: once more", stall.Round(time.Millisecond))
	}
	do()
}

// Stalls has a thread on each processor, one that comes before all others, look how much later than it should it gets there, until longest is
// called: a virtual machine's processors are taken from it at times, which no program in it can help. It needs root.
func Stalls() (longest func() time.Duration) {
	const period = 2 * time.Millisecond
	var done atomic.Bool
	late := make(chan time.Duration)
	for cpu := range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread() // for good: the thread ends with this
			var set unix.CPUSet
			set.Set(cpu)
			unix.SchedSetaffinity(0, &set)
			unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0)
			var most time.Duration
			for !done.Load() {
				began := time.Now()
				unix.Nanosleep(&unix.Timespec{Nsec: int64(period)}, nil)
				most = max(most, time.Since(began)-period)
			}
			late <- most
		}()
	}
	return func() (most time.Duration) {
		done.Store(true)
		for range runtime.NumCPU() {
			most = max(most, <-late)
		}
		return most
	}
}
