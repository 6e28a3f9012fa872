package need

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Devices covers /dev with a copy until t ends, where a test that is isolated (launchertest) can make nodes.
func Devices(t testing.TB) {
	t.Helper()
	submounts := []string{"/dev/pts", "/dev/shm"}
	work := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(unix.Mount("tmpfs", work, "tmpfs", 0, "mode=755"))
	t.Cleanup(func() { must(unix.Unmount(work, unix.MNT_DETACH)) })
	for i, dir := range submounts {
		keep := fmt.Sprint(work, "/", i)
		must(os.Mkdir(keep, 0o755))
		must(unix.Mount(dir, keep, "", unix.MS_BIND, ""))
	}
	must(os.Mkdir(work+"/upper", 0o755))
	must(os.Mkdir(work+"/work", 0o755))
	must(unix.Mount("overlay", "/dev", "overlay", 0, "lowerdir=/dev,upperdir="+work+"/upper,workdir="+work+"/work"))
	t.Cleanup(func() { must(unix.Unmount("/dev", unix.MNT_DETACH)) })
	for i, dir := range submounts {
		must(unix.Mount(fmt.Sprint(work, "/", i), dir, "", unix.MS_BIND, ""))
	}
}

// Node makes a character device that nothing answers at, open to root and a group.
func Node(t testing.TB, path string, gid, major, minor int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(path, unix.S_IFCHR|0o660, int(unix.Mkdev(uint32(major), uint32(minor)))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(path, 0, gid), os.Chmod(path, 0o660)); err != nil {
		t.Fatal(err)
	}
}
