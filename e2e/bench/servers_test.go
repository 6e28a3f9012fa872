package bench_test

import (
	"testing"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// server is one of those compared, running.
type server struct {
	name string
	unix string // its address
	pids []int
}

// ours starts the daemon with a device that keeps time and is silent, the twin of PulseAudio's null sink.
func ours(b *testing.B, owner, helper need.User) server {
	d := rig.Start(b, owner, "--device", "null", "--allow", helper.Name)
	return server{"sandbox-audio", d.Unix, []int{d.Keeper, rig.Worker(d.Keeper)}}
}

// pulse starts a PulseAudio of owner's own, until b ends.
func pulse(b *testing.B, owner need.User) server {
	p := rig.PulseAudio(b, owner)
	return server{p.Name, p.Unix, p.PIDs}
}
