package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testAccounts(t *testing.T) *accounts {
	dir := t.TempDir()
	a := &accounts{passwd: file{path: filepath.Join(dir, "passwd")}, group: file{path: filepath.Join(dir, "group")}}
	write(t, a.passwd.path, "root:x:0:0::/:/bin/sh\nann:x:1001:1001::/:/bin/sh\nbob:x:1002:50::/:/bin/sh\n+::::::\nbroken\nnone:x:4294967295:1::/:\n")
	write(t, a.group.path, "root:x:0:\nsound:x:50:ann,ghost\nempty:x:51:\n")
	return a
}

// write replaces a file the way vipw and useradd do.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+"+", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"+", path); err != nil {
		t.Fatal(err)
	}
}

func TestAllow(t *testing.T) {
	for _, tt := range []struct {
		entries string
		want    []uint32
	}{
		{"ann", []uint32{1001}},
		{"1002", []uint32{1002}},
		{"70000", []uint32{70000}},
		{"@sound", []uint32{1001, 1002}}, // ann by the member list, bob by his primary group
		{"@empty", nil},
		{"root", []uint32{0}},
		{"ann @empty", []uint32{1001}},
		{"", nil},
	} {
		a := testAccounts(t)
		if err := a.allow(strings.Fields(tt.entries)); err != nil {
			t.Errorf("%q: %v", tt.entries, err)
			continue
		}
		got := 0
		for _, uid := range tt.want {
			if a.allowed(uid) {
				got++
			}
		}
		if got != len(tt.want) || len(a.uids) != len(tt.want) {
			t.Errorf("%q allows %v, want %v", tt.entries, a.uids, tt.want)
		}
	}
}

func TestAllowUnknown(t *testing.T) {
	for entry, want := range map[string]string{
		"ghost": `no user "ghost"`, "none": `no user "none"`, "-1": `no user "-1"`, "": `no user ""`,
		"4294967295": "no user", "4294967296": "no user",
		"@ghosts": `no group "ghosts"`, "@": `no group ""`,
	} {
		if err := testAccounts(t).allow([]string{entry}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", entry, err, want)
		}
	}
}

func TestAllowFollowsFiles(t *testing.T) {
	a := testAccounts(t)
	if err := a.allow([]string{"ann", "@sound", "@empty"}); err != nil {
		t.Fatal(err)
	}
	write(t, a.group.path, "sound:x:52:ann\nempty:x:51:carl\n")
	if !a.allowed(1001) || a.allowed(1002) {
		t.Errorf("bob lost his group: %v", a.uids)
	}
	write(t, a.passwd.path, "ann:x:1009:1009::/:\ncarl:x:1003:1003::/:\n")
	if a.allowed(1001) || !a.allowed(1009) || !a.allowed(1003) {
		t.Errorf("ann has a new number, carl appeared: %v", a.uids)
	}
	os.Remove(a.passwd.path)
	if !a.allowed(1003) {
		t.Error("with the file gone the last known members must stand")
	}
	write(t, a.passwd.path, "ann:x:1009:1009::/:\n")
	if a.allowed(1003) {
		t.Error("the file is back without carl")
	}
}
