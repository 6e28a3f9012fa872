package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sandbox-audio/holder"
)

// Finding is one line of a doctor's report.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // fine, note or trouble
	Says   string `json:"says"`
	Advice string `json:"advice,omitempty"` // mostly a command to paste
	Fix    string `json:"fix,omitempty"`    // what Fix does about it: setup, home or none
}

// States of a Finding. A note is what works and could be better.
const (
	Fine    = "fine"
	Note    = "note"
	Trouble = "trouble"
)

// What can be done about a Finding without asking: setup's repair, which needs root, and closing the owner's home.
const (
	FixSetup = "setup"
	FixHome  = "home"
)

// doctor is one visit. root is where /proc, /sys, /dev and /run are looked at.
type doctor struct {
	root    string
	owner   Account
	name    string
	profile *Profile
	environ []string
	found   []Finding
	told    []string // what else would be noted by a run
}

// Examine checks what a profile's sound, display and walls rest on, as far as the owner and, becoming it, the helper can see.
// It changes nothing.
func Examine(owner Account, profile string, environ []string) []Finding {
	d := &doctor{root: "/", owner: owner, name: profile, environ: environ}
	config, err := LoadConfig(profile)
	d.result("configuration", err, "it says nothing wrong", "correct it with an editor", "")
	d.ownersHome()
	d.kernel()
	d.card()
	d.realtime()
	d.session()
	if d.profile, err = FindProfile(owner, profile); err != nil {
		d.trouble("helper", err.Error(), d.setup(), FixSetup)
		return d.found
	}
	d.account()
	d.files()
	d.daemon()
	d.bounds(config)
	d.asHelper(config)
	return d.found
}

// FixOwnersHome closes the owner's home to others.
func FixOwnersHome(owner Account) error {
	st, err := os.Stat(owner.Home)
	if err != nil {
		return err
	}
	return os.Chmod(owner.Home, st.Mode().Perm()&^0o077)
}

// Sweep takes back what runs that were killed have lent.
func Sweep() error {
	l, err := newLender()
	if err != nil {
		return err
	}
	return l.sweep()
}

func (d *doctor) add(check, state, says, advice, fix string) {
	d.found = append(d.found, Finding{check, state, says, advice, fix})
}

func (d *doctor) fine(check, says string) { d.add(check, Fine, says, "", "") }
func (d *doctor) trouble(check, says, advice, fix string) {
	d.add(check, Trouble, says, advice, fix)
}

// result is fine without an error.
func (d *doctor) result(check string, err error, fine, advice, fix string) {
	if err != nil {
		d.trouble(check, err.Error(), advice, fix)
		return
	}
	d.fine(check, fine)
}

func (d *doctor) setup() string { return "sandbox-audio setup --profile " + d.name }

// read is a small file of the kernel's or the system's; empty when it is not there.
func (d *doctor) read(path string) string {
	text, _ := os.ReadFile(filepath.Join(d.root, path))
	return strings.TrimSpace(string(text))
}

func (d *doctor) glob(pattern string) []string {
	names, _ := filepath.Glob(filepath.Join(d.root, pattern))
	return names
}

func (d *doctor) ownersHome() {
	st, err := os.Stat(d.owner.Home)
	switch {
	case err != nil:
		d.trouble("your home", err.Error(), "", "")
	case st.Mode().Perm()&0o007 != 0:
		d.trouble("your home", fmt.Sprintf("others, the helper too, get into %s (%v)", d.owner.Home, st.Mode()), "chmod go-rwx "+d.owner.Home, FixHome)
	default:
		d.fine("your home", "others do not get in")
	}
}

// kernel looks at what a helper's programs may ask of the kernel.
func (d *doctor) kernel() {
	if d.read("proc/sys/dev/tty/legacy_tiocsti") == "1" {
		d.add("terminal", Note, "the kernel lets programs type into the terminal they hold (run never gives them yours)", "sudo sysctl dev.tty.legacy_tiocsti=0", "")
	} else {
		d.fine("terminal", "the kernel lets no program type into a terminal")
	}
	if name, to := namespacesClosed(d.root); name != "" {
		d.add("browsers' own sandboxes", Note, fmt.Sprintf("browsers cannot use namespaces (%s forbids it), nor can a profile with network = off", name), "sudo sysctl "+name+"="+to, "")
		return
	}
	d.fine("browsers' own sandboxes", "user namespaces are there for them")
}

