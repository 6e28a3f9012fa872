package launcher

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"sandbox-audio/templates"
)

// ownConfigFile points the caller's configuration at a file of the test's.
func ownConfigFile(t *testing.T, text string) string {
	t.Helper()
	old := xdg.ConfigHome
	xdg.ConfigHome = t.TempDir()
	t.Cleanup(func() { xdg.ConfigHome = old })
	if text != "" {
		if err := os.MkdirAll(filepath.Dir(ownConfig()), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ownConfig(), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return ownConfig()
}

// A profile's table comes and goes, and leaves the rest of the file as it was, comments and all.
func TestTables(t *testing.T) {
	for name, text := range map[string]string{
		"no file":      "",
		"a file":       "# mine\ndevice = \"null\" # silence\n",
		"other tables": "[profile.a]\n# about a\nmethod = \"su\"\n\n# about b\n[profile.b]\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := ownConfigFile(t, text)
			if c, _, err := AddTable("bank", []string{"method=sudo"}, true); err != nil || c.Method != "sudo" {
				t.Fatalf("method %q, %v", c.Method, err)
			}
			if got, _ := os.ReadFile(path); string(got) != text {
				t.Errorf("a dry run wrote %q", got)
			}
			_, undo, err := AddTable("bank", []string{"method=sudo"}, false)
			if err != nil {
				t.Fatal(err)
			}
			c, err := LoadConfig("bank")
			if err != nil || c.Method != "sudo" {
				t.Errorf("method %q, %v", c.Method, err)
			}
			if err := undo(); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != text {
				t.Errorf("undone: %q", got)
			}
			if _, _, err := AddTable("bank", nil, false); err != nil {
				t.Fatal(err)
			}
			if err := RemoveTable("bank"); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != text {
				t.Errorf("removed: %q, not %q", got, text)
			}
		})
	}
}

func TestTableInTheMiddle(t *testing.T) {
	ownConfigFile(t, "[profile.a]\n\n[profile.bank]\nmethod = \"su\"\n# of bank\nx.y = 1\n\n# about c\n[profile.c]\n")
	if err := RemoveTable("bank"); err == nil || !strings.Contains(err.Error(), "line 6: unknown key") {
		t.Errorf("a broken file was edited: %v", err)
	}
	ownConfigFile(t, "[profile.a]\n\n[profile.bank]\nmethod = \"su\"\n\n# about c\n[profile.c]\n")
	path := ownConfig()
	if err := RemoveTable("bank"); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "[profile.a]\n\n\n# about c\n[profile.c]\n" {
		t.Errorf("got %q", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	ownConfigFile(t, "[profile.there]\n")
	for _, c := range []struct{ profile, setting, want string }{
		{"bank", "methods=su", "unknown key"},
		{"bank", "method=ksu", "is none of"},
		{"bank", "method", "write KEY=VALUE"},
		{"bank", "x]\n[y=1", "bank"},
		{"there", "method=su", "already"},
		{"Bank", "method=su", "profile name"},
	} {
		if _, _, err := AddTable(c.profile, []string{c.setting}, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v", c.profile, c.setting, err)
		}
	}
}

// What a profile says goes before what is said for all, whoever says it.
func TestRulesOfAProfile(t *testing.T) {
	ownConfigFile(t, "method = \"su\"\n[profile.bank]\nmethod = \"sudo\"\n")
	for profile, want := range map[string]string{"bank": "sudo", "default": "su"} {
		if c, err := LoadConfig(profile); err != nil || c.Method != want {
			t.Errorf("%s: method %q, %v", profile, c.Method, err)
		}
	}
}

// The example explains every key there is and is right in all it says.
func TestExample(t *testing.T) {
	if _, err := new(Config).decode(templates.Config); err != nil {
		t.Errorf("as it is: %v", err)
	}
	all := regexp.MustCompile(`(?m)^#([a-z0-9_]+ = |\[)`).ReplaceAllString(templates.Config, "$1")
	f, err := new(Config).decode(all)
	if err != nil {
		t.Errorf("with everything said: %v", err)
	}
	var named []string
	for _, key := range f.meta.Keys() {
		named = append(named, key[len(key)-1])
	}
	for _, key := range configKeys(reflect.TypeFor[Config]()) {
		if !slices.Contains(named, key) {
			t.Errorf("%s is not explained", key)
		}
	}
}
