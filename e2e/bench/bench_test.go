// Package bench_test measures the whole daemon beside PulseAudio and PipeWire, on one machine in one run: all are given the same work, in turns.
//
//	make bench                                                              # the parts' own benchmarks, and then these
//	make bench-peers                                                        # these alone, as root; the table goes to build/bench.md, too
//	CGO_ENABLED=0 go test -run '^$' -bench Load/32 -short ./e2e/bench       # some of them; -short is one round of each
//
// The servers' threads are kept on CPU 0, the load on CPU 1. Sound goes over sockets, not through shared memory, to all of them. Figures come
// out as benchmark metrics and, at the end, as a Markdown table. They are compared by nobody but the reader: a benchmark never fails on them.
package bench_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

var tableFile = flag.String("table", "", "write the table to `FILE`, too")

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "generate" {
		if err := generate(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	if text := results.String(); text != "" {
		fmt.Printf("\n%s\n", text)
		if *tableFile != "" {
			if err := os.WriteFile(*tableFile, []byte(text), 0o644); err != nil {
				fmt.Fprintln(os.Stderr, err)
				status = 1
			}
		}
	}
	rig.Clean()
	os.Exit(status)
}

// begin makes what every benchmark here needs: the user who owns the servers and the load.
func begin(b *testing.B) need.User {
	need.Root(b)
	if runtime.NumCPU() < 2 {
		b.Skip("needs two CPUs: one for the server, one for the load")
	}
	b.ReportMetric(0, "ns/op") // means nothing here
	return need.NewUser(b)
}

// rounds is how often each server has its turn.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 2
}
