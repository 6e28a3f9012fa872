package audiod

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	uid, gid := os.Getuid(), os.Getgid()
	for range 2 {
		folder, err := stateFolder(dir, uid, gid)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(folder); err != nil || st.Mode() != os.ModeDir|0o700 || filepath.Dir(folder) != dir {
			t.Errorf("%s: %v, %v", folder, st, err)
		}
	}
	for name, make := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(dir, path) },
		"a file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"relative": func(string) error { return nil },
	} {
		at := t.TempDir()
		if err := make(at + "/memory"); err != nil {
			t.Fatal(err)
		}
		if name == "relative" {
			at = "."
		}
		if folder, err := stateFolder(at, uid, gid); err == nil {
			t.Errorf("%s: made %s", name, folder)
		}
	}
}

// Root makes it for the user it becomes, and for nobody else's.
func TestStateFolderOfRoot(t *testing.T) {
	needRoot(t)
	u, err := user.Lookup(nobody)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	dir := filepath.Join(t.TempDir(), "var")
	folder, err := stateFolder(dir, uid, gid)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{dir: 0, folder: uid} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || int(st.Uid) != want {
			t.Errorf("%s belongs to %d (%v), not %d", path, st.Uid, err, want)
		}
	}
	if _, err := stateFolder(dir, uid+1, gid); err == nil {
		t.Error("took what belongs to another user")
	}
}
