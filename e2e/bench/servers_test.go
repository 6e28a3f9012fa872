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
	probe     *generator // another program
}

// servers starts fresh ones, so that what they hold is of this benchmark: ours first, with a device that keeps time and is silent, the twin of
// the others' null sinks.
func servers(b *testing.B, owner need.User) []*server {
	pulse, pipewire := rig.PulseAudio(b, owner), rig.PipeWire(b, owner)
	all := []*server{
		ours(b, owner),
		{name: pulse.Name, unix: pulse.Unix, tcp: pulse.TCP, pids: pulse.PIDs},
		{name: pipewire.Name, unix: pipewire.Unix, tcp: pipewire.TCP, pids: pipewire.PIDs[1:]}, // the first is the bus
	}
	for _, s := range all {
		s.ready(b, owner)
	}
	return all
}

func ours(b *testing.B, owner need.User, args ...string) *server {
	d := rig.StartSilent(b, owner, args...)
	return &server{name: "sandbox-audio", unix: d.Unix, tcp: d.TCP, pids: []int{d.Keeper, rig.Worker(d.Keeper)}}
}

// ready gives s its processor, and the load on another.
func (s *server) ready(b *testing.B, owner need.User) {
	s.load = newGenerator(b, owner, executable(b), s.unix)
	s.probe = newGenerator(b, owner, executable(b), s.unix)
	pin(b, 0, s.pids)
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
