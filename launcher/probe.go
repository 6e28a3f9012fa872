package launcher

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/wayland"
	"sandbox-audio/launcher/x11"
)

// probeArg has the entry program look around as the helper; what follows are paths that must be closed to it.
const probeArg = "@probe"

// probe is what the helper finds. It is the helper's word, good for advice and for nothing else.
type probe struct {
	Open    []string `json:"open"`    // of the paths that must be closed
	Devices []string `json:"devices"` // below /dev that it can open and should not
	Cameras []string `json:"cameras"` // that it can open
	Closed  []string `json:"closed"`  // render nodes of graphics cards that it cannot open
	Bus     string   `json:"bus"`     // what is wrong with its session bus; empty for nothing
	X11     string   `json:"x11"`     // with the X server; "none" where there is none
	Wayland string   `json:"wayland"`
	Conf    string   `json:"conf"`    // the PulseAudio client configuration in force
	Servers string   `json:"servers"` // that it names
	Others  []string `json:"others"`  // further client configurations, of sandboxes within
	Wrapped []string `json:"wrapped"` // programs that are links to firejail
}

const probeWait = 3 * time.Second // for a display or a bus to answer

// lookAround is the entry program's part of a doctor's visit.
func lookAround(closed []string) probe {
	ctx, cancel := context.WithTimeout(context.Background(), probeWait)
	defer cancel()
	home := os.Getenv("HOME")
	p := probe{Bus: tryBus(), X11: tryX11(ctx), Wayland: tryWayland(ctx)}
	for _, path := range closed {
		if unix.Access(path, unix.R_OK) == nil || unix.Access(path, unix.X_OK) == nil {
			p.Open = append(p.Open, path)
		}
	}
	for _, pattern := range []string{"/dev/snd/pcm*", "/dev/snd/control*", "/dev/input/event*"} {
		open, _ := tryNodes(pattern)
		p.Devices = append(p.Devices, open...)
	}
	p.Cameras, _ = tryNodes(deviceNodes[webcam])
	_, p.Closed = tryNodes(deviceNodes[gpu])
	// As libpulse looks: the old folder goes before the new one.
	for _, path := range []string{os.Getenv("PULSE_CLIENTCONFIG"), home + "/.pulse/client.conf", filepath.Join(home, clientConf), "/etc/pulse/client.conf"} {
		if text, err := os.ReadFile(path); err == nil {
			p.Conf, p.Servers = path, confValue(string(text), "default-server")
			break
		}
	}
	p.Others, _ = filepath.Glob(home + "/.var/app/*/config/pulse/client.conf")
	if own := home + "/.config/firejail/pulse/client.conf"; unix.Access(own, unix.R_OK) == nil {
		p.Others = append(p.Others, own)
	}
	for dir := range strings.SplitSeq(helperPath, ":") {
		names, _ := filepath.Glob(dir + "/*")
		for _, name := range names {
			if to, err := os.Readlink(name); err == nil && filepath.Base(to) == "firejail" {
				p.Wrapped = append(p.Wrapped, name)
			}
		}
	}
	return p
}

// tryNodes divides devices into those that can be opened for reading and the others.
func tryNodes(pattern string) (open, closed []string) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		if unix.Access(name, unix.R_OK) == nil {
			open = append(open, name)
		} else {
			closed = append(closed, name)
		}
	}
	return open, closed
}

// confValue is the value of the last line that sets a key in a configuration of PulseAudio's (pulse-client.conf(5)).
func confValue(text, key string) (value string) {
	for line := range strings.Lines(text) {
		name, v, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(name) == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

func tryBus() string {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		return "none"
	}
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		return err.Error()
	}
	bus.Close()
	return ""
}

func tryX11(ctx context.Context) string {
	name := os.Getenv("DISPLAY")
	if name == "" {
		return "none"
	}
	d, err := x11.ParseDisplay(name)
	var key x11.Key
	if err == nil && os.Getenv("XAUTHORITY") != "" {
		key, err = x11.ReadKey(os.Getenv("XAUTHORITY"), d)
	}
	if err == nil {
		var conn *x11.Conn
		if conn, err = x11.Dial(ctx, d, key); err == nil {
			err = conn.Close()
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func tryWayland(ctx context.Context) string {
	path := wayland.SocketPath(os.Getenv)
	if path == "" {
		return "none"
	}
	if _, err := wayland.Connect(ctx, path); err != nil {
		return err.Error()
	}
	return ""
}

// askHelper becomes the helper and looks around. notes are what run told the owner.
func (p *Profile) askHelper(owner Account, config Config, environ []string, closed []string) (seen probe, notes []string, err error) {
	text, err := p.output(Request{Argv: slices.Concat([]string{p.Entry, probeArg}, closed), Environ: environ}, owner, config, 64<<10, func(note string) { notes = append(notes, note) })
	if err != nil {
		return seen, notes, err
	}
	return seen, notes, json.Unmarshal(text, &seen)
}