// card looks at who holds the sound cards, and whether the owner's daemon may.
func (d *doctor) card() {
	nodes := d.glob("dev/snd/pcmC*p")
	if len(nodes) == 0 {
		d.add("sound card", Note, "there is none; sound goes nowhere", "lspci -nnk | grep -A3 -i audio", "")
		return
	}
	var closed []string
	for _, node := range nodes {
		if unix.Access(node, unix.R_OK|unix.W_OK) != nil {
			closed = append(closed, filepath.Base(node))
		}
	}
	switch {
	case len(closed) == 0:
		d.fine("sound card", "yours to open")
	case d.owner.UID == 0:
		d.fine("sound card", "for the service user to open")
	default:
		d.trouble("sound card", fmt.Sprintf("you may not open %s: the login on the seat has the right to it (an ACL), or group audio", strings.Join(closed, ", ")),
			"log in on the machine itself, or: sudo usermod -aG audio "+d.owner.Name+", and log in anew", "")
	}
	self, _ := os.Executable()
	for _, path := range d.glob("proc/asound/card*/pcm*p/sub*/status") {
		text, err := os.ReadFile(path)
		_, rest, held := strings.Cut(string(text), "owner_pid")
		line, _, _ := strings.Cut(rest, "\n")
		pid, convErr := strconv.Atoi(strings.Trim(line, " \t:"))
		if err != nil || !held || convErr != nil {
			continue
		}
		name := holder.ProgramName(pid)
		if name == filepath.Base(self) {
			continue
		}
		card := strings.Split(strings.TrimPrefix(path, filepath.Join(d.root, "proc/asound")+"/"), "/")[0]
		advice := fmt.Sprintf("kill %d", pid)
		switch name {
		case "pulseaudio":
			advice = "systemctl --user stop pulseaudio.socket pulseaudio.service"
		case "pipewire", "wireplumber", "pipewire-pulse":
			advice = "systemctl --user stop pipewire.socket pipewire-pulse.socket pipewire.service"
		}
		d.add("busy card", Note, fmt.Sprintf("%s is held by %s (process %d)", card, name, pid), advice, "")
		return
	}
	d.fine("busy card", "no other program holds one")
}

// realtime looks at whether the daemon's thread may come before others when the processors are busy: by a limit (getrlimit(2), RLIMIT_RTPRIO), or by
// RealtimeKit.
func (d *doctor) realtime() {
	const check = "busy processors"
	limit := ""
	for line := range strings.Lines(d.read("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max realtime priority"); ok {
			limit, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
		}
	}
	switch {
	case d.owner.UID == 0:
		d.fine(check, "root gives the daemon realtime priority, where it may")
	case limit != "" && limit != "0":
		d.fine(check, "you have a right to realtime priority (ulimit -r)")
	case len(d.glob("usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service")) > 0:
		d.fine(check, "rtkit gives the daemon realtime priority while you sit at the machine")
	default:
		d.add(check, Note, "sound may stutter while other programs keep all processors busy: the daemon gets no realtime priority",
			"sudo apt install rtkit, or: echo '"+d.owner.Name+" - rtprio 5' | sudo tee /etc/security/limits.d/sandbox-audio.conf, and log in anew", "")
	}
}

// session looks at whether the login the owner sits in is the one in front: the card's ACL goes with that (sd-login(3)).
func (d *doctor) session() {
	id := lookup(d.environ, "XDG_SESSION_ID")
	if id == "" || strings.Contains(id, "/") {
		return
	}
	text := d.read("run/systemd/sessions/" + id)
	if strings.Contains("\n"+text, "\nACTIVE=0") {
		d.trouble("login session", "it is not the one in front, so the sound card is not yours now", "loginctl activate "+id, "")
	} else if text != "" {
		d.fine("login session", "it is the one in front")
	}
}

func (d *doctor) account() {
	a, err := accountByName(d.profile.Helper)
	if err != nil {
		d.trouble("helper", fmt.Sprintf("%s: %v", d.profile.Helper, err), d.setup(), FixSetup)
		return
	}
	groups, err := d.profile.stray(a)
	switch {
	case err != nil:
		d.trouble("helper", err.Error(), "", "")
	case a.UID != d.profile.HelperUID || a.UID == 0 || a.UID == d.owner.UID:
		d.trouble("helper", fmt.Sprintf("%s has the uid %d, not %d as setup made it", a.Name, a.UID, d.profile.HelperUID), "", "")
	case len(groups) > 0:
		d.trouble("helper", fmt.Sprintf("%s is in the groups %s, which setup did not put it in", a.Name, strings.Join(groups, ", ")), d.setup(), FixSetup)
	case a.Shell != nologin():
		d.trouble("helper", fmt.Sprintf("%s can log in: its shell is %s", a.Name, a.Shell), d.setup(), FixSetup)
	default:
		d.fine("helper", fmt.Sprintf("%s (uid %d), in no group but its own and those of the profile", a.Name, a.UID))
	}
	if ownDir(d.profile.Home, d.profile.HelperUID, 0o700) {
		d.fine("helper's home", "only the helper gets in")
	} else {
		d.trouble("helper's home", d.profile.Home+" is not the helper's alone", d.setup(), FixSetup)
	}
}

