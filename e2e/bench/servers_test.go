package bench_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
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

// script is Debian's default.pa without hardware and desktop. The sink runs at the rate of ours.
const script = `load-module module-device-restore
load-module module-stream-restore
load-module module-augment-properties
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=out rate=48000 channels=2 format=s16le
load-module module-default-device-restore
load-module module-intended-roles
load-module module-suspend-on-idle
load-module module-position-event-sounds
load-module module-role-cork
load-module module-filter-heuristics
load-module module-filter-apply
set-default-sink out
`

// pulse starts a PulseAudio of owner's own, until b ends. It resamples as Debian sets it up.
func pulse(b *testing.B, owner need.User) server {
	need.Packages(b, "pulseaudio")
	dir := rig.Folder(b, owner)
	if err := os.WriteFile(dir+"/bench.pa", []byte(script), 0o644); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := owner.Command(ctx, []string{"XDG_RUNTIME_DIR=" + dir + "/run", "XDG_CONFIG_HOME=" + dir + "/config", "XDG_STATE_HOME=" + dir + "/state"},
		"pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr", "-F", dir+"/bench.pa")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		cmd.Wait()
		if b.Failed() {
			b.Logf("PulseAudio said:\n%s", said.String())
		}
	})
	s := server{"PulseAudio", "unix:" + dir + "/run/pulse/native", []int{cmd.Process.Pid}}
	need.Eventually(b, 10*time.Second, func() string {
		c, err := native.Dial(b.Context(), s.unix, "bench")
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		var info native.ServerInfo
		if err := c.Call(native.OpGetServerInfo, nil, &info); err != nil {
			return err.Error()
		}
		if info.DefaultSink != "out" {
			return "PulseAudio's sink is " + info.DefaultSink
		}
		return ""
	})
	return s
}
