// Package arrows_test holds the one test about the repository as a whole: which package may import which.
package arrows_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is every import between our own packages that is allowed, and why. Go forbids cycles; this forbids shortcuts.
var arrows = map[string]struct {
	to  []string
	why string
}{
	"cmd/sandbox-audio":            {[]string{"launcher", "templates", "holder", "audiod", "audiod/device", "audiod/memory", "audiod/native", "audiod/pcm", "audiod/session"}, "the one place that knows both halves; session for the status it prints, device for the names of devices, memory for what can be said of the microphone, pcm for volumes, templates for the manual"},
	"launcher":                     {[]string{"templates", "holder", "launcher/x11", "launcher/wayland", "launcher/desktopfile", "launcher/gvdb", "launcher/loopback", "launcher/peercred"}, "the launcher reaches audiod only as another process, so that it carries none of its code's rights"},
	"launcher/wayland":             {[]string{"launcher/peercred"}, "the Wayland protocol, as far as passing on goes"},
	"launcher/x11":                 {[]string{"launcher/peercred"}, "the X protocol, as far as keys go"},
	"holder":                       {[]string{"sockdiag"}, "who listens on an address, for the daemon that finds it taken and the launcher that verifies it"},
	"sockdiag":                     {nil, "a leaf: what the kernel says about a TCP socket"},
	"templates":                    {nil, "files and their embedding"},
	"audiod":                       {[]string{"audiod/bridge", "holder", "audiod/loop", "audiod/policy", "audiod/device", "audiod/mixer", "audiod/memory", "audiod/ask", "audiod/realtime", "audiod/reserve", "audiod/sessionbus", "audiod/pcm", "audiod/session"}, "assembly: it makes the parts and hands them to each other"},
	"audiod/session":               {[]string{"audiod/native", "audiod/policy", "audiod/mixer", "audiod/memory", "audiod/loop", "audiod/pcm"}, "sound flows session, mixer, device; no session knows the device"},
	"audiod/mixer":                 {[]string{"audiod/device", "audiod/loop", "audiod/pcm"}, "the mixer knows no protocol: its way back is mixer.Listener"},
	"audiod/bridge":                {[]string{"audiod/device", "audiod/native", "audiod/pcm", "audiod/loop"}, "a device whose far end is another sound server, to which it speaks the protocol as a client"},
	"audiod/ask":                   {[]string{"audiod/sessionbus"}, "a question on the owner's desktop, asked in a process of its own"},
	"audiod/reserve":               {[]string{"audiod/sessionbus"}, "who of the desktop's programs has a sound card"},
	"audiod/sessionbus":            {nil, "a leaf: the way to the owner's desktop"},
	"audiod/realtime":              {nil, "a leaf: a thread's place on the processor, by limits or RealtimeKit"},
	"audiod/ask/asktest":           {nil, "a desktop for tests"},
	"audiod/device":                {[]string{"audiod/loop", "audiod/pcm"}, "a device is pulled by the mixer and calls nobody"},
	"audiod/device/devicetest":     {[]string{"audiod/device", "audiod/loop", "audiod/pcm"}, "the card ticked by hand, and what every device must pass"},
	"audiod/memory":                {[]string{"audiod/loop", "audiod/pcm"}, "a leaf: what is known again after a restart"},
	"audiod/native":                {[]string{"audiod/pcm"}, "a leaf: the only code that sees wire bytes, in the words of pcm"},
	"audiod/policy":                {[]string{"sockdiag"}, "who is calling"},
	"audiod/loop":                  {nil, "a leaf: descriptors and timers"},
	"audiod/pcm":                   {nil, "a leaf: arithmetic"},
	"launcher/desktopfile":         {nil, "a leaf: the text of desktop entries and lists of default applications"},
	"launcher/gvdb":                {nil, "a leaf: the files of dconf databases"},
	"launcher/loopback":            {nil, "a leaf: one device of the kernel's"},
	"launcher/peercred":            {nil, "a leaf: who is at the other end of a socket"},
	"launcher/wayland/waylandtest": {[]string{"launcher/peercred"}, "a compositor for tests"},
	"launcher/launchertest":        {[]string{"launcher", "launcher/loopback"}, "help for the tests of those who use the launcher"},
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const module = "sandbox-audio/"
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from, ours := strings.CutPrefix(words[0], module)
		if !ours || from == "e2e" || strings.HasPrefix(from, "e2e/") {
			continue // tests of the whole may look at everything
		}
		allowed, known := arrows[from]
		if !known {
			t.Errorf("package %s is not in the list: say what it may import, and why", from)
			continue
		}
		seen++
		for _, to := range words[1:] {
			if to, ours := strings.CutPrefix(to, module); ours && !slices.Contains(allowed.to, to) {
				t.Errorf("%s imports %s; it may not: %s", from, to, allowed.why)
			}
		}
	}
	if seen != len(arrows) {
		t.Errorf("%d of %d packages of the list were seen", seen, len(arrows))
	}
}
