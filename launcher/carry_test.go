package launcher

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// putHome writes files below a home, and gives all there to its owner.
func putHome(t *testing.T, owner Account, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(owner.Home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-hR", owner.Name+":", owner.Home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// contents is what lies below a folder, but for stamps.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == stampFile {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.Type() == fs.ModeSymlink {
			to, err := os.Readlink(path)
			all[name] = "-> " + to
			return err
		}
		text, err := os.ReadFile(path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A helper's program has the owner's fonts and the theme in use, and nothing that lies beside them; the copy follows what the
// owner changes, and goes with the helper.
func TestOwnersFontsAndThemes(t *testing.T) {
	o := newXOwner(t)
	font, err := os.ReadFile("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf")
	if err != nil {
		t.Fatal(err)
	}
	putHome(t, o.owner, map[string]string{
		".config/gtk-3.0/settings.ini":      "[Settings]\ngtk-theme-name=Mine\ngtk-icon-theme-name=Signs\n",
		".config/fontconfig/fonts.conf":     `<fontconfig><alias><family>monospace</family><prefer><family>Own Choice</family></prefer></alias></fontconfig>`,
		".fonts/Own.ttf":                    string(font),
		".fonts/secret.txt":                 "secret",
		".local/share/fonts/x/Other.otf":    "no font at all",
		".local/share/fonts/Home.ttf":       "-> ../../../secret.ttf",
		"secret.ttf":                        "secret",
		".themes/Mine/gtk-3.0/gtk.css":      "one",
		".themes/Mine/.git/secret":          "secret",
		".themes/Mine/away":                 "-> ../../secret.ttf",
		".themes/Mine/root":                 "-> /etc/passwd",
		".themes/Mine/near":                 "-> gtk-3.0/gtk.css",
		".themes/Yours/gtk-3.0/gtk.css":     "secret",
		".icons/Signs/index.theme":          "[Icon Theme]\nInherits=Base, hicolor\n",
		".icons/Signs/16":                   "-> ../Drawn/16",
		".icons/secret":                     "secret",
		".local/share/icons/Base/a.png":     "a",
		".icons/Drawn/16/b.svg":             "b",
		".local/share/icons/hicolor/s.png":  "secret",
		".local/share/applications/secret":  "secret",
		".icons/Signs/cursors/left_ptr.txt": "c",
	})
	if err := syscall.Mkfifo(o.owner.Home+"/.themes/Mine/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"fonts/0/x/Other.otf": "no font at all", "fonts/1/Own.ttf": string(font),
		"themes/Mine/gtk-3.0/gtk.css": "one", "themes/Mine/near": "-> gtk-3.0/gtk.css",
		"icons/Signs/index.theme": "[Icon Theme]\nInherits=Base, hicolor\n", "icons/Signs/16": "-> ../Drawn/16", "icons/Signs/cursors/left_ptr.txt": "c",
		"icons/Drawn/16/b.svg": "b", "icons/Base/a.png": "a",
	}
	dir := filepath.Join(o.profile.Home, lookCopy)
	run := func(line string) string {
		t.Helper()
		cmd := o.run(o.environ(), "sh", "-c", line)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Fatalf("%v: %s%s", err, out, said.String())
		}
		return strings.TrimSpace(string(out))
	}
	same := func() {
		t.Helper()
		if got := contents(t, dir); !maps.Equal(got, want) {
			t.Errorf("there is %q, not %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if got := run(`fc-list : file | grep -c "^$HOME/.cache/sandbox-audio/look/fonts/1/Own.ttf"; fc-list : file | grep -c ^/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf; fc-pattern -c monospace family | tr -d '\n'`); !strings.HasPrefix(got, "1\n1\n") || !strings.Contains(got, `family: "Own Choice"`) {
		t.Errorf("the fonts: %q", got)
	}
	same()
	if got := run(`for d in $(echo $XDG_DATA_DIRS | tr : ' '); do cat $d/themes/Mine/near 2>/dev/null; done; for d in $(echo $XCURSOR_PATH | tr : ' '); do cat $d/Signs/16/b.svg 2>/dev/null; done; find ~/.cache/sandbox-audio ! -type l -perm /077`); got != "oneb" {
		t.Errorf("the themes: %q", got)
	}

	before, err := os.Stat(dir + "/fonts")
	if err != nil {
		t.Fatal(err)
	}
	putHome(t, o.owner, map[string]string{".themes/Mine/gtk-3.0/gtk.css": "another"})
	if err := os.Remove(o.owner.Home + "/.icons/Drawn/16/b.svg"); err != nil {
		t.Fatal(err)
	}
	run("true")
	want["themes/Mine/gtk-3.0/gtk.css"] = "another"
	delete(want, "icons/Drawn/16/b.svg")
	same()
	if after, err := os.Stat(dir + "/fonts"); err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the fonts have been copied again: %v", err)
	}

	for _, name := range []string{".fonts", ".local/share/fonts", ".themes/Mine", ".icons"} {
		if err := os.RemoveAll(filepath.Join(o.owner.Home, name)); err != nil {
			t.Fatal(err)
		}
	}
	run("true")
	want = map[string]string{}
	same()
	putHome(t, o.owner, map[string]string{".fonts/Own.ttf": string(font)})
	run("true")
	nothingLeft(t, o.profile)
	mustTeardown(t, o.owner, DefaultProfile, false)
	if _, err := os.Lstat(filepath.Dir(dir)); err == nil {
		t.Errorf("%s is left", dir)
	}
}

// What cannot be kept is told, and the program runs all the same.
func TestLookThatCannotBeKept(t *testing.T) {
	o := newXOwner(t)
	putHome(t, o.owner, map[string]string{".fonts/Own.ttf": "x"})
	if out, err := o.run(nil, "sh", "-c", "mkdir -p ~/.cache/sandbox-audio; echo > ~/.cache/sandbox-audio/look").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := o.run(o.environ(), "echo", "runs").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "runs\n") || !strings.Contains(string(out), "note: not all of your fonts, themes and icons") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTooManyFontsStay(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a.ttf", "b.TTF"} {
		if err := os.WriteFile(filepath.Join(base, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trees := []lookTree{{base, ".", "fonts/0"}}
	if c, notes := collect(trees); len(c["fonts"]) != 2 || len(notes) > 0 {
		t.Errorf("%v, %q", c, notes)
	}
	if err := os.Truncate(filepath.Join(base, "a.ttf"), maxBytes+1); err != nil {
		t.Fatal(err)
	}
	c, notes := collect(trees)
	if len(c) > 0 || len(notes) != 1 || !strings.Contains(notes[0], "/usr/local/share/fonts") {
		t.Errorf("%v, %q", c, notes)
	}
	if stamps := c.stamps(); stamps["fonts"] != "" || len(stamps) != len(lookParts) {
		t.Errorf("stamps %q", stamps)
	}
}

// A file that has changed since it was listed, into a pipe even, is left out, and the archive stays whole.
func TestPackLeavesOutWhatChanges(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a.ttf", "b.ttf", "c.ttf"} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := collect([]lookTree{{base, ".", "fonts/0"}})
	os.Remove(base + "/a.ttf")
	if err := syscall.Mkfifo(base+"/a.ttf", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(base+"/b.ttf", time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	packed := make(chan error, 1)
	go func() {
		defer w.Close()
		packed <- pack(w, c["fonts"], "stamp")
	}()
	if err := replace(root, "fonts", "stamp", r); err != nil {
		t.Fatal(err)
	}
	if err := <-packed; err != nil {
		t.Fatal(err)
	}
	if got, want := contents(t, root.Name()), map[string]string{"fonts/0/c.ttf": "c.ttf"}; !maps.Equal(got, want) {
		t.Errorf("there is %q, not %q", got, want)
	}
}

// An archive that breaks off leaves what was there, whole, and nothing beside it.
func TestHalfACopyIsNone(t *testing.T) {
	base := t.TempDir()
	if err := os.WriteFile(base+"/a.ttf", []byte(strings.Repeat("a", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := collect([]lookTree{{base, ".", "fonts/0"}})
	var archive bytes.Buffer
	if err := pack(&archive, c["fonts"], "first"); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := replace(root, "fonts", "first", bytes.NewReader(archive.Bytes())); err != nil {
		t.Fatal(err)
	}
	for n := range archive.Len()/512 - 2 { // the archive ends with two empty blocks
		if err := replace(root, "fonts", "first", bytes.NewReader(archive.Bytes()[:n*512])); err == nil {
			t.Errorf("%d blocks are taken for all", n)
		}
		if got := contents(t, root.Name()); len(got) != 1 || len(got["fonts/0/a.ttf"]) != 4096 {
			t.Errorf("after %d blocks there is %q", n, slices.Sorted(maps.Keys(got)))
		}
	}
}

// The plan names what goes along, and leads programs there; without anything it leads nowhere.
func TestPlanNamesFontsAndThemes(t *testing.T) {
	f := machine()
	f.owner.Home = t.TempDir()
	plan := func() string {
		t.Helper()
		p, err := f.plan(Request{Argv: []string{"mpv"}, Environ: []string{"DISPLAY=:0", "XCURSOR_THEME=Arrow", "HOME=" + f.owner.Home}}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		return p.String()
	}
	variables := []string{"FONTCONFIG_FILE=", "XDG_DATA_DIRS=" + f.helper.Home + "/" + lookCopy + ":", "XCURSOR_PATH="}
	text := plan()
	for _, no := range append(variables, "copied") {
		if strings.Contains(text, no) {
			t.Errorf("%s in:\n%s", no, text)
		}
	}
	for _, dir := range []string{".fonts", ".icons/Arrow", ".icons/Other"} {
		if err := os.MkdirAll(filepath.Join(f.owner.Home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text = plan()
	for _, want := range append(variables, "copied       "+f.owner.Home+"/.fonts ", "copied       "+f.owner.Home+"/.icons/Arrow ") {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Other") {
		t.Errorf("a theme that is not in use goes along:\n%s", text)
	}
}

func TestThemesInUse(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{
		".config/gtk-3.0/settings.ini": "[Settings]\ngtk-theme-name=a\ngtk-icon-theme-name = \"b\"\n",
		".config/kdeglobals":           "[Icons]\nTheme=c\n[Other]\nTheme=no\n",
		".config/kcminputrc":           "[Mouse]\ncursorTheme=d\n",
		".config/xfce4/xfconf/xfce-perchannel-xml/xsettings.xml": `<property name="ThemeName" type="string" value="e"/>` + "\n" +
			`<property name="SoundThemeName" type="string" value="no"/>` + "\n" + `<property name="CursorThemeName" type="string" value="f"/>`,
		"keys/k": "[org/gnome/desktop/interface]\ngtk-theme='g'\nfont-name='no'\n[org/gnome/desktop/wm/preferences]\ntheme='h'\n",
	} {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(home+"/.config/dconf", 0o700); err != nil {
		t.Fatal(err)
	}
	want := []string{"", "a", "b", "c", "d", "e", "f", "i"}
	if _, err := exec.LookPath("dconf"); err == nil {
		if out, err := exec.Command("dconf", "compile", home+"/.config/dconf/user", home+"/keys").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want = append(want, "g", "h")
	}
	environ := []string{"GTK_THEME=i:dark"}
	got := findLook(environ, home, "/home/h").themes(environ)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}
