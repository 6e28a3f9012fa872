package launcher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Request is what a person asks of run.
type Request struct {
	Profile string
	Method  string   // one of Methods; empty is auto
	Argv    []string // the program and its arguments
	Environ []string // the caller's
	Dir     string   // the caller's
	Display string   // auto, x11 or none; empty is auto
	X11     string   // trusted or untrusted; empty is trusted
	TTY     string   // auto, yes or no; empty is auto
	aside   bool     // for our own use, and held to nothing
}

// Plan is all that run is going to do, decided before anything is done. A dry run prints it.
type Plan struct {
	Owner     Account
	Helper    Account
	Method    string   // one of Methods but auto
	Enter     []string // becomes the helper; the socket's name and the owner's uid follow
	Daemon    []string // starts the sound daemon when none runs
	Addresses []string // where the daemon listens
	DaemonUID int
	Output    io.Writer // takes what the program writes, in place of our own standard output and error; nil without
	Notes     []string  // what is not as setup leaves it, and how to repair it
	rules     Rules     // as far as they are the sound daemon's
	display   display
	carriage  carriage      // what goes along of the owner's fonts, themes and icons, once the display is lent
	lent      []string      // the devices that the program may open
	lend      []string      // has them lent; empty for nothing
	tty       bool          // the program gets a terminal of the helper's
	scope     []string      // goes before Enter, and holds what comes of it to limits; nil without
	group     *controlGroup // does that in its place; nil without
	request   request
}

// facts is what a plan depends on, read from the machine.
type facts struct {
	owner      Account
	profile    *Profile
	helper     Account
	daemonUID  int
	helpers    []string // of all the owner's profiles
	rules      []string // of these, for the daemon's command line
	self       string   // the path of this binary
	sudo, su   string   // paths; empty where not installed
	doas, run0 string
	socketDir  bool   // the socket's directory is there and the daemon's alone to write
	runtimeDir bool   // the helper's directory below /run is there and the helper's
	loginDir   bool   // so is the one a login makes, /run/user/UID
	bus        string // the path of dbus-daemon; empty where it is not installed
	umask      int

	controllers controllers // where the profile has limits
}

// NewPlan reads the machine and decides. It changes nothing. The caller must be the owner: see AsOwner.
func NewPlan(req Request, owner Account, config Config) (*Plan, error) {
	f, err := readFacts(owner, req.Profile, config)
	if err != nil {
		return nil, err
	}
	if l, _, err := config.limits(); err == nil && l != (limits{}) {
		f.controllers = findControllers("/", owner.UID)
	}
	p, err := f.plan(req, config)
	if err != nil {
		return nil, err
	}
	p.tty, err = wantsTerminal(req.TTY, config.TTY)
	return p, err
}

func readFacts(owner Account, profile string, config Config) (f facts, err error) {
	f.owner = owner
	if f.profile, err = FindProfile(owner, profile); err != nil {
		return f, err
	}
	repair := "repair it with: sandbox-audio setup --profile " + profile
	f.helper, err = accountByName(f.profile.Helper)
	if err == nil && (f.helper.UID != f.profile.HelperUID || f.helper.UID == 0 || f.helper.UID == owner.UID) {
		err = fmt.Errorf("it has the uid %d, not %d as setup made it", f.helper.UID, f.profile.HelperUID)
	}
	if err != nil {
		return f, fmt.Errorf("the helper %s: %w; %s", f.profile.Helper, err, repair)
	}
	f.daemonUID = owner.UID
	if user := f.profile.daemonUser(); user != owner.Name {
		daemon, err := accountByName(user)
		if err != nil {
			return f, fmt.Errorf("the sound daemon's user %s: %w; %s", user, err, repair)
		}
		f.daemonUID = daemon.UID
	}
	st, err := os.Lstat(f.profile.Entry)
	if err != nil {
		return f, fmt.Errorf("the entry program: %w; %s", err, repair)
	}
	if uid, _ := fileOwner(st); uid != 0 || st.Mode() != 0o755 {
		return f, fmt.Errorf("the entry program %s is not root's alone to change; %s", f.profile.Entry, repair)
	}
	all, err := profiles()
	if err != nil {
		return f, err
	}
	for _, p := range all {
		if p.OwnerUID != owner.UID {
			continue
		}
		of := config
		if p.Name != profile {
			if of, err = LoadConfig(p.Name); err != nil {
				return f, err
			}
		}
		f.helpers = append(f.helpers, p.Helper)
		f.rules = append(f.rules, of.daemonRules(p.Helper)...)
	}
	if f.self, err = os.Executable(); err != nil {
		return f, err
	}
	f.sudo, _ = tool("sudo")
	f.su, _ = tool("su")
	f.doas, _ = tool("doas")
	f.run0, _ = tool("run0")
	f.bus, _ = tool("dbus-daemon")
	f.socketDir = ownDir(filepath.Dir(f.profile.Socket), f.daemonUID, 0o755)
	f.runtimeDir = ownDir(f.profile.RuntimeDir, f.helper.UID, 0o700)
	f.loginDir = ownDir(loginDir(f.helper.UID), f.helper.UID, 0o700)
	f.umask = syscall.Umask(0o077) // there is no way to only ask
	syscall.Umask(f.umask)
	return f, nil
}

