package rig

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/e2e/need"
)

// Peer is another sound server, an owner's own, with a silent sink "out" of 48 kHz stereo that keeps time.
type Peer struct {
	Name      string
	Unix, TCP string    // its addresses
	PIDs      []int     // of its processes, while it runs
	Began     time.Time // when the first of them was started, the bus aside

	Env []string // that its owner's programs have, and find it by

	t     testing.TB
	owner need.User
	argvs [][]string // the processes, in the order in which they are started
	stop  func()
}

// PulseAudio starts one as Debian sets it up, without hardware and desktop, until t ends.
func PulseAudio(t testing.TB, owner need.User) *Peer {
	t.Helper()
	need.Packages(t, "pulseaudio", "pulseaudio-utils")
	p := newPeer(t, owner, "PulseAudio")
	_, port, _ := strings.Cut(p.TCP, "127.0.0.1:")
	script := p.file("bench.pa", `load-module module-device-restore
load-module module-stream-restore
load-module module-augment-properties
load-module module-native-protocol-unix auth-anonymous=1
load-module module-native-protocol-tcp listen=127.0.0.1 port=`+port+` auth-anonymous=1
load-module module-null-sink sink_name=out rate=48000 channels=2 format=s16le
load-module module-default-device-restore
load-module module-intended-roles
load-module module-suspend-on-idle
load-module module-position-event-sounds
load-module module-role-cork
load-module module-filter-heuristics
load-module module-filter-apply
set-default-sink out
`)
	p.argvs = [][]string{{"pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr", "-F", script}}
	p.Start()
	return p
}

// PipeWire starts PipeWire, its session manager and its PulseAudio server, until t ends.
func PipeWire(t testing.TB, owner need.User) *Peer {
	t.Helper()
	need.Packages(t, "pipewire", "pipewire-pulse", "wireplumber", "dbus-daemon", "pulseaudio-utils")
	p := newPeer(t, owner, "PipeWire")
	p.file("config/pipewire/pipewire.conf.d/out.conf", `context.properties = { default.clock.rate = 48000 }
context.objects = [ { factory = adapter args = { factory.name = support.null-audio-sink node.name = out node.description = out
  media.class = Audio/Sink audio.position = [ FL FR ] object.linger = true monitor.channel-volumes = true } } ]
`)
	p.file("config/pipewire/pipewire-pulse.conf.d/tcp.conf", `pulse.properties = { server.address = [ { address = "unix:native" max-clients = 1024 }
  { address = "`+p.TCP+`" max-clients = 1024 client.access = "unrestricted" } ] }
`)
	p.file("config/wireplumber/bluetooth.lua.d/51-none.lua", "bluez_monitor.enabled = false\n") // without which it ends where there is no logind
	p.argvs = [][]string{{"dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path=" + p.run() + "/bus"}, {"pipewire"}, {"wireplumber"}, {"pipewire-pulse"}}
	p.Start()
	return p
}

func newPeer(t testing.TB, owner need.User, name string) *Peer {
	dir := Folder(t, owner)
	p := &Peer{Name: name, Unix: "unix:" + dir + "/run/pulse/native", TCP: "tcp:127.0.0.1:" + strconv.Itoa(FreePort(t)), t: t, owner: owner, stop: func() {}}
	p.Env = []string{"XDG_RUNTIME_DIR=" + dir + "/run", "XDG_CONFIG_HOME=" + dir + "/config", "XDG_STATE_HOME=" + dir + "/state", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + dir + "/run/bus"}
	for _, sub := range []string{"run", "config", "config/pipewire", "config/pipewire/pipewire.conf.d", "config/pipewire/pipewire-pulse.conf.d", "config/wireplumber", "config/wireplumber/bluetooth.lua.d", "state"} {
		if err := os.Mkdir(dir+"/"+sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir+"/"+sub, owner.UID, owner.GID); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *Peer) run() string { return p.Env[0][len("XDG_RUNTIME_DIR="):] }

// file writes a file for the server to read and returns its path.
func (p *Peer) file(name, text string) string {
	path := p.run() + "/../" + name
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// Start starts the server, after Stop too, and waits until its sink is there. Where that does not come to be it tries again: WirePlumber, started
// beside PipeWire, now and then never makes the sink the default.
func (p *Peer) Start() {
	p.t.Helper()
	for range 2 {
		p.launch()
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if p.lacks() == "" {
				return
			}
		}
		p.stop()
	}
	p.launch()
	need.Eventually(p.t, time.Minute, p.lacks)
}

func (p *Peer) launch() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.Began = time.Time{}
	var running []*exec.Cmd
	var said bytes.Buffer
	p.stop = func() {
		cancel()
		for _, cmd := range running {
			cmd.Wait()
		}
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", p.Name, said.String())
		}
		p.stop, p.PIDs = func() {}, nil
	}
	for _, argv := range p.argvs {
		cmd := p.owner.Command(ctx, p.Env, argv[0], argv[1:]...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		cmd.Stderr = &said
		if argv[0] != "dbus-daemon" && p.Began.IsZero() {
			p.Began = time.Now()
		}
		if err := cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		running, p.PIDs = append(running, cmd), append(p.PIDs, cmd.Process.Pid)
		if argv[0] == "dbus-daemon" {
			need.Eventually(p.t, time.Minute, func() string {
				if _, err := os.Stat(p.run() + "/bus"); err != nil {
					return err.Error()
				}
				return ""
			})
		}
	}
}

// lacks is what keeps the server from being ready.
func (p *Peer) lacks() string {
	c, err := native.Dial(p.t.Context(), p.Unix, "test")
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	var info native.ServerInfo
	if err := c.Call(native.OpGetServerInfo, nil, &info); err != nil {
		return err.Error()
	}
	if info.DefaultSink != "out" {
		return p.Name + "'s sink is " + info.DefaultSink
	}
	return ""
}

// Stop ends the server.
func (p *Peer) Stop() { p.stop() }
