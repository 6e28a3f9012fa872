// Package clients_test has the programs that people use play through the real daemon, as the real users it is made for, and
// listens to what comes out.
package clients_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "desktop" {
		desktop(os.Args[2])
		return
	}
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}

// people are a daemon's owner and those around it.
type people struct{ owner, helper, member, stranger need.User }

// start runs a daemon with an allowed user and an allowed group.
func start(t *testing.T, args ...string) (*rig.Daemon, people) {
	t.Helper()
	need.Packages(t, "pulseaudio-utils")
	group := need.NewGroup(t)
	who := people{owner: need.NewUser(t), helper: need.NewUser(t), member: need.NewUser(t, group), stranger: need.NewUser(t)}
	return rig.Start(t, who.owner, append(args, "--allow", who.helper.Name, "--allow", "@"+group)...), who
}

// run runs a client of the daemon at addr to its end.
func run(t *testing.T, u need.User, addr string, argv ...string) (output string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out, err := client(ctx, u, addr, argv...).CombinedOutput()
	return string(out), err
}

// client is a client of the daemon at addr, which no configuration of this machine leads elsewhere.
func client(ctx context.Context, u need.User, addr string, argv ...string) *exec.Cmd {
	return u.Command(ctx, []string{"PULSE_SERVER=" + addr, "PULSE_CLIENTCONFIG=/dev/null"}, argv[0], argv[1:]...)
}

// must runs a client that has to succeed.
func must(t *testing.T, u need.User, addr string, argv ...string) string {
	t.Helper()
	out, err := run(t, u, addr, argv...)
	if err != nil {
		t.Fatalf("%s as %s on %s: %v\n%s", strings.Join(argv, " "), u.Name, addr, err, out)
	}
	return out
}

// heard is what the daemon has played since its frame from, without the silence around it.
func heard(t *testing.T, d *rig.Daemon, from int) sound.Sound {
	t.Helper()
	s := d.Heard(t)
	s, _ = s.Cut(from, s.Frames()).Trim(-60)
	return s
}

// frames is how much the daemon has played.
func frames(d *rig.Daemon) int {
	s, err := sound.ReadWAV(d.WAV)
	if err != nil {
		return 0 // nothing yet
	}
	return s.Frames()
}

// inner is s without the ends, where a tone that begins and ends at full strength rings in a resampler.
func inner(s sound.Sound) sound.Sound { return s.Cut(s.Rate/50, s.Frames()-s.Rate/50) }

// file is a WAV file of s that everybody may read.
func file(t *testing.T, s sound.Sound) string {
	t.Helper()
	path := rig.Folder(t, need.RootUser()) + "/material.wav"
	if err := s.WriteWAV(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// lasts fails t unless s, which came in at rate, is as long as want: nothing is missing at its ends. A tone that begins at full strength rings
// in a resampler for some frames of the lower rate.
func lasts(t *testing.T, s sound.Sound, rate int, want time.Duration) {
	t.Helper()
	within := time.Millisecond + 16*time.Second/time.Duration(min(rate, s.Rate))
	if off := s.Duration() - want; off.Abs() > within {
		t.Errorf("%v of sound instead of %v", s.Duration(), want)
	}
}

func has(t *testing.T, output string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(output, w) {
			t.Errorf("no %q in:\n%s", w, output)
		}
	}
}

func lines(s string) []string {
	return slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return l == "" })
}