// ownDir reports whether path is a directory of uid's with just this mode.
func ownDir(path string, uid int, mode fs.FileMode) bool {
	st, err := os.Lstat(path)
	if err != nil {
		return false
	}
	owner, _ := fileOwner(st)
	return owner == uid && st.Mode() == fs.ModeDir|mode
}

func loginDir(uid int) string { return "/run/user/" + strconv.Itoa(uid) }

func (f *facts) plan(req Request, config Config) (*Plan, error) {
	if len(req.Argv) == 0 || req.Argv[0] == "" {
		return nil, errors.New("no program named")
	}
	p := &Plan{Owner: f.owner, Helper: f.helper, DaemonUID: f.daemonUID}
	var err error
	if p.Method, p.Enter, err = f.become(req.Method, config.Method); err != nil {
		return nil, err
	}
	p.Addresses = []string{f.profile.unixAddr(), f.profile.tcpAddr()}
	if !f.socketDir {
		p.Addresses = p.Addresses[1:]
	}
	p.rules = config.Rules
	p.Daemon = []string{f.self, "daemon"}
	for _, addr := range p.Addresses {
		p.Daemon = append(p.Daemon, "--listen", addr)
	}
	for _, name := range slices.Concat(f.helpers, config.Allow) {
		p.Daemon = append(p.Daemon, "--allow", name)
	}
	p.Daemon = slices.Concat(p.Daemon, f.rules, []string{"--idle-exit", "1m"}, config.daemonOptions())
	runtimeDir := filepath.Join(f.helper.Home, ".cache/sandbox-audio/run")
	switch {
	case f.loginDir:
		runtimeDir = loginDir(f.helper.UID)
	case f.runtimeDir:
		runtimeDir = f.profile.RuntimeDir
	}
	if !f.socketDir || !f.runtimeDir {
		p.Notes = append(p.Notes, fmt.Sprintf("the directories below %s are gone, as after a reboot: sound goes over TCP; bring them back with: sandbox-audio setup --profile %s", runDir, f.profile.Name))
	}
	servers := p.Addresses
	if config.Network == NetworkOff {
		servers = servers[:1]
	}
	p.request = request{
		Argv: req.Argv, Dir: req.Dir, Umask: f.umask,
		Home: f.helper.Home, RuntimeDir: runtimeDir, Bus: f.bus, Profile: f.profile.Name,
		Env: environment(req.Environ, f.owner.Home, f.helper, runtimeDir, strings.Join(servers, " ")),
	}
	if p.request.Aside = req.aside; req.aside {
		p.request.Bus = "" // it would be held to nothing either
	}
	p.request.Links = config.Links
	for _, share := range f.profile.Shares {
		p.request.Shares = append(p.request.Shares, share.Dir)
	}
	if p.display, err = planDisplay(req, config.Bounds); err != nil {
		return nil, err
	}
	kinds := config.deviceKinds(p.display.any())
	if p.lent = closedNodes(kinds); len(p.lent) > 0 {
		p.lend = f.rootsCommand(devicesCommand(f.profile, kinds))
	}
	if err := f.bound(p, &config.Bounds); err != nil {
		return nil, err
	}
	if p.request.Bus != "" {
		p.request.Env = append(p.request.Env, "DBUS_SESSION_BUS_ADDRESS="+busAddress(runtimeDir))
	}
	if p.display.any() {
		p.display.look = findLook(req.Environ, f.owner.Home, f.helper.Home)
	}
	p.display.prepare(&p.request)
	slices.Sort(p.request.Env)
	return p, nil
}

// Environ is the environment that the program is going to have, sorted, as far as it can be told before.
func (p *Plan) Environ() []string { return slices.Clone(p.request.Env) }

// String is the plan for a person to read.
func (p *Plan) String() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-12s %s\n", name, value) }
	line("owner", fmt.Sprintf("%s (uid %d)", p.Owner.Name, p.Owner.UID))
	line("helper", fmt.Sprintf("%s (uid %d)", p.Helper.Name, p.Helper.UID))
	line("sound", strings.Join(p.Addresses, " "))
	line("daemon", commandLine(p.Daemon)+"   (when none runs)")
	line("become", commandLine(slices.Concat(p.scope, p.Enter))+" @SOCKET "+strconv.Itoa(p.Owner.UID))
	line("display", p.display.String())
	for _, t := range p.display.look.trees {
		line("copied", printable(t.path())+"   (where it has changed)")
	}
	for _, node := range p.lent {
		line("device", node+"   (until the last program ends)")
	}
	for _, held := range p.request.Confined.describe() {
		line("held to", held)
	}
	if p.tty {
		line("terminal", "one of the helper's, as large as this")
	}
	line("directory", p.request.Dir+"   (its home, when it cannot enter that)")
	for _, v := range p.request.Env {
		line("environment", printable(v))
	}
	line("program", commandLine(p.request.Argv))
	for _, n := range p.Notes {
		line("note", n)
	}
	return b.String()
}

// commandLine writes arguments as a shell would take them.
func commandLine(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		if arg == "" || strings.Trim(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+%") != "" {
			arg = "'" + strings.ReplaceAll(printable(arg), "'", `'\''`) + "'"
		}
		quoted[i] = arg
	}
	return strings.Join(quoted, " ")
}