// files looks at what setup made and everybody can see.
func (d *doctor) files() {
	st, err := os.Lstat(d.profile.Entry)
	there, readErr := os.ReadFile(d.profile.Entry)
	self, selfErr := os.ReadFile("/proc/self/exe")
	switch {
	case err != nil:
		d.trouble("entry program", err.Error(), d.setup(), FixSetup)
	case !rootsAlone(st):
		d.trouble("entry program", d.profile.Entry+" is not root's alone to change", d.setup(), FixSetup)
	case readErr == nil && selfErr == nil && !bytes.Equal(there, self):
		d.add("entry program", Note, "it is of another version than this program", d.setup(), FixSetup)
	default:
		d.fine("entry program", "root's alone to change, and of this version")
	}
	if _, err := os.Lstat(d.profile.Rule); d.profile.Rule != "" && errors.Is(err, fs.ErrNotExist) {
		d.trouble("sudo rule", d.profile.Rule+" is gone", d.setup(), FixSetup)
	} else {
		d.fine("sudo rule", "there")
	}
	daemon, err := accountByName(d.profile.daemonUser())
	if err == nil && ownDir(filepath.Dir(d.profile.Socket), daemon.UID, 0o755) && ownDir(d.profile.RuntimeDir, d.profile.HelperUID, 0o700) {
		d.fine("runtime directories", "there, below "+runDir)
	} else {
		d.trouble("runtime directories", fmt.Sprintf("%s and %s are not as setup makes them, as after a reboot", filepath.Dir(d.profile.Socket), d.profile.RuntimeDir), d.setup(), FixSetup)
	}
	if _, err := tool("dbus-daemon"); err != nil {
		d.add("session bus", Note, "dbus-daemon is not installed: programs do not find each other", "sudo apt install dbus", "")
	}
	for _, s := range d.profile.Shares {
		if ok, err := (&shareStep{&change{owner: d.owner, profile: d.profile}, s}).Check(); !ok && !errors.Is(err, fs.ErrPermission) {
			d.trouble("shared folder", s.Dir+" is not as share add makes it", d.setup(), FixSetup)
		}
	}
}

func rootsAlone(st fs.FileInfo) bool {
	uid, _ := fileOwner(st)
	return uid == 0 && st.Mode() == 0o755
}

// daemon looks at who holds the addresses of the owner's daemon, and where the owner's own programs look for sound.
func (d *doctor) daemon() {
	user, err := accountByName(d.profile.daemonUser())
	if err != nil {
		d.trouble("sound daemon", fmt.Sprintf("its user %s: %v", d.profile.daemonUser(), err), d.setup(), FixSetup)
		return
	}
	taken := false
	for _, addr := range []string{d.profile.unixAddr(), d.profile.tcpAddr()} {
		h, held, err := addressHolder(addr)
		if err == nil && held && !isDaemon(h, user.UID) && !ending(h.PID) {
			taken = true
			d.trouble("daemon's address", fmt.Sprintf("%s is held by %s, which is not your sound daemon", addr, h), "end that program, and run again", "")
		}
	}
	if !taken {
		d.fine("daemon's address", "nobody else holds it")
	}
	server := lookup(d.environ, "PULSE_SERVER")
	if server != "" && !slices.ContainsFunc(strings.Fields(server), func(s string) bool { return s == d.profile.unixAddr() || s == d.profile.tcpAddr() }) {
		d.add("PULSE_SERVER", Note, fmt.Sprintf("your own programs play to %s (the helper's do not)", printable(server)), "unset PULSE_SERVER", "")
	}
}

