package audiod

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func init() {
	roles["role:slim"] = func([]string) {
		slim := slimmer()
		before := filePages()
		slim()
		fmt.Println(before, filePages())
	}
}

// filePages is how many kilobytes of files this process has in memory.
func filePages() (kb int) {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "\nRssFile:")
	fmt.Sscan(rest, &kb)
	return kb
}

// A process that has given back its pages goes on as if nothing had happened, with less of them.
func TestSlim(t *testing.T) {
	var before, after int
	line := spawn(t, 0, nil, "role:slim").line()
	most := 0.67
	if raced {
		most = 1.1 // linked as it is loaded
	}
	if _, err := fmt.Sscan(line, &before, &after); err != nil || after == 0 || float64(after) > most*float64(before) {
		t.Errorf("it said %q", line)
	}
}
