package launcher

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"sandbox-audio/launcher/desktopfile"
)

// desk is the home of an owner with a desktop, and a system folder of entries.
func desk(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for name, dir := range map[string]string{
		"XDG_DATA_HOME": ".local/share", "XDG_CONFIG_HOME": ".config", "XDG_STATE_HOME": ".local/state", "XDG_DATA_DIRS": "usr/share",
	} {
		t.Setenv(name, filepath.Join(home, dir))
	}
	t.Setenv("XDG_CURRENT_DESKTOP", "Test:GNOME")
	xdg.Reload()
	t.Cleanup(xdg.Reload)
	put(t, home+"/usr/share/applications/fire.desktop", fireEntry)
	return home
}

const fireEntry = `# the fire
[Desktop Entry]
Type=Application
Name=Fire
Name[de]=Feuer
Comment=Browse
Exec="/usr/lib/fire fox/fire" %u
TryExec=/usr/lib/fire fox/fire
Icon=fire
MimeType=text/html;x-scheme-handler/http;x-scheme-handler/https;
DBusActivatable=true
Actions=new;
X-Extra = kept

[Desktop Action new]
Name=New
Name[de]=Neu
Exec=/usr/lib/fire --new %u
`

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree is every file below a directory: mode and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(path string, st os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		text := st.Mode().String() + " "
		if st.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(b)
		}
		all[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func noFetch(path string) ([]byte, error) {
	return nil, errors.New("not for the helper to read: " + path)
}

var ofDefault, ofBank = &Profile{Name: DefaultProfile, Home: "/nonexistent/h"}, &Profile{Name: "bank", Home: "/nonexistent/b"}

func mustAdd(t *testing.T, p *Profile, req DesktopRequest) {
	t.Helper()
	req.Profile = p.Name
	if err := AddDesktop(p, req, noFetch, false, quiet); err != nil {
		t.Fatal(err)
	}
}

func mustRemove(t *testing.T, p *Profile, app string) {
	t.Helper()
	if err := RemoveDesktop(p.Name, app, false, quiet); err != nil {
		t.Fatal(err)
	}
}

func TestDesktopEntry(t *testing.T) {
	home := desk(t)
	mustAdd(t, ofBank, DesktopRequest{App: "fire"})
	got, err := os.ReadFile(home + "/.local/share/applications/fire-bank.desktop")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := desktopfile.QuoteArg(self) + " run --menu --profile bank -- "
	want := strings.NewReplacer(
		"Name=Fire", "Name=Fire (bank)", "Name[de]=Feuer", "Name[de]=Feuer (bank)", `Exec="`, "Exec="+run+`"`, "Exec=/", "Exec="+run+"/",
		"DBusActivatable=true", "DBusActivatable=false", "TryExec=/usr/lib/fire fox/fire", "TryExec="+self,
	).Replace(fireEntry)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Whatever reader looks at the entry, and whichever of several lines it goes by, the program runs as the helper: an entry may be
// the helper's own work.
func TestEveryExecIsTheHelpers(t *testing.T) {
	home := desk(t)
	put(t, home+"/usr/share/applications/sly.desktop", "[Desktop Entry]\nType=Application\nName=x\nExec=x\nDBusActivatable=true\nExec=evil\nDBusActivatable=true\n"+
		"[New Shortcut Group]\nName=n\nExec=evil\n[Desktop Entry]\nExec = evil\n[Desktop Entry][$i]\nExec=evil\n")
	mustAdd(t, ofBank, DesktopRequest{App: "sly"})
	text, err := os.ReadFile(home + "/.local/share/applications/sly-bank.desktop")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); key == "Exec" && !strings.Contains(value, " run --menu --profile bank -- ") || key == "DBusActivatable" && value != "false\n" {
			t.Errorf("%s stands in\n%s", line, text)
		}
	}
}

