package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Test compiles the tests of the Go package pkg (an import path), runs those that match pattern in the guest as root, and
// reports each of them, skipped ones too, as a subtest of t. flags are the tests' own. No match fails t.
func (g *Guest) Test(t *testing.T, pkg, pattern string, flags ...string) {
	t.Helper()
	binary := strings.ReplaceAll(pkg, "/", "_") + ".test"
	if _, err := os.Stat(g.Shared(binary)); err != nil { // once for a guest
		build := exec.Command("go", "test", "-c", "-buildvcs=false", "-o", g.Shared(binary), pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go test -c %s: %v\n%s", pkg, err, out)
		}
	}
	r := g.Run(t, fmt.Sprintf("cd /tmp && /job/%[1]s -test.v -test.run %[2]s %[3]s", binary, quote(pattern), quote(flags...)))
	verdicts := regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(`).FindAllStringSubmatch(r.Output, -1)
	for _, v := range verdicts {
		t.Run(v[2], func(t *testing.T) {
			if v[1] == "SKIP" {
				t.Skip("skipped in the guest:\n" + about(v[2], r.Output))
			}
			if v[1] == "FAIL" {
				t.Error("failed in the guest:\n" + about(v[2], r.Output))
			}
		})
	}
	if len(verdicts) == 0 || r.ExitCode != 0 && !t.Failed() {
		t.Errorf("status %d of %s, %d tests:\n%s", r.ExitCode, filepath.Base(pkg), len(verdicts), r.Output)
	}
}

// about is what a test said, up to where the next one begins.
func about(test, output string) string {
	_, said, _ := strings.Cut(output, "=== RUN   "+test+"\n")
	if end := regexp.MustCompile(`(?m)^(=== RUN   [^/\n]+|PASS|FAIL)$`).FindStringIndex(said); end != nil {
		said = said[:end[0]]
	}
	return said
}

// quote is words for a shell.
func quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
