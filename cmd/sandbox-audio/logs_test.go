package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"
)

// What programs have written is shown, but for what would steer the terminal, also across the ends of what is read at once.
func TestLogsShowNoControls(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	xdg.Reload()
	t.Cleanup(xdg.Reload)
	path := filepath.Join(dir, "sandbox-audio", "daemon.log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	var text, want strings.Builder
	for range 64 << 10 / 13 * 2 {
		text.WriteString("\té\x1b[2J\u009b2J\x9b \u202e\x7f\n")
		want.WriteString("\té?[2J?2J? ??\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := runLogs(&out, logsOptions{profile: "default"}, "daemon"); err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(out.String(), "\ufffd", "?"); got != want.String() {
		t.Errorf("shown: %.100q", got)
	}
}
