package audiod

import (
	"fmt"
	"runtime/metrics"
	"testing"
	"time"

	"sandbox-audio/audiod/loop"
)

func init() { roles["role:litter"] = litter }

var litterBin []byte

// litter is a process with a loop that wakes every few milliseconds. It makes garbage, and tells how often memory has been collected.
func litter([]string) {
	l, err := loop.New()
	if err != nil {
		panic(err)
	}
	sounds := true
	newGarbage(l, func() bool { return sounds })
	made := func(bytes int) { litterBin = make([]byte, bytes) }
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(cycles)
	began := cycles[0].Value.Uint64()
	var steps []func(collected uint64) (done bool)
	looks := 0
	steps = append(steps,
		func(uint64) bool { made(6 << 20); return true },
		func(uint64) bool { looks++; return looks == 100 }, // a second, ten looks
		func(n uint64) bool { fmt.Println("6 MB:", n); made(4 << 20); return true },
		func(n uint64) bool { return n > 0 },
		func(n uint64) bool { fmt.Println("10 MB:", n); made(1 << 20); return true },
		func(uint64) bool { sounds = false; return true },
		func(n uint64) bool { return n > 1 },
		func(n uint64) bool { fmt.Println("1 MB, and silence:", n); l.Stop(); return false },
	)
	var tick *loop.Timer
	tick = l.NewTimer(func() {
		metrics.Read(cycles)
		if steps[0](cycles[0].Value.Uint64() - began) {
			steps = steps[1:]
		}
		tick.Set(l.Now() + 10*time.Millisecond)
	})
	tick.Set(l.Now())
	if err := l.Run(); err != nil {
		panic(err)
	}
}

// Memory is collected when much garbage has come, and when nothing sounds any more; neither before nor again and again.
func TestGarbage(t *testing.T) {
	c := spawn(t, 0, nil, "role:litter")
	for _, want := range []string{"6 MB: 0", "10 MB: 1", "1 MB, and silence: 2"} {
		if got := c.line(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