// Entries come, in any combination, and go, in any order; then every file and directory is as it was, byte for byte.
func TestDesktopIsUndone(t *testing.T) {
	type add struct {
		p   *Profile
		req DesktopRequest
	}
	browser := add{ofDefault, DesktopRequest{App: "fire", DefaultBrowser: true}}
	for name, adds := range map[string][]add{
		"one":        {{ofDefault, DesktopRequest{App: "fire.desktop"}}},
		"a browser":  {browser},
		"twice":      {browser, browser, {ofDefault, DesktopRequest{App: "fire"}}},
		"a replaced": {{ofDefault, DesktopRequest{App: "fire", Replace: true, DefaultBrowser: true}}},
		"two":        {browser, {ofBank, DesktopRequest{App: "fire", DefaultBrowser: true}}},
		"both kinds": {{ofDefault, DesktopRequest{App: "fire", Replace: true}}, {ofBank, DesktopRequest{App: "fire"}}},
	} {
		for setting, prepare := range map[string]func(home string){
			"an empty home": func(string) {},
			"a used one": func(home string) {
				put(t, home+"/.local/share/applications/fire.desktop", "[Desktop Entry]\nType=Application\nName=Mine\nExec=mine\nMimeType=x-scheme-handler/http;")
				put(t, home+"/.config/mimeapps.list", "# mine\n[Default Applications]\ntext/html=a.desktop;b.desktop\n\n[Added Associations]\nx/y=z.desktop;")
				put(t, home+"/.config/gnome-mimeapps.list", "[Default Applications]\nx-scheme-handler/http=gnome.desktop")
				put(t, home+"/.local/share/applications/mimeinfo.cache", "[MIME Cache]\nstale=x.desktop;\n")
			},
		} {
			for _, order := range []string{"in order", "in reverse"} {
				t.Run(name+" in "+setting+" "+order, func(t *testing.T) {
					home := desk(t)
					prepare(home)
					before := tree(t, home)
					for _, a := range adds {
						a.req.Profile = a.p.Name
						if err := AddDesktop(a.p, a.req, noFetch, true, quiet); err != nil {
							t.Fatal(err)
						}
					}
					sameSnapshot(t, "after a dry run", tree(t, home), before)
					for _, a := range adds {
						mustAdd(t, a.p, a.req)
					}
					entries, err := DesktopEntries()
					if err != nil || len(entries) == 0 {
						t.Fatalf("entries %v, %v", entries, err)
					}
					if order == "in reverse" {
						slices.Reverse(entries)
					}
					for _, e := range entries {
						if err := RemoveDesktop(e.Profile, e.ID, true, quiet); err != nil {
							t.Fatal(err)
						}
						if err := RemoveDesktop(e.Profile, e.ID, false, quiet); err != nil {
							t.Fatal(err)
						}
					}
					sameSnapshot(t, "after all were removed", tree(t, home), before)
				})
			}
		}
	}
}

// What others have written into a list meanwhile stays.
func TestDefaultsOfOthersStay(t *testing.T) {
	home := desk(t)
	list := home + "/.config/mimeapps.list"
	put(t, list, "[Default Applications]\ntext/html=old.desktop\n")
	mustAdd(t, ofDefault, DesktopRequest{App: "fire", DefaultBrowser: true})
	text, err := os.ReadFile(list)
	if err != nil || !strings.Contains(string(text), "\ntext/html=fire-sandbox.desktop;old.desktop\nx-scheme-handler/http=fire-sandbox.desktop;\n") {
		t.Fatalf("%v: %s", err, text)
	}
	put(t, list, string(text)+"image/png=new.desktop\n")
	mustRemove(t, ofDefault, "fire")
	if text, err := os.ReadFile(list); err != nil || string(text) != "[Default Applications]\ntext/html=old.desktop\nimage/png=new.desktop\n" {
		t.Errorf("%v: %s", err, text)
	}
}

// A desktop's own list, where it names a browser, goes before the general one.
func TestDefaultOfTheDesktop(t *testing.T) {
	home := desk(t)
	put(t, home+"/.config/gnome-mimeapps.list", "[Default Applications]\nx-scheme-handler/https=old.desktop\n")
	put(t, home+"/.config/test-mimeapps.list", "[Default Applications]\nimage/png=old.desktop\n")
	mustAdd(t, ofDefault, DesktopRequest{App: "fire", DefaultBrowser: true})
	for name, want := range map[string]bool{"mimeapps.list": true, "gnome-mimeapps.list": true, "test-mimeapps.list": false} {
		text, err := os.ReadFile(home + "/.config/" + name)
		if err != nil || strings.Contains(string(text), "fire-sandbox") != want {
			t.Errorf("%s: %v: %s", name, err, text)
		}
	}
}

