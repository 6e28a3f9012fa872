// Package bench_test measures the whole daemon beside PulseAudio, on one machine in one run: both are given the same streams, in turns.
//
//	make bench                                           # with everything else
//	CGO_ENABLED=0 go test -run '^$' -bench . ./e2e/bench # alone, as root; -short for one round of each
//
// The servers' threads are kept on CPU 0, the load on CPU 1. Sound goes over the socket, not through shared memory, to both. Figures come
// out as benchmark metrics and, at the end, as a Markdown table. They are compared by nobody but the reader: a benchmark never fails on them.
package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

const (
	warmUp  = 3500 * time.Millisecond // PulseAudio's idle null sink is 2 s ahead, so its first stream begins that late
	measure = 4 * time.Second
	perUser = 64 // streams; the daemon's limit
)

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "generate" {
		if err := generate(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}

// BenchmarkDaemon loads the daemon and PulseAudio with 1, 8 and 32 streams, and the daemon with 128, which PulseAudio cannot play: it mixes
// 32 streams into a sink and lets the others wait. PulseAudio's figures are the metrics that begin with "pulse-".
func BenchmarkDaemon(b *testing.B) {
	need.Root(b)
	if runtime.NumCPU() < 2 {
		b.Skip("needs two CPUs: one for the server, one for the load")
	}
	self := executable(b)
	var rows []string
	for _, rate := range []int{44100, 48000} {
		for _, n := range []int{1, 8, 32, 128} {
			b.Run(fmt.Sprintf("streams=%d/rate=%d", n, rate), func(b *testing.B) {
				rows = append(rows, compare(b, self, n, rate)...)
			})
		}
	}
	fmt.Printf("\n| streams | Hz | server | CPU ms per stream-second | ours / PulseAudio's | context switches per s | PSS MB | round trip p50 ms | p99 ms | underruns | slowest stream |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|\n%s\nMedians. 16-bit stereo, 100 ms, adjust-latency; each server alone on CPU 0, the load on CPU 1; slowest stream: its speed, 1 is real time.\n\n", strings.Join(rows, ""))
}

// compare starts fresh servers, so that their memory is that of this load, and gives them the load in turns.
func compare(b *testing.B, self string, n, rate int) (rows []string) {
	owner, helper := need.NewUser(b), need.NewUser(b)
	servers := []server{ours(b, owner, helper)}
	if n <= 32 {
		servers = append(servers, pulse(b, owner))
	}
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	results := make([][]result, len(servers))
	for b.Loop() {
		for range rounds {
			for i, s := range servers {
				pin(b, 0, s.pids)
				results[i] = append(results[i], load(b, self, s, []need.User{owner, helper}, n, rate))
			}
		}
	}
	ratio := "-"
	if len(servers) == 2 {
		var ratios []float64
		for i := range results[0] {
			ratios = append(ratios, results[0][i].cpu/results[1][i].cpu)
		}
		ratio = fmt.Sprintf("%.2f", median(ratios))
		b.ReportMetric(median(ratios), "ours/pulse")
	}
	b.ReportMetric(0, "ns/op")
	for i, prefix := range []string{"", "pulse-"}[:len(servers)] {
		r := summary(results[i])
		b.ReportMetric(r.cpu, prefix+"cpu-ms/stream-s")
		b.ReportMetric(r.switches, prefix+"switches/s")
		b.ReportMetric(r.pss, prefix+"pss-MB")
		b.ReportMetric(percentile(r.trips, 50), prefix+"p50-ms")
		b.ReportMetric(percentile(r.trips, 99), prefix+"p99-ms")
		b.ReportMetric(float64(r.underruns), prefix+"underruns")
		rows = append(rows, fmt.Sprintf("| %d | %d | %s | %.2f | %s | %.0f | %.1f | %.2f | %.2f | %d | %.2f |\n", n, rate, servers[i].name,
			r.cpu, ratio, r.switches, r.pss, percentile(r.trips, 50), percentile(r.trips, 99), r.underruns, r.slowest))
		ratio = ""
	}
	return rows
}

// result is what one round of load cost.
type result struct {
	cpu       float64 // milliseconds of the server for each second of each stream
	switches  float64 // per second
	pss       float64
	trips     []float64 // milliseconds
	underruns int64
	slowest   float64 // speed of the slowest stream
}

// load plays n streams for a while and measures the server meanwhile.
func load(b *testing.B, self string, s server, users []need.User, n, rate int) result {
	var generators []*generator
	for left := n; left > 0; left -= perUser {
		generators = append(generators, start(b, users[len(generators)], self, s.unix, min(left, perUser), rate))
	}
	count := func() (sum counts) {
		for _, g := range generators {
			var part counts
			g.ask("count", &part)
			sum.Sent = append(sum.Sent, part.Sent...)
			sum.Underruns += part.Underruns
		}
		return sum
	}
	time.Sleep(warmUp)
	before, use, began := count(), usageOf(b, s.pids), time.Now()
	time.Sleep(measure)
	after, used, seconds := count(), usageOf(b, s.pids), time.Since(began).Seconds()
	r := result{pss: used.pss, underruns: after.Underruns - before.Underruns, switches: float64(used.switches-use.switches) / seconds}
	played, slowest := 0.0, 0.0
	for i := range after.Sent {
		speed := float64(after.Sent[i]-before.Sent[i]) / float64(rate*frame) / seconds
		played += speed * seconds
		if i == 0 || speed < slowest {
			slowest = speed
		}
	}
	r.cpu, r.slowest = (used.cpu-use.cpu)/played, slowest
	generators[0].ask("probe", &r.trips)
	for _, g := range generators {
		g.stop()
	}
	return r
}

// generator is a load in a process of its own.
type generator struct {
	b   *testing.B
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(b *testing.B, user need.User, self, address string, n, rate int) *generator {
	g := &generator{b: b, cmd: user.Command(b.Context(), nil, "taskset", "-c", "1", self, "generate", address, strconv.Itoa(n), strconv.Itoa(rate))}
	g.cmd.Stderr = os.Stderr
	out, err := g.cmd.StdoutPipe()
	if err == nil {
		g.in, err = g.cmd.StdinPipe()
	}
	if err == nil {
		err = g.cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	g.out = bufio.NewReader(out)
	if line, err := g.out.ReadString('\n'); line != "playing\n" {
		b.Fatalf("the load on %s said %q (%v)", address, line, err)
	}
	return g
}

func (g *generator) ask(question string, answer any) {
	fmt.Fprintln(g.in, question)
	line, err := g.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		g.b.Fatalf("the load's answer to %q: %v", question, err)
	}
}

func (g *generator) stop() {
	g.in.Close()
	if err := g.cmd.Wait(); err != nil {
		g.b.Fatalf("the load: %v", err)
	}
}

// executable is this very program, where every user may execute it.
func executable(b *testing.B) string {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(rig.Binary(b)), "bench.test")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		b.Fatal(err)
	}
	return path
}

// summary is the median of each figure, all the round trips, and the sum of the underruns.
func summary(rounds []result) (sum result) {
	of := func(f func(result) float64) float64 {
		var values []float64
		for _, r := range rounds {
			values = append(values, f(r))
		}
		return median(values)
	}
	for _, r := range rounds {
		sum.trips = append(sum.trips, r.trips...)
		sum.underruns += r.underruns
	}
	sum.cpu = of(func(r result) float64 { return r.cpu })
	sum.switches = of(func(r result) float64 { return r.switches })
	sum.pss = of(func(r result) float64 { return r.pss })
	sum.slowest = of(func(r result) float64 { return r.slowest })
	return sum
}

func median(values []float64) float64 { return percentile(values, 50) }

func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return values[len(values)*p/100]
}
