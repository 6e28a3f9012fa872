package gvdb

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandbox-audio/e2e/need"
)

// What is written is read back, and a file that is cut or changed anywhere is an error or other settings, never worse.
func TestRoundTrip(t *testing.T) {
	want := map[string][]byte{"/a/b": []byte("one\x00\x00s"), "/a/c": []byte("\x18\x00\x00\x00\x00i"), "/": nil, "/long/" + strings.Repeat("x", 300): []byte("v")}
	for _, values := range []map[string][]byte{want, {}} {
		file, err := Format(values)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(file)
		if err != nil || !maps.EqualFunc(got, values, slices.Equal) {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := Format(map[string][]byte{strings.Repeat("x", 1<<16): nil}); err == nil {
		t.Error("a name that is too long is written")
	}
	file, err := Format(want)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(file) {
		_, _ = Parse(file[:n])
		for _, b := range []byte{0, 1, 0x7f, 0xff} {
			bad := slices.Clone(file)
			bad[n] = b
			_, _ = Parse(bad)
		}
	}
	loop := slices.Clone(file) // an item that is its own parent
	le.PutUint32(loop[headerSize+8+4*len(want)+4:], 0)
	if got, err := Parse(loop); err == nil {
		t.Errorf("a name without an end: %q", got)
	}
}

// dconf's own tool writes what is read here, and reads what is written here.
func TestDconf(t *testing.T) {
	need.Packages(t, "dconf-cli")
	dir := t.TempDir()
	keys := "[org/gnome/desktop/interface]\ngtk-theme='Adwaita-dark'\ncursor-size=48\ntext-scaling-factor=1.25\n[org/gnome]\nzz=['a', 'b']\n"
	if err := os.Mkdir(dir+"/keys", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/keys/k", []byte(keys), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dconf", "compile", dir+"/theirs", dir+"/keys").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	theirs, err := os.ReadFile(dir + "/theirs")
	if err != nil {
		t.Fatal(err)
	}
	values, err := Parse(theirs)
	if err != nil || len(values) != 4 {
		t.Fatalf("%q, %v", values, err)
	}
	ours, err := Format(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/ours", ours, 0o644); err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(dir, "profile")
	if err := os.WriteFile(profile, []byte("file-db:"+dir+"/ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/org/gnome/desktop/interface/gtk-theme": "'Adwaita-dark'", "/org/gnome/desktop/interface/cursor-size": "48",
		"/org/gnome/desktop/interface/text-scaling-factor": "1.25", "/org/gnome/zz": "['a', 'b']", "/org/gnome/other": "",
	} {
		cmd := exec.Command("dconf", "read", name)
		cmd.Env = []string{"DCONF_PROFILE=" + profile, "HOME=" + dir, "PATH=/usr/bin:/bin"}
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s is %s, %v", name, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	file, err := Format(map[string][]byte{"/a/b": []byte("one\x00\x00s"), "/a/c": nil})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Fuzz(func(t *testing.T, file []byte) {
		values, err := Parse(file)
		if err != nil {
			return
		}
		again, err := Format(values)
		if err != nil {
			return
		}
		if got, err := Parse(again); err != nil || !maps.EqualFunc(got, values, slices.Equal) {
			t.Errorf("%q, %v", got, err)
		}
	})
}
