package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Methods are the ways to become the helper, as --method says them. All but su go by a rule of the system's administrator: sudo
// by the one that setup made, doas by one in doas.conf(5), run0 by polkit, which mostly asks for a password.
var Methods = []string{"auto", "sudo", "su", "run0", "doas"}

func validMethod(m string) bool { return m == "" || slices.Contains(Methods, m) }

func methodError(m string) error {
	return fmt.Errorf("method %q is none of %s", m, strings.Join(Methods, ", "))
}

// become decides how to become the helper: what the command line says, else what the configuration says, else su for
// root, which needs no rule, and for everyone else sudo, or doas where there is no sudo.
func (f *facts) become(asked, configured string) (method string, argv []string, err error) {
	if asked == "" {
		asked = configured
	}
	if !validMethod(asked) {
		return "", nil, methodError(asked)
	}
	root := f.owner.UID == 0
	if method = asked; asked == "" || asked == "auto" {
		switch {
		case root && (f.su != "" || f.sudo == ""):
			method = "su"
		case f.sudo == "" && f.doas != "":
			method = "doas"
		default:
			method = "sudo"
		}
	}
	if method == "su" && !root {
		return "", nil, errors.New("su would ask for the helper's password, which it has none of; leave --method su to root")
	}
	path := map[string]string{"sudo": f.sudo, "su": f.su, "doas": f.doas, "run0": f.run0}[method]
	if path == "" {
		_, err := tool(method)
		return "", nil, err
	}
	switch method {
	case "su":
		// The entry program in the shell's place gets what follows the name as its arguments; no shell reads them.
		return method, []string{path, "-s", f.profile.Entry, "--", f.helper.Name}, nil
	case "doas":
		return method, []string{path, "-n", "-u", f.helper.Name, f.profile.Entry}, nil
	case "run0":
		return method, []string{path, "--user=" + f.helper.Name, "--background=", "--", f.profile.Entry}, nil
	}
	return method, []string{path, "-n", "-u", f.helper.Name, "--", f.profile.Entry}, nil
}

// rootsCommand is how the owner starts a command of root's that the rule allows.
func (f *facts) rootsCommand(argv []string) []string {
	if f.owner.UID == 0 {
		return argv
	}
	return slices.Concat([]string{cmp.Or(f.sudo, "sudo"), "-n", "--"}, argv)
}

// way is a command that becomes the helper.
type way struct {
	argv     []string
	env      []string // beside what every way gets
	terminal bool     // it asks there
}

// asking is how to become the helper when the way without a password was refused: the same at the terminal, if there is
// one; else sudo with the owner's askpass program, or polkit's agent on the desktop. ok is false when nobody can be asked.
func (p *Plan) asking(terminal bool, getenv func(string) string) (w way, ok bool) {
	if p.Method != "sudo" && p.Method != "doas" {
		return w, false // su asks root for nothing, and run0 has asked
	}
	if terminal {
		argv := slices.DeleteFunc(slices.Clone(p.Enter), func(arg string) bool { return arg == "-n" })
		return way{argv: argv, terminal: true}, true
	}
	for _, name := range []string{"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "HOME"} {
		if value := getenv(name); value != "" {
			w.env = append(w.env, name+"="+value)
		}
	}
	entry := p.Enter[len(p.Enter)-1]
	if askpass := getenv("SUDO_ASKPASS"); p.Method == "sudo" && askpass != "" {
		w.env = append(w.env, "SUDO_ASKPASS="+askpass)
		w.argv = []string{p.Enter[0], "-A", "-u", p.Helper.Name, "--", entry}
		return w, true
	}
	pkexec, err := tool("pkexec")
	if err != nil || getenv("DISPLAY")+getenv("WAYLAND_DISPLAY") == "" {
		return w, false // no agent without a desktop
	}
	w.argv = []string{pkexec, "--disable-internal-agent", "--user", p.Helper.Name, entry}
	return w, true
}

// enterAsking enters by a way that asks for a password, after the one without was refused.
func (r *running) enterAsking(refused error) (status int, err error) {
	w, ok := r.plan.asking(hasTerminal(), os.Getenv)
	if !ok {
		return StatusFailed, refused
	}
	r.asked = true
	if err = r.start(w); err == nil {
		status, err = r.enter()
	}
	if err != nil {
		return StatusFailed, fmt.Errorf("%w; asked for a password, by %s: %w", refused, w.argv[0], err)
	}
	return status, nil
}
