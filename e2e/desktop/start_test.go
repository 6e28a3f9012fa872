package desktop_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"sandbox-audio/e2e/rig"
)

// BenchmarkStart compares run true, with the daemon up, with what any way to become the helper costs: sudo alone. They take turns.
func BenchmarkStart(b *testing.B) {
	d := newDesk(b)
	rule := fmt.Sprintf("%s ALL=(ALL) NOPASSWD: ALL\n", d.owner.Name)
	if err := os.WriteFile("/etc/sudoers.d/"+d.owner.Name, []byte(rule), 0o440); err != nil {
		b.Fatal(err)
	}
	d.start(b, nil, "sleep", "600") // keeps the daemon, and a session
	commands := [][]string{{"sudo", "-n", "-u", d.helper, "true"}, {rig.Binary(b), "run", "true"}}
	took := make([][]time.Duration, len(commands))
	for b.Loop() {
		for k, argv := range commands {
			began := time.Now()
			if out, err := d.owner.Command(b.Context(), nil, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				b.Fatalf("%s: %v: %s", argv, err, out)
			}
			took[k] = append(took[k], time.Since(began))
		}
	}
	for k := range took {
		slices.Sort(took[k])
	}
	sudo, run := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(float64(run)/float64(sudo), "run/sudo")
	b.ReportMetric(float64(run-sudo)/1e6, "more-ms")
	b.ReportMetric(float64(sudo)/1e6, "sudo-ms")
	b.ReportMetric(0, "ns/op")
}
