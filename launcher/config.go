package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/adrg/xdg"
)

// Config is what a person may set once instead of on each command line, as it holds for one profile.
type Config struct {
	Device    string   `toml:"device,omitempty" json:"device,omitempty"`       // as the daemon's --device takes it; empty leaves the choice to the daemon
	Allow     []string `toml:"allow,omitempty" json:"allow,omitempty"`         // users and @groups that the daemon serves beside the helpers
	Resampler string   `toml:"resampler,omitempty" json:"resampler,omitempty"` // normal or best; empty is normal
	Dither    bool     `toml:"dither,omitempty" json:"dither,omitempty"`       // as the daemon's --dither
	Rules
}

// Rules are what may be set anew for each profile, in a table [profile.NAME].
type Rules struct {
	Method     string   `toml:"method,omitempty" json:"method,omitempty"`               // one of Methods; empty is auto
	Links      bool     `toml:"links,omitempty" json:"links,omitempty"`                 // links that the helper's programs open go to the owner's browser
	GPU        *bool    `toml:"gpu,omitempty" json:"gpu,omitempty"`                     // programs with a display may use the graphics card; nil is true
	Webcam     bool     `toml:"webcam,omitempty" json:"webcam,omitempty"`               // programs may use cameras
	MaxVolume  *float64 `toml:"max_volume_db,omitempty" json:"max_volume_db,omitempty"` // how loud the helper's programs can make themselves; nil is 0
	Microphone string   `toml:"microphone,omitempty" json:"microphone,omitempty"`       // none, deny, ask or allow, as long as the owner says nothing else; empty is deny
	Bounds
}

const systemConfig = "/etc/sandbox-audio/config.toml"

func ownConfig() string { return filepath.Join(xdg.ConfigHome, "sandbox-audio", "config.toml") }

// LoadConfig reads the system's configuration and, key by key over it, the caller's own, and then in the same order what
// either says of the profile. A file that is not there is no error; a key that is not known is one, and so is a wrong
// value for any profile. The error names the file and the line.
func LoadConfig(profile string) (Config, error) {
	c, _, err := readConfig(profile, os.ReadFile)
	return c, err
}

// deviceKinds is what is lent to the helper besides the display.
func (r *Rules) deviceKinds(display bool) (kinds []string) {
	if display && (r.GPU == nil || *r.GPU) {
		kinds = append(kinds, gpu)
	}
	if r.Webcam {
		kinds = append(kinds, webcam)
	}
	return kinds
}

// daemonOptions is what else the sound daemon is to be told, as arguments of its command line.
func (c *Config) daemonOptions() (args []string) {
	if c.Device != "" {
		args = append(args, "--device", c.Device)
	}
	if c.Resampler != "" {
		args = append(args, "--resampler", c.Resampler)
	}
	if c.Dither {
		args = append(args, "--dither")
	}
	return args
}

// daemonRules is what the rules of a helper's profile mean to the sound daemon, as arguments of its command line.
func (r *Rules) daemonRules(helper string) (args []string) {
	if r.MaxVolume != nil {
		args = append(args, "--max-volume", helper+"="+strconv.FormatFloat(*r.MaxVolume, 'f', -1, 64))
	}
	if r.Microphone != "" {
		args = append(args, "--mic", helper+"="+r.Microphone)
	}
	return args
}

// readConfig is LoadConfig that also names the profiles with a table. read is os.ReadFile, or knows better what a file holds.
func readConfig(profile string, read func(path string) ([]byte, error)) (c Config, tables []string, err error) {
	var of []configFile
	for _, path := range []string{systemConfig, ownConfig()} {
		text, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var f configFile
		if err == nil {
			f, err = c.decode(string(text))
		}
		if err != nil {
			return Config{}, nil, fmt.Errorf("configuration %s: %w", path, err)
		}
		of = append(of, f)
		for name := range f.profiles {
			if !slices.Contains(tables, name) {
				tables = append(tables, name)
			}
		}
	}
	for _, f := range of {
		if err := f.apply(profile, &c.Rules); err != nil {
			return Config{}, nil, err
		}
	}
	slices.Sort(tables)
	return c, tables, nil
}

// configFile is what one file says of profiles.
type configFile struct {
	meta     toml.MetaData
	profiles map[string]toml.Primitive
}

