// Package install_test installs the program as a packager does, below a directory of its own, and looks at what is there: the
// manual, the completions in the shells they are for, and nothing after make uninstall.
package install_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandbox-audio/e2e/need"
)

const prefix = "/opt/sandbox"

// installed installs below a new directory.
func installed(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	runMake(t, dir, "install")
	return dir
}

func runMake(t *testing.T, dir, target string) {
	t.Helper()
	need.Packages(t, "make")
	cmd := exec.Command("make", "-C", "../..", target, "DESTDIR="+dir, "PREFIX="+prefix)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
}

// files lists what is below a directory, directories that hold files left out.
func files(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		all[strings.TrimPrefix(path, dir+prefix)] = st.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestInstallAndUninstall(t *testing.T) {
	dir := installed(t)
	got := files(t, dir)
	for path, mode := range map[string]fs.FileMode{
		"/bin/sandbox-audio": 0o755, "/share/man/man1/sandbox-audio.1": 0o644, "/share/man/man1/sandbox-audio-run.1": 0o644,
		"/share/man/man5/sandbox-audio.toml.5": 0o644, "/share/doc/sandbox-audio/config.toml": 0o644,
		"/share/bash-completion/completions/sandbox-audio": 0o644, "/share/zsh/site-functions/_sandbox-audio": 0o644,
		"/share/fish/vendor_completions.d/sandbox-audio.fish": 0o644,
	} {
		if got[path] != mode {
			t.Errorf("%s has mode %v, not %v", path, got[path], mode)
		}
	}
	others := []string{"/share/man/man1/sandbox-audio-other.1", "/share/doc/sandbox-audio/NEWS", "/bin/other"}
	for _, path := range others {
		if err := os.WriteFile(dir+prefix+path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runMake(t, dir, "uninstall")
	if left := slices.Sorted(maps.Keys(files(t, dir))); !slices.Equal(left, slices.Sorted(slices.Values(others))) {
		t.Errorf("left after uninstall: %q", left)
	}
	runMake(t, dir, "uninstall") // of nothing
}

// Every page is one that the reader shows without a complaint, and has what a page must have.
func TestManual(t *testing.T) {
	need.Packages(t, "man-db", "mandoc")
	dir := installed(t)
	pages, err := filepath.Glob(dir + prefix + "/share/man/man*/*")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", page)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80", "MANROFFOPT=")
		var text, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("man %s: %v\n%s", page, err, complaints.String())
		}
		for _, want := range []string{"NAME\n", "SEE ALSO\n"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s has no section %s", page, want)
			}
		}
		lint, _ := exec.Command("mandoc", "-Tlint", "-Wwarning", page).Output()
		for line := range strings.Lines(string(lint)) {
			if !strings.Contains(line, "missing date") { // what is not dated is not out of date
				t.Error(line)
			}
		}
	}
}
