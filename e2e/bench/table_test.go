package bench_test

import (
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// none stands for a figure that there is not.
var none = math.NaN()

// figure is one server's: what was measured, and what is to be said beside it.
type figure struct {
	value float64
	note  string
}

// table is what the README quotes: a row for each thing measured, those of one kind together.
type table struct {
	kinds []string
	rows  map[string][]string
}

var results = table{rows: map[string][]string{}}

// tell reports what was measured of each server, ours first, as metrics of b and as a row of the table. Ours is compared with the better of the
// others, which is the smaller figure unless more is better.
func tell(b *testing.B, kind, of, unit, format string, more bool, figures ...figure) {
	cells, better := []string{kind, of}, none
	for i, f := range figures {
		text := "-"
		if !math.IsNaN(f.value) {
			text = fmt.Sprintf(format, f.value)
			b.ReportMetric(f.value, []string{"ours", "pulse", "pipewire"}[i]+"-"+unit)
		}
		if f.note != "" {
			text += " (" + f.note + ")"
		}
		if cells = append(cells, text); i > 0 && !math.IsNaN(f.value) && (math.IsNaN(better) || more == (f.value > better)) {
			better = f.value
		}
	}
	ratio := "-"
	if better != 0 && !math.IsNaN(better) && !math.IsNaN(figures[0].value) {
		ratio = fmt.Sprintf("%.2f", figures[0].value/better)
		b.ReportMetric(figures[0].value/better, unit+"-ratio")
	}
	if results.rows[kind] == nil {
		results.kinds = append(results.kinds, kind)
	}
	results.rows[kind] = append(results.rows[kind], "| "+strings.Join(append(cells, ratio), " | ")+" |\n")
}

func (t *table) String() string {
	if len(t.kinds) == 0 {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "| what | of | sandbox-audio | PulseAudio %s | PipeWire %s | ours / the better |\n|---|---|---|---|---|---|\n", version("pulseaudio"), version("pipewire"))
	for _, kind := range t.kinds {
		for _, row := range t.rows[kind] {
			s.WriteString(row)
		}
	}
	return s.String()
}

// version is that of a Debian package, without what Debian has added.
func version(name string) string {
	out, _ := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	v, _, _ := strings.Cut(string(out), "+")
	v, _, _ = strings.Cut(v, "-")
	return v
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return none
	}
	values = slices.Sorted(slices.Values(values))
	return values[len(values)*p/100]
}