// bounds looks at whether the kernel can hold programs to what the profile says.
func (d *doctor) bounds(config Config) {
	if d.profile != nil {
		if err := (&facts{profile: d.profile}).groups(config.Groups); err != nil {
			d.trouble("groups", err.Error(), d.setup(), FixSetup)
		} else if ok, err := (&groupsStep{&change{profile: d.profile}}).Check(); err == nil && !ok {
			d.trouble("groups", "the helper is no longer in all of "+strings.Join(d.profile.Groups, ", "), d.setup(), FixSetup)
		}
	}
	if name, to := namespacesClosed(d.root); config.Network == NetworkOff && name != "" {
		d.trouble("network", fmt.Sprintf("the profile has it off, which the kernel does not let the helper have (%s forbids it): nothing is run", name), "sudo sysctl "+name+"="+to, "")
	} else if config.Network == NetworkOff {
		d.fine("network", "off, as the profile says")
	}
	l, _, err := config.limits()
	if err != nil || l == (limits{}) {
		return // a wrong value is told of already
	}
	f := facts{owner: d.owner, controllers: findControllers(d.root, d.owner.UID)}
	p := &Plan{Method: config.Method}
	if err := f.limit(p, l); err != nil {
		d.trouble("limits", err.Error(), "", "")
		return
	}
	d.told = p.Notes
	for _, note := range p.Notes {
		d.add("limits", Note, note, "log in to a system with systemd, or let processes = N bound how many there are", "")
	}
	if len(p.Notes) == 0 {
		d.fine("limits", "the kernel holds programs to them")
	}
}

// asHelper becomes the helper and looks at what it can reach.
func (d *doctor) asHelper(config Config) {
	closed := []string{d.owner.Home, loginDir(d.owner.UID)}
	seen, notes, err := d.profile.askHelper(d.owner, config, d.environ, closed)
	if err != nil {
		d.trouble("becoming the helper", err.Error(), d.setup(), FixSetup)
		return
	}
	d.fine("becoming the helper", "no password is asked for")
	for _, note := range notes {
		if slices.Contains(d.told, strings.TrimPrefix(note, "note: ")) {
			continue
		}
		d.trouble("run", strings.TrimPrefix(note, "note: "), "sandbox-audio run --dry-run true", "")
	}
	if len(seen.Open) > 0 {
		d.trouble("walls", fmt.Sprintf("the helper gets into %s", printable(strings.Join(seen.Open, ", "))), "chmod go-rwx "+strings.Join(seen.Open, " "), FixHome)
	} else {
		d.fine("walls", "the helper gets neither into your home nor into your session")
	}
	if !config.Webcam {
		seen.Devices = append(seen.Devices, seen.Cameras...)
	}
	if len(seen.Devices) > 0 {
		d.trouble("devices", fmt.Sprintf("the helper can open %s", printable(strings.Join(seen.Devices, ", "))), "ls -l "+printable(seen.Devices[0])+"; getfacl "+printable(seen.Devices[0]), "")
	} else {
		d.fine("devices", "the helper can open no sound card, no keyboard, and no camera that the profile does not name")
	}
	if wanted := config.deviceKinds(true); slices.Contains(wanted, gpu) && len(seen.Closed) > 0 && seen.X11+seen.Wayland != "nonenone" {
		d.add("graphics card", Note, fmt.Sprintf("the helper's programs draw without it, for they cannot open %s", printable(strings.Join(seen.Closed, ", "))), d.setup(), FixSetup)
	}
	for _, c := range []struct{ check, wrong string }{{"session bus", seen.Bus}, {"X server", seen.X11}, {"Wayland", seen.Wayland}} {
		switch c.wrong {
		case "":
			d.fine(c.check, "the helper reaches it")
		case "none":
		default:
			d.trouble(c.check, "the helper does not reach it: "+printable(c.wrong), "sandbox-audio run --dry-run true", "")
		}
	}
	d.clientConf(seen)
}

// clientConf looks at what the helper's programs are told about sound by files; run's PULSE_SERVER goes before, but not
// into sandboxes of their own.
func (d *doctor) clientConf(seen probe) {
	conf := printable(seen.Conf)
	switch {
	case seen.Conf == "" || strings.HasPrefix(seen.Conf, "/etc/"):
		d.trouble("client.conf", "the helper has none of its own", d.setup(), FixSetup)
	case seen.Conf != d.profile.ClientConf:
		d.trouble("client.conf", fmt.Sprintf("%s goes before the one that setup wrote", conf), "sandbox-audio run rm "+conf, "")
	case seen.Servers != d.profile.servers():
		d.trouble("client.conf", fmt.Sprintf("%s names %q, not this daemon", conf, printable(seen.Servers)), d.setup(), FixSetup)
	default:
		d.fine("client.conf", "it names this daemon")
	}
	for _, other := range seen.Others {
		d.add("client.conf", Note, fmt.Sprintf("%s is that of a sandbox within, which goes by it alone", printable(other)), "sandbox-audio run cp "+d.profile.ClientConf+" "+printable(other), "")
	}
	if len(seen.Wrapped) > 0 {
		d.add("firejail", Note, fmt.Sprintf("%s starts through firejail, which has a client.conf of its own", printable(seen.Wrapped[0])), "sudo firecfg --clean, or name the program by its path", "")
	}
}
