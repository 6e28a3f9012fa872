package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// AddTable gives the profile a table in the caller's own configuration, with settings written KEY=VALUE; a value that
// is not written as TOML has it is text. config is what LoadConfig says of the profile then, and undo takes the table back.
// A dry run only says whether it could be done.
func AddTable(profile string, settings []string, dryRun bool) (config Config, undo func() error, err error) {
	if !validName(profile) {
		return config, nil, fmt.Errorf("the profile name %q must be of a-z, 0-9, - and _, begin with a letter and have at most 32 characters", profile)
	}
	path, before, mode, err := readOwnConfig()
	if err != nil {
		return config, nil, err
	}
	nothing := func() error { return nil }
	if f, err := new(Config).decode(string(before)); err != nil {
		return config, nil, fmt.Errorf("configuration %s: %w", path, err)
	} else if _, ok := f.profiles[profile]; ok && len(settings) == 0 {
		config, err := LoadConfig(profile)
		return config, nothing, err
	} else if ok {
		return config, nil, fmt.Errorf("%s has a table [profile.%s] already; change it there", path, profile)
	}
	table := "[profile." + profile + "]\n"
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return config, nil, fmt.Errorf("%q is no setting: write KEY=VALUE", s)
		}
		var any map[string]any
		if _, err := toml.Decode("x = "+value, &any); err != nil {
			value = fmt.Sprintf("%q", value)
		}
		table += strings.TrimSpace(key) + " = " + value + "\n"
	}
	after := string(before)
	if after != "" {
		after = strings.TrimSuffix(after, "\n") + "\n\n"
	}
	after += table
	f, err := new(Config).decode(after)
	if err != nil {
		return config, nil, fmt.Errorf("configuration %s, with what is to be added: %w", path, err)
	}
	if _, ok := f.profiles[profile]; !ok {
		return config, nil, fmt.Errorf("the table of %s does not fit into %s; write it there by hand", profile, path)
	}
	config, _, err = readConfig(profile, func(path string) ([]byte, error) {
		if path == ownConfig() {
			return []byte(after), nil
		}
		return os.ReadFile(path)
	})
	if err != nil || dryRun {
		return config, nothing, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return config, nil, err
	}
	if err := writeFile(path, []byte(after), mode); err != nil {
		return config, nil, err
	}
	return config, func() error {
		if len(before) == 0 {
			return removeFile(path)
		}
		return writeFile(path, before, mode)
	}, nil
}

// RemoveTable takes the profile's table, if it has one, out of the caller's own configuration.
func RemoveTable(profile string) error {
	path, before, mode, err := readOwnConfig()
	if err != nil {
		return err
	}
	f, err := new(Config).decode(string(before))
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	if _, ok := f.profiles[profile]; !ok {
		return nil
	}
	after := withoutTable(string(before), toml.Key{"profile", profile})
	if f, err = new(Config).decode(after); err == nil {
		if _, still := f.profiles[profile]; still {
			err = errors.New("it is written in an unusual way")
		}
	}
	if err != nil {
		return fmt.Errorf("take [profile.%s] out of %s: %w; do it by hand", profile, path, err)
	}
	if after == "" {
		return removeFile(path)
	}
	return writeFile(path, []byte(after), mode)
}

// withoutTable is the text of a configuration without a table and the tables within it. Comments and blank lines before
// the next table stay, since they may be about that one.
func withoutTable(text string, key toml.Key) string {
	var kept, pending []string
	inside := false
	for line := range strings.Lines(text) {
		if at, header := lineKey(line); header {
			was := inside
			if inside = len(at) >= len(key) && slices.Equal(at[:len(key)], key); !inside && was {
				kept = append(kept, pending...)
			}
		}
		blank := strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#")
		switch {
		case !inside:
			kept = append(kept, line)
		case blank:
			pending = append(pending, line)
			continue
		}
		pending = nil
	}
	if inside && len(kept) > 0 && strings.TrimSpace(kept[len(kept)-1]) == "" {
		kept = kept[:len(kept)-1] // the line that set the table off
	}
	return strings.Join(kept, "")
}

// readOwnConfig reads the caller's own configuration, wherever a symbolic link in its place leads; one that is not there
// is empty.
func readOwnConfig() (path string, text []byte, mode fs.FileMode, err error) {
	path, err = filepath.EvalSymlinks(ownConfig())
	if errors.Is(err, fs.ErrNotExist) {
		return ownConfig(), nil, 0o600, nil
	}
	if err != nil {
		return "", nil, 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", nil, 0, err
	}
	text, err = os.ReadFile(path)
	return path, text, st.Mode().Perm(), err
}
