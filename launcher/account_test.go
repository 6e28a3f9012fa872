package launcher

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestHelperName(t *testing.T) {
	for _, test := range []struct{ owner, profile, want string }{
		{"alice", "default", "alice-sandbox"},
		{"alice", "bank", "alice-bank"},
		{"root", "default", "root-sandbox"},
		{"Jane.Doe", "default", "jane-doe-sandbox"},
		{"alice", "", ""},
		{"alice", "../x", ""},
		{"alice", "Bank", ""},
		{"alice", "-x", ""},
		{"alice", "a b", ""},
		{"alice", "x\n", ""},
		{"1und1", "default", ""},
		{strings.Repeat("a", 25), "default", ""},
	} {
		got, err := helperName(Account{Name: test.owner}, test.profile)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q, profile %q: %q, %v; want %q", test.owner, test.profile, got, err, test.want)
		}
	}
}

func TestAccounts(t *testing.T) {
	root, err := accountByUID(0)
	if err != nil || root.Name != "root" {
		t.Errorf("uid 0 is %+v, %v", root, err)
	}
	if again, err := accountByName("root"); err != nil || again != root {
		t.Errorf("root is %+v, %v", again, err)
	}
	if _, err := accountByName("no-such-account"); !errors.Is(err, errNoAccount) {
		t.Errorf("error %v", err)
	}
	if _, err := accountByName("-s"); !errors.Is(err, errNoAccount) { // no option of getent's
		t.Errorf("error %v", err)
	}
}

func TestOwnerBehindSudo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: only root acts for somebody else")
	}
	nobody, err := accountByName("nobody")
	if err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]string{"": "root", "0": "root", "x": "root", "65534": nobody.Name} {
		t.Setenv("SUDO_UID", uid)
		if got, err := Owner(); err != nil || got.Name != want {
			t.Errorf("SUDO_UID=%s: %s, %v; want %s", uid, got.Name, err, want)
		}
	}
	t.Setenv("SUDO_UID", "3999999999")
	if _, err := Owner(); err == nil {
		t.Error("a uid without an account is an owner")
	}
}

func TestSudoersName(t *testing.T) {
	for name, want := range map[string]string{"alice": "alice", "Jane.Doe": "Jane.Doe", "ALL": "#1000", "a,b": "#1000", "%wheel": "#1000", `DOM\x`: "#1000", "a=b": "#1000"} {
		if got := sudoersName(Account{Name: name, UID: 1000}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
