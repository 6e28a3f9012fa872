package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/adrg/xdg"
)

// Config is what a person may set once instead of on each command line.
type Config struct {
	Device string   `toml:"device"` // as the daemon's --device takes it; empty leaves the choice to the daemon
	Method string   `toml:"method"` // auto, sudo or su; empty is auto
	Allow  []string `toml:"allow"`  // users and @groups that the daemon serves beside the helpers
}

const systemConfig = "/etc/sandbox-audio/config.toml"

// LoadConfig reads the system's configuration and then, key by key over it, the caller's own. A file that is not
// there is no error; a key that is not known is one and the error names its line.
func LoadConfig() (Config, error) {
	var c Config
	for _, path := range []string{systemConfig, filepath.Join(xdg.ConfigHome, "sandbox-audio", "config.toml")} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = c.decode(string(text))
		}
		if err != nil {
			return Config{}, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	return c, nil
}

func (c *Config) decode(text string) error {
	meta, err := toml.Decode(text, c)
	if err != nil {
		return err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("line %d: unknown key %q; there are device, method and allow", keyLine(text, unknown[0]), unknown[0])
	}
	if !validMethod(c.Method) {
		return fmt.Errorf("line %d: method %q is none of auto, sudo and su", keyLine(text, toml.Key{"method"}), c.Method)
	}
	return nil
}

// keyLine is the line where a key of a valid file stands, for the package that reads it does not tell.
func keyLine(text string, key toml.Key) int {
	n := 0
	for line := range strings.Lines(text) {
		n++
		name := strings.TrimLeft(line, "[ \t\"'")
		if rest, ok := strings.CutPrefix(name, key[0]); ok && strings.ContainsAny(rest[:1], "=. \t\"']\r\n") {
			return n
		}
	}
	return n
}
