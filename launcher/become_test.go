package launcher

import (
	"slices"
	"testing"
)

// Who can be asked for a password decides which program asks.
func TestAsking(t *testing.T) {
	sudo := []string{"/usr/bin/sudo", "-n", "-u", "alice-sandbox", "--", entryPath}
	desktop := map[string]string{"DISPLAY": ":0", "XAUTHORITY": "/x", "SECRET": "1"}
	askpass := map[string]string{"DISPLAY": ":0", "SUDO_ASKPASS": "/usr/bin/ask"}
	pkexec, err := tool("pkexec")
	byPolkit := []string{pkexec, "--disable-internal-agent", "--user", "alice-sandbox", entryPath}
	if err != nil {
		byPolkit = nil
	}
	for name, c := range map[string]struct {
		method   string
		enter    []string
		terminal bool
		env      map[string]string
		want     []string
	}{
		"sudo at a terminal":   {"sudo", sudo, true, askpass, []string{"/usr/bin/sudo", "-u", "alice-sandbox", "--", entryPath}},
		"doas at a terminal":   {"doas", []string{"/usr/bin/doas", "-n", "-u", "alice-sandbox", entryPath}, true, nil, []string{"/usr/bin/doas", "-u", "alice-sandbox", entryPath}},
		"sudo with an askpass": {"sudo", sudo, false, askpass, []string{"/usr/bin/sudo", "-A", "-u", "alice-sandbox", "--", entryPath}},
		"sudo on a desktop":    {"sudo", sudo, false, desktop, byPolkit},
		"sudo from nowhere":    {"sudo", sudo, false, nil, nil},
		"su":                   {"su", []string{"/usr/bin/su"}, true, askpass, nil},
		"run0":                 {"run0", []string{"/usr/bin/run0"}, true, askpass, nil},
	} {
		p := &Plan{Method: c.method, Enter: c.enter, Helper: Account{Name: "alice-sandbox"}}
		w, ok := p.asking(c.terminal, func(name string) string { return c.env[name] })
		if !ok {
			w.argv = nil
		}
		if !slices.Equal(w.argv, c.want) || ok != (c.want != nil) || w.terminal != (ok && c.terminal) {
			t.Errorf("%s: %q, %v", name, w.argv, ok)
		}
		if slices.Contains(w.env, "SECRET=1") {
			t.Errorf("%s passes %q", name, w.env)
		}
	}
}
