package templates

import (
	"strings"
	"testing"
)

// A value that is missing must not leave a hole in a file that decides who may do what.
func TestRender(t *testing.T) {
	whole := map[string]any{"OwnerName": "alice", "Owner": "#1000", "Helper": "alice-sandbox", "Entry": "/usr/local/lib/enter", "Devices": []string{"/usr/local/lib/enter @devices gpu"}}
	text, err := Render("sudoers", whole)
	if err != nil || !strings.Contains(string(text), "\n#1000 ALL=(alice-sandbox) NOPASSWD: /usr/local/lib/enter\n") ||
		!strings.HasSuffix(string(text), "\n#1000 ALL=(root) NOPASSWD: /usr/local/lib/enter @devices gpu\n") {
		t.Errorf("got %s, %v", text, err)
	}
	for key := range whole {
		part := map[string]any{}
		for k, v := range whole {
			if k != key {
				part[k] = v
			}
		}
		if text, err := Render("sudoers", part); err == nil {
			t.Errorf("without %s: %s", key, text)
		}
	}
	if _, err := Render("nothing", nil); err == nil {
		t.Error("a template that is not there was rendered")
	}
}
