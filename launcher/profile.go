package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// DefaultProfile is the profile of a person who names none.
const DefaultProfile = "default"

// ServiceUser is the account the daemon runs as where the owner is root.
const ServiceUser = "sandbox-audio"

const (
	stateDir   = "/var/lib/sandbox-audio"
	runDir     = "/run/sandbox-audio"
	entryPath  = "/usr/local/lib/sandbox-audio/enter"
	sharedFile = stateDir + "/shared.json"
	firstPort  = 4713 // PulseAudio's own (PA_NATIVE_DEFAULT_PORT)
	lastPort   = 4812 // below the ephemeral range, so that no outgoing connection takes it by chance
)

// Profile is the record of one helper: who it is, where its sound goes, and everything setup made for it. It is kept
// in /var/lib/sandbox-audio/OWNERUID/PROFILE.json, which root alone writes and everyone reads; teardown removes what
// stands there and nothing else.
type Profile struct {
	Name       string  `json:"profile"`
	Owner      string  `json:"owner"`
	OwnerUID   int     `json:"owner_uid"`
	Helper     string  `json:"helper"`
	HelperUID  int     `json:"helper_uid"` // 0 until the account is made
	HelperGID  int     `json:"helper_gid"`
	Home       string  `json:"home"`
	ClientConf string  `json:"client_conf"`
	Port       int     `json:"port"`               // on 127.0.0.1
	Socket     string  `json:"socket"`             // of the owner's daemon
	RuntimeDir string  `json:"runtime_dir"`        // the helper's XDG_RUNTIME_DIR
	Entry      string  `json:"entry"`              // the entry program
	Rule       string  `json:"rule,omitempty"`     // in the sudoers folder; none where the owner is root
	Tmpfiles   string  `json:"tmpfiles,omitempty"` // none where nothing reads tmpfiles.d
	Shares     []Share `json:"shares,omitempty"`

	Groups []string `json:"groups,omitempty"` // that the helper is in, beside its own
}

// shared is the record of what several profiles use; it goes with the last of them.
type shared struct {
	ServiceUID  int      `json:"service_uid,omitempty"` // 0 unless setup made the service user
	Directories []string `json:"directories"`           // made on the way, in order
}

func ownerDir(uid int) string { return filepath.Join(stateDir, strconv.Itoa(uid)) }

func (p *Profile) path() string { return filepath.Join(ownerDir(p.OwnerUID), p.Name+".json") }

// unixAddr and tcpAddr are the daemon's addresses as its command line, PULSE_SERVER and client.conf write them.
func (p *Profile) unixAddr() string { return "unix:" + p.Socket }
func (p *Profile) tcpAddr() string  { return "tcp:127.0.0.1:" + strconv.Itoa(p.Port) }

// servers is both, in the order in which a client tries them.
func (p *Profile) servers() string { return p.unixAddr() + " " + p.tcpAddr() }

// daemonUser is the account the owner's daemon runs as.
func (p *Profile) daemonUser() string {
	if p.OwnerUID == 0 {
		return ServiceUser
	}
	return p.Owner
}

// FindProfile reads the record of one of owner's profiles; the error says how to make it when there is none.
func FindProfile(owner Account, name string) (*Profile, error) {
	if !validName(name) {
		return nil, fmt.Errorf("%q is no profile name", name)
	}
	p := &Profile{OwnerUID: owner.UID, Name: name}
	if err := readJSON(p.path(), p); errors.Is(err, fs.ErrNotExist) {
		hint := "sandbox-audio setup"
		if name != DefaultProfile {
			hint += " --profile " + name
		}
		return nil, fmt.Errorf("%s has no helper for the profile %s: %w; make it with: %s", owner.Name, name, ErrNoProfile, hint)
	} else if err != nil {
		return nil, err
	}
	if p.OwnerUID != owner.UID || p.Name != name {
		return nil, fmt.Errorf("%s is the record of another profile", p.path())
	}
	return p, nil
}

// ErrNoProfile is what FindProfile and Teardown wrap where there is no record.
var ErrNoProfile = errors.New("setup has not been run")

// profiles reads the records of every profile on this machine.
func profiles() ([]*Profile, error) {
	paths, err := filepath.Glob(stateDir + "/[0-9]*/*.json")
	if err != nil {
		return nil, err
	}
	var all []*Profile
	for _, path := range paths {
		p := new(Profile)
		if err := readJSON(path, p); err != nil {
			return nil, err
		}
		if p.path() != path {
			return nil, fmt.Errorf("%s is the record of another profile", path)
		}
		all = append(all, p)
	}
	return all, nil
}

func readJSON(path string, to any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("read the record %s: %w", path, err)
	}
	return nil
}

func encodeJSON(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // structs of strings and numbers
	}
	return append(text, '\n')
}

func writeJSON(path string, v any) error {
	return writeFile(path, encodeJSON(v), 0o644)
}

// sudoersName is name as a sudoers file takes it: as it is where nothing in it needs quoting, else by uid.
func sudoersName(a Account) string {
	if strings.Trim(strings.ToLower(a.Name), "abcdefghijklmnopqrstuvwxyz0123456789_-.") == "" && a.Name != "ALL" {
		return a.Name
	}
	return "#" + strconv.Itoa(a.UID)
}

// DaemonAddress is where the owner's daemon listens, in its command line's form, whichever of the profiles started it.
func DaemonAddress(owner Account) (string, error) {
	all, err := profiles()
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if p.OwnerUID == owner.UID {
			return p.unixAddr(), nil
		}
	}
	return "", fmt.Errorf("%s has no helper yet: %w; make one with: sandbox-audio setup", owner.Name, ErrNoProfile)
}

// ProfileState is a profile as a person sees it.
type ProfileState struct {
	Name     string   `json:"profile"`
	Helper   string   `json:"helper"`
	Made     bool     `json:"made"` // by setup; without it the rest is not known
	UID      int      `json:"uid,omitempty"`
	Home     string   `json:"home,omitempty"`
	Sound    []string `json:"sound,omitempty"` // addresses of the daemon
	Settings Config   `json:"settings"`
}

// Profiles lists the owner's profiles by name: those that setup has made and those that have a table in the
// configuration.
func Profiles(owner Account) ([]ProfileState, error) {
	_, names, err := readConfig(DefaultProfile, os.ReadFile)
	if err != nil {
		return nil, err
	}
	all, err := profiles()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.OwnerUID == owner.UID && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	states := []ProfileState{}
	for _, name := range names {
		s, err := FindState(owner, name)
		if err != nil {
			return nil, err
		}
		states = append(states, s)
	}
	return states, nil
}

// FindState is one of the owner's profiles; the error wraps ErrNoProfile when it is neither made nor in the configuration.
func FindState(owner Account, name string) (ProfileState, error) {
	config, tables, err := readConfig(name, os.ReadFile)
	if err != nil {
		return ProfileState{}, err
	}
	p, err := FindProfile(owner, name)
	switch {
	case err == nil:
		return ProfileState{
			Name: name, Made: true, Helper: p.Helper, UID: p.HelperUID, Home: p.Home,
			Sound: []string{p.unixAddr(), p.tcpAddr()}, Settings: config,
		}, nil
	case !errors.Is(err, ErrNoProfile) || !slices.Contains(tables, name):
		return ProfileState{}, err
	}
	helper, err := helperName(owner, name)
	return ProfileState{Name: name, Helper: helper, Settings: config}, err
}