// Icons and entries that only the helper can read are copied.
func TestDesktopOfTheHelper(t *testing.T) {
	home := desk(t)
	theirs := map[string]string{
		ofDefault.Home + "/.local/share/applications/app.desktop": "[Desktop Entry]\nType=Application\nName=App\nExec=app\nIcon=" + ofDefault.Home + "/icon.png\n",
		ofDefault.Home + "/icon.png":                              "PNG",
	}
	fetch := func(path string) ([]byte, error) {
		text, ok := theirs[path]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}
	before := tree(t, home)
	if err := AddDesktop(ofDefault, DesktopRequest{App: "app"}, fetch, false, quiet); err != nil {
		t.Fatal(err)
	}
	icon := home + "/.local/share/sandbox-audio/icons/app-sandbox.png"
	if text, err := os.ReadFile(icon); err != nil || string(text) != "PNG" {
		t.Errorf("icon %q, %v", text, err)
	}
	if text, err := os.ReadFile(home + "/.local/share/applications/app-sandbox.desktop"); err != nil || !strings.Contains(string(text), "\nIcon="+icon+"\n") {
		t.Errorf("%v: %s", err, text)
	}
	mustRemove(t, ofDefault, "app")
	sameSnapshot(t, "after removing it", tree(t, home), before)
}

func TestDesktopRefuses(t *testing.T) {
	home := desk(t)
	put(t, home+"/usr/share/applications/sub/plain-one.desktop", "[Desktop Entry]\nType=Application\nName=x\nExec=x\n")
	put(t, home+"/usr/share/applications/broken.desktop", "[Desktop Entry]\nType=Application\nName=x\nExec=x \"y\n")
	put(t, home+"/usr/share/applications/bus.desktop", "[Desktop Entry]\nType=Application\nName=x\nDBusActivatable=true\n")
	put(t, home+"/usr/share/applications/kde.desktop", "[Desktop Entry]\nType=Application\nName=x\nExec=x\nExec[$e]=evil\n")
	put(t, home+"/usr/share/applications/link.desktop", "[Desktop Entry]\nType=Link\nName=x\nURL=x\n")
	put(t, home+"/usr/share/applications/gone.desktop", "[Desktop Entry]\nType=Application\nHidden=true\n")
	put(t, home+"/.local/share/applications/fire-bank.desktop", "not ours")
	before := tree(t, home)
	for _, c := range []struct {
		req  DesktopRequest
		want string
	}{
		{DesktopRequest{App: "fir"}, "there is fire"},
		{DesktopRequest{App: "nothing"}, "no desktop entry nothing.desktop"},
		{DesktopRequest{App: "sub-plain-one", DefaultBrowser: true}, "cannot be the default browser"},
		{DesktopRequest{App: "broken"}, "a quote that does not end"},
		{DesktopRequest{App: "bus"}, "no Exec line"},
		{DesktopRequest{App: "kde"}, "Exec[$e]"},
		{DesktopRequest{App: "link"}, "not that of an application"},
		{DesktopRequest{App: "gone"}, "deleted"},
		{DesktopRequest{App: "fire"}, "move it away"},
		{DesktopRequest{App: "/nonexistent/x.desktop"}, "no such file"},
	} {
		if err := AddDesktop(ofBank, c.req, noFetch, false, quiet); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.req, err)
		}
	}
	if err := RemoveDesktop("default", "fire", false, quiet); err == nil || !strings.Contains(err.Error(), "desktop list") {
		t.Errorf("removed nothing: %v", err)
	}
	sameSnapshot(t, "after the refusals", tree(t, home), before)
}

// Every entry of this machine's menus makes one that is valid, if it is valid itself.
func TestEntriesAreValid(t *testing.T) {
	validate, err := exec.LookPath("desktop-file-validate")
	if err != nil {
		t.Skip(err)
	}
	paths, err := filepath.Glob("/usr/share/applications/*.desktop")
	if err != nil || len(paths) == 0 {
		t.Skip("no entries on this machine")
	}
	home := desk(t)
	for _, path := range paths {
		for _, replace := range []bool{false, true} {
			if err := AddDesktop(ofDefault, DesktopRequest{App: path, Replace: replace}, noFetch, false, quiet); err != nil {
				t.Logf("%s: %v", path, err)
				continue
			}
			id := filepath.Base(path)
			if !replace {
				id = strings.TrimSuffix(id, ".desktop") + "-sandbox.desktop"
			}
			before, _ := exec.Command(validate, path).CombinedOutput()
			after, err := exec.Command(validate, home+"/.local/share/applications/"+id).CombinedOutput()
			if err != nil && !strings.Contains(string(before), "error: ") {
				t.Errorf("%s: %s", path, after)
			}
			mustRemove(t, ofDefault, id)
		}
	}
}
