package desktop_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// BenchmarkStart compares run true, with the daemon up, with what any way to become the helper costs: sudo alone. They take
// turns. Alone it is the helper's only program, and beside another it shares that one's session.
func BenchmarkStart(b *testing.B) {
	d := newDesk(b)
	rule := fmt.Sprintf("%s ALL=(ALL) NOPASSWD: ALL\n", d.owner.Name)
	if err := os.WriteFile("/etc/sudoers.d/"+d.owner.Name, []byte(rule), 0o440); err != nil {
		b.Fatal(err)
	}
	d.asOwner(b, rig.Binary(b)+" run true") // the daemon stays for a minute
	b.Run("Alone", d.benchmarkStart)
	d.start(b, nil, "sleep", "600")
	need.Eventually(b, time.Minute, func() string {
		if exec.Command("pgrep", "-u", d.helper, "-x", "sleep").Run() != nil {
			return "the other program does not start"
		}
		return ""
	})
	b.Run("Beside", d.benchmarkStart)
}

func (d *desk) benchmarkStart(b *testing.B) {
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