// apply sets what the file says of the profile.
func (f *configFile) apply(profile string, r *Rules) error {
	table, ok := f.profiles[profile]
	if !ok {
		return nil
	}
	return f.meta.PrimitiveDecode(table, r)
}

// decode reads one file over what c holds, and checks all of it.
func (c *Config) decode(text string) (configFile, error) {
	file := struct {
		*Config
		Profiles map[string]toml.Primitive `toml:"profile"`
	}{Config: c}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return configFile{}, err
	}
	if err := c.check(); err != nil {
		return configFile{}, err.at(text)
	}
	f := configFile{meta, file.Profiles}
	for name := range f.profiles {
		key := toml.Key{"profile", name}
		var r Rules
		if !validName(name) {
			return f, (&valueError{key, fmt.Errorf("%q is no profile name", name)}).at(text)
		}
		if err := f.apply(name, &r); err != nil {
			return f, (&valueError{key, err}).at(text)
		}
		if err := r.check(); err != nil {
			err.key = append(key, err.key...)
			return f, err.at(text)
		}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		known := append(configKeys(reflect.TypeFor[Config]()), "profile")
		if len(unknown[0]) > 2 && unknown[0][0] == "profile" {
			known = ProfileKeys()
		}
		return f, (&valueError{unknown[0], fmt.Errorf("unknown key %q; there are %s", unknown[0], strings.Join(known, ", "))}).at(text)
	}
	return f, nil
}

// Text is the settings that say anything, as a file has them.
func (c *Config) Text() (string, error) {
	var b strings.Builder
	err := toml.NewEncoder(&b).Encode(c)
	return b.String(), err
}

// valueError is what is wrong with the value of a key.
type valueError struct {
	key toml.Key
	err error
}

func (e *valueError) at(text string) error {
	return fmt.Errorf("line %d: %w", keyLine(text, e.key), e.err)
}

func (c *Config) check() *valueError {
	if !slices.Contains([]string{"", "normal", "best"}, c.Resampler) {
		return &valueError{toml.Key{"resampler"}, fmt.Errorf("resampler %q is neither normal nor best", c.Resampler)}
	}
	return c.Rules.check()
}

func (r *Rules) check() *valueError {
	if !validMethod(r.Method) {
		return &valueError{toml.Key{"method"}, methodError(r.Method)}
	}
	if v := r.MaxVolume; v != nil && !(*v >= -100 && *v <= 20) {
		return &valueError{toml.Key{"max_volume_db"}, fmt.Errorf("max_volume_db %v is not from -100 to 20", *v)}
	}
	if !slices.Contains([]string{"", "none", "deny", "ask", "allow"}, r.Microphone) {
		return &valueError{toml.Key{"microphone"}, fmt.Errorf("microphone %q is none of none, deny, ask and allow", r.Microphone)}
	}
	return r.Bounds.check()
}

// ProfileKeys lists the settings that a profile can have.
func ProfileKeys() []string { return configKeys(reflect.TypeFor[Rules]()) }

// configKeys is the keys that a struct's fields are read from, those of structs within it too.
func configKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			keys = append(keys, configKeys(f.Type)...)
		} else {
			key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
			keys = append(keys, key)
		}
	}
	return keys
}

// keyLine is the line where a valid file first names a key or something within it, for the package that reads it does
// not tell.
func keyLine(text string, key toml.Key) int {
	n := 0
	var table toml.Key
	for line := range strings.Lines(text) {
		n++
		here, header := lineKey(line)
		if header {
			table, here = here, nil
		}
		if at := slices.Concat(table, here); len(at) >= len(key) && slices.Equal(at[:len(key)], key) {
			return n
		}
	}
	return n
}

// lineKey is the key that a line of a file names, in parts; header tells that it begins a table.
func lineKey(line string) (key toml.Key, header bool) {
	name, _, assigned := strings.Cut(line, "=")
	if assigned {
		line = name + "= 0"
	} else if header = strings.HasPrefix(strings.TrimLeft(line, " \t"), "["); !header {
		return nil, false
	}
	var any map[string]any
	meta, err := toml.Decode(line, &any)
	if err != nil || len(meta.Keys()) == 0 {
		return nil, false // within a value of several lines
	}
	return meta.Keys()[len(meta.Keys())-1], header
}
