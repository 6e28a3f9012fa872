package launcher

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Bounds are what a profile gives its programs besides sound: what they show themselves on, how far they may go, and what
// they start with.
type Bounds struct {
	Display     string            `toml:"display,omitempty" json:"display,omitempty"`           // as --display takes it; empty is auto
	X11         string            `toml:"x11,omitempty" json:"x11,omitempty"`                   // as --x11 does; empty is trusted
	TTY         string            `toml:"tty,omitempty" json:"tty,omitempty"`                   // as --tty does; empty is auto
	Network     string            `toml:"network,omitempty" json:"network,omitempty"`           // host or off; empty is host
	NoNewPrivs  bool              `toml:"no_new_privs,omitempty" json:"no_new_privs,omitempty"` // sudo and its like do not work
	Nice        int               `toml:"nice,omitzero" json:"nice,omitempty"`                  // at least so nice, 0 to 19 (nice(1))
	Memory      string            `toml:"memory,omitempty" json:"memory,omitempty"`             // at most, like "2G"; empty is no limit
	Processes   int               `toml:"processes,omitzero" json:"processes,omitempty"`        // and threads, at most; 0 is no limit
	CPU         int               `toml:"cpu_percent,omitzero" json:"cpu_percent,omitempty"`    // of one processor, at most; 0 is no limit
	Groups      []string          `toml:"groups,omitempty" json:"groups,omitempty"`             // that the helper must be in, by root's leave
	Umask       string            `toml:"umask,omitempty" json:"umask,omitempty"`               // octal; empty is the owner's
	Environment map[string]string `toml:"environment,omitempty" json:"environment,omitempty"`   // beside what run gives
}

// NetworkOff is what Bounds.Network says for programs that reach no network, not even the machine's own 127.0.0.1.
const (
	NetworkHost = "host"
	NetworkOff  = "off"
)

func (b *Bounds) check() *valueError {
	for _, word := range []struct {
		key, value string
		of         []string
	}{
		{"display", b.Display, []string{DisplayAuto, DisplayWayland, DisplayX11, DisplayNone}},
		{"x11", b.X11, []string{X11Trusted, X11Untrusted, X11Nested}},
		{"tty", b.TTY, []string{TTYAuto, TTYYes, TTYNo}},
		{"network", b.Network, []string{NetworkHost, NetworkOff}},
	} {
		if word.value != "" && !slices.Contains(word.of, word.value) {
			return &valueError{toml.Key{word.key}, fmt.Errorf("%s %q is none of %s", word.key, word.value, strings.Join(word.of, ", "))}
		}
	}
	if b.Nice < 0 || b.Nice > 19 {
		return &valueError{toml.Key{"nice"}, fmt.Errorf("nice %d is not from 0 to 19", b.Nice)}
	}
	if _, err := b.umask(0); err != nil {
		return &valueError{toml.Key{"umask"}, err}
	}
	if _, key, err := b.limits(); err != nil {
		return &valueError{toml.Key{key}, err}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Environment)) {
		if err := mayGive(name, b.Environment[name]); err != nil {
			return &valueError{toml.Key{"environment"}, err}
		}
	}
	return nil
}

// umask is the programs' umask where the owner's is own.
func (b *Bounds) umask(own int) (int, error) {
	if b.Umask == "" {
		return own, nil
	}
	mask, err := strconv.ParseUint(b.Umask, 8, 16)
	if err != nil || mask > 0o777 {
		return 0, fmt.Errorf("umask %q is not octal, like \"077\"", b.Umask)
	}
	return int(mask), nil
}

// given are the variables that run itself gives; with a star at the end, every one that begins so.
var given = []string{
	"HOME", "USER", "LOGNAME", "SHELL", "PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
	"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "PULSE_*", "SANDBOX_AUDIO_*", "LISTEN_*",
}

// variableName is what the name of a variable is made of; it begins with no digit.
const variableName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"

// mayGive refuses variables that a profile has no say in.
func mayGive(name, value string) error {
	switch {
	case name == "" || strings.Trim(name, variableName) != "" || name[0] <= '9':
		return fmt.Errorf("%q is no name of a variable", name)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("the value of %s holds a zero byte", name)
	case matches(given, name):
		return fmt.Errorf("%s is for run to set", name)
	case strings.HasPrefix(name, "LD_"):
		return fmt.Errorf("%s changes the code of every program; set it in a script of the helper's, around the one that needs it", name)
	}
	return nil
}

// extend adds the profile's own variables to an environment, over those of the same name.
func (b *Bounds) extend(env []string) []string {
	env = without(env, slices.Collect(maps.Keys(b.Environment))...)
	for name, value := range b.Environment {
		env = append(env, name+"="+value)
	}
	return env
}

// bound completes the plan with what the profile says.
func (f *facts) bound(p *Plan, b *Bounds) (err error) {
	if p.request.Umask, err = b.umask(f.umask); err != nil {
		return err
	}
	p.request.Env = b.extend(p.request.Env)
	if p.request.Aside {
		return nil
	}
	if err := f.groups(b.Groups); err != nil {
		return err
	}
	p.request.Confined = confinement{NoNetwork: b.Network == NetworkOff, NoNewPrivs: b.NoNewPrivs, Nice: b.Nice}
	l, _, err := b.limits()
	if err != nil {
		return err
	}
	if err := f.sockets(p); err != nil {
		return err
	}
	return f.limit(p, l)
}

// groups refuses a run without the groups that the profile promises.
func (f *facts) groups(wanted []string) error {
	for _, name := range wanted {
		if !slices.Contains(f.profile.Groups, name) {
			return fmt.Errorf("the helper %s is not in the group %s, as the profile says; put it there with: sandbox-audio setup --profile %s", f.profile.Helper, name, f.profile.Name)
		}
	}
	return nil
}

// sockets refuses what programs without a network could not reach.
func (f *facts) sockets(p *Plan) error {
	if !p.request.Confined.NoNetwork {
		return nil
	}
	if !f.socketDir {
		return fmt.Errorf("network = off leaves sound no way but the socket %s, and its directory is gone, as after a reboot; bring it back with: sandbox-audio setup --profile %s", f.profile.Socket, f.profile.Name)
	}
	if p.display.x11 != nil && !strings.HasPrefix(p.display.x11.Display, ":") && !strings.HasPrefix(p.display.x11.Display, "unix:") {
		return errors.New("the X display " + printable(p.display.x11.Display) + " is reached over the network, which the profile has off; run it with: --display none")
	}
	return nil
}
