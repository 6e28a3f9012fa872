package launcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestLookKeepsNamedKeysOnly(t *testing.T) {
	l := look{owner: "/home/alice"}
	f := lookFile{"kdeglobals", []lookGroup{{"General", []string{"font", "ColorScheme"}}, {"Colors:*", nil}}}
	got := string(l.keep(f, []byte("password=1\n[General]\nfont = Noto,10\nsecret=2\n# note\nColorScheme=/home/alice/x.colors\n[Recent]\nfont=3\n[Colors:View][Inactive]\nBackground=1,2,3\n[broken\nfont=4\n")))
	if want := "[General]\nfont=Noto,10\n[Colors:View][Inactive]\nBackground=1,2,3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindLook(t *testing.T) {
	home := t.TempDir()
	for dirs, want := range map[string]string{"": "/etc/xdg", "/etc/xdg/xdg-ubuntu:/etc/xdg": "/etc/xdg/xdg-ubuntu:/etc/xdg", home + "/x:/etc/xdg:relative": "/etc/xdg"} {
		l := findLook([]string{"XDG_CONFIG_DIRS=" + dirs}, home, "/home/h")
		if got, want := l.environ("/run/h"), []string{"XDG_CONFIG_DIRS=/run/h/sandbox-look:" + want}; !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", dirs, got, want)
		}
	}
	if got := findLook([]string{"XDG_CONFIG_HOME=/elsewhere"}, home, "/home/h").config; got != "/elsewhere" {
		t.Errorf("the owner's settings are looked for in %s", got)
	}
}

// A helper's program finds the owner's look as its defaults, and nothing else of the files it comes from; what the helper
// sets for itself goes before it. It goes with the session.
func TestLook(t *testing.T) {
	o := newXOwner(t)
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(o.owner.Home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(".config/gtk-3.0/settings.ini", "[Settings]\ngtk-theme-name=Adwaita-dark\ngtk-modules=secret\n")
	write(".config/kdeglobals", "[General]\nfont=Noto Sans,11\n[KFileDialog Settings]\nLast=secret\n")
	write("keys/k", "[org/gnome/desktop/interface]\ncolor-scheme='prefer-dark'\ncursor-size=48\n[org/gnome/evolution]\naccount='secret'\n")
	if err := os.MkdirAll(o.owner.Home+"/.config/dconf", 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dconf", "compile", o.owner.Home+"/.config/dconf/user", o.owner.Home+"/keys").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("chown", "-R", o.owner.Name+":", o.owner.Home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := startTalk(t, o.run(o.environ()))
	const read = "gsettings get org.gnome.desktop.interface "
	for line, want := range map[string]string{
		read + "color-scheme": "'prefer-dark'",
		read + "cursor-size":  "48",
		`for d in $(echo $XDG_CONFIG_DIRS | tr : ' '); do cat $d/gtk-3.0/settings.ini $d/kdeglobals 2>/dev/null; done | tr '\n' ' '; echo`: "[Settings] gtk-theme-name=Adwaita-dark [General] font=Noto Sans,11",
		`grep -rl secret $XDG_RUNTIME_DIR/sandbox-look | wc -l`:                                                                            "0",
		`find $XDG_RUNTIME_DIR/sandbox-look -perm /077 | wc -l`:                                                                            "0",
	} {
		if got := program.say(t, line); got != want {
			t.Errorf("%s: %s, not %s", line, got, want)
		}
	}
	if got := program.say(t, "gsettings set org.gnome.desktop.interface cursor-size 24; "+read+"cursor-size"); got != "24" {
		t.Errorf("after the helper has chosen for itself: %s", got)
	}
	second := startTalk(t, o.run(o.environ()))
	if got := second.say(t, read+"cursor-size"); got != "24" {
		t.Errorf("another run overwrites what the helper chose: %s", got)
	}
	program.end(t)
	second.end(t)
	nothingLeft(t, o.profile)
	if out, err := o.run(nil, "sh", "-c", "echo [$XDG_CONFIG_DIRS$DCONF_PROFILE]").Output(); err != nil || string(out) != "[]\n" {
		t.Errorf("without a display: %s, %v", out, err)
	}
}
