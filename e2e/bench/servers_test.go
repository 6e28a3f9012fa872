package bench_test

import (
	"os"
	"path/filepath"
	"testing"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// server is one of those compared, running, with the load that is to be put on it.
type server struct {
	name      string
	unix, tcp string // its addresses
	pids      []int
	load      *generator
}

// servers starts fresh ones, so that what they hold is of this benchmark: ours first, with a device that keeps time and is silent, the twin of
// the others' null sinks.
func servers(b *testing.B, owner need.User) []*server {
	d := rig.StartSilent(b, owner)
	pulse, pipewire := rig.PulseAudio(b, owner), rig.PipeWire(b, owner)
	all := []*server{
		{name: "sandbox-audio", unix: d.Unix, tcp: d.TCP, pids: []int{d.Keeper, rig.Worker(d.Keeper)}},
		{name: pulse.Name, unix: pulse.Unix, tcp: pulse.TCP, pids: pulse.PIDs},
		{name: pipewire.Name, unix: pipewire.Unix, tcp: pipewire.TCP, pids: pipewire.PIDs[1:]}, // the first is the bus
	}
	self := executable(b)
	for _, s := range all {
		s.load = newGenerator(b, owner, self, s.unix)
		pin(b, 0, s.pids)
	}
	return all
}

// executable is this very program, where every user may execute it.
func executable(b *testing.B) string {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(rig.Binary(b)), "bench.test")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.WriteFile(path, program, 0o755); err != nil {
		b.Fatal(err)
	}
	return path
}
