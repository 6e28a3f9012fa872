package bridge_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/e2e/sound"
)

// A virtual machine's processors are taken from it at times, for longer than PipeWire has sound in hand (a quantum of 21 ms); then there is a gap
// whoever plays.
const longestStall = 10 * time.Millisecond

// unstalled is what listen returns, once it does so without the machine having stood still meanwhile, or the last of five times.
func unstalled(t *testing.T, listen func() sound.Sound) sound.Sound {
	t.Helper()
	for try := 1; ; try++ {
		longest := watch()
		s := listen()
		stall := longest()
		if stall < longestStall || try == 5 {
			return s
		}
		t.Logf("the machine stood still for %v: once more", stall.Round(time.Millisecond))
	}
}

// watch has a thread on each processor, one that comes before all others, look how much later than it should it gets there, until longest is
// called.
func watch() (longest func() time.Duration) {
	const period = time.Millisecond
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
