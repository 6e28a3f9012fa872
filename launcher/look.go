package launcher

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sandbox-audio/launcher/gvdb"
)

// How the owner's desktop looks goes along with the display: theme, icons, cursor, fonts, scale, dark or light. What the
// environment does not say stands in settings, of which named ones, and no others, are copied into the helper's session.
// They are its defaults there, of the rank of a system's: what the helper's programs set for themselves goes before them.
//
//	~/.config/gtk-3.0/settings.ini ─┐                 sandbox-look/gtk-3.0/settings.ini   ◄─ XDG_CONFIG_DIRS
//	~/.config/kdeglobals …         ─┼─ named keys ──► sandbox-look/kdeglobals …
//	~/.config/dconf/user           ─┘                 sandbox-look/dconf                  ◄─ DCONF_PROFILE
//	~/.config/fontconfig/fonts.conf ────────────────► sandbox-look/owner-fonts.conf       ◄─ FONTCONFIG_FILE
//
// For fonts, themes and icons that the owner has at home see carriage. Browsers confine what shows pages, and Firefox leaves to
// it the folders of XDG_CONFIG_DIRS and the fonts of XDG_DATA_DIRS (SandboxBrokerPolicyFactory.cpp), so that all lies there.
//
// An X server tells much of it itself (RESOURCE_MANAGER, XSETTINGS), and so it needs no more on a shared one.
type look struct {
	owner  string     // home
	config string     // the owner's configuration folder
	dirs   string     // the system's, in order
	dconf  bool       // the owner has settings in dconf
	copy   string     // where the helper has the owner's fonts, themes and icons
	trees  []lookTree // from which
	fonts  bool       // the owner has fonts, or settings for them
}

// lookDir is the folder in the helper's runtime directory.
const lookDir = "sandbox-look"

func findLook(environ []string, home, helper string) look {
	l := look{owner: home, config: lookup(environ, "XDG_CONFIG_HOME"), dirs: "/etc/xdg", copy: filepath.Join(helper, lookCopy)}
	if !filepath.IsAbs(l.config) {
		l.config = filepath.Join(home, ".config")
	}
	data := lookup(environ, "XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		data = filepath.Join(home, ".local/share")
	}
	system := slices.DeleteFunc(filepath.SplitList(lookup(environ, "XDG_CONFIG_DIRS")), func(dir string) bool {
		return !filepath.IsAbs(dir) || pointsInto(dir, home)
	})
	if len(system) > 0 {
		l.dirs = strings.Join(system, ":")
	}
	_, err := os.Stat(l.dconfPath())
	l.dconf = err == nil
	l.trees = findTrees(home, data, func() []string { return l.themes(environ) })
	l.fonts = slices.ContainsFunc(l.trees, func(t lookTree) bool { return t.part() == "fonts" }) || len(l.fontSettings()) > 0
	return l
}

func (l look) dconfPath() string { return filepath.Join(l.config, "dconf/user") }

// environ is what leads the helper's programs to the files.
func (l look) environ(runtimeDir string) []string {
	dir := filepath.Join(runtimeDir, lookDir)
	env := []string{"XDG_CONFIG_DIRS=" + dir + ":" + l.dirs}
	if l.dconf {
		env = append(env, "DCONF_PROFILE="+dir+"/dconf-profile")
	}
	if l.fonts {
		env = append(env, "FONTCONFIG_FILE="+dir+"/fonts.conf")
	}
	if len(l.trees) > 0 {
		home := strings.TrimSuffix(l.copy, "/"+lookCopy)
		env = append(env, "XDG_DATA_DIRS="+l.copy+":/usr/local/share:/usr/share",
			"XCURSOR_PATH="+home+"/.local/share/icons:"+home+"/.icons:"+l.copy+"/icons:/usr/local/share/icons:/usr/share/icons:/usr/share/pixmaps")
	}
	return env
}

// fontSettings is the owner's fonts.conf(5). One that leads to other files is of no use without them.
func (l look) fontSettings() []byte {
	text := readSome(filepath.Join(l.config, "fontconfig/fonts.conf"))
	if bytes.Contains(text, []byte("<include")) || pointsInto(string(text), l.owner) || xml.Unmarshal(text, new(struct{})) != nil {
		return nil
	}
	return text
}

// fontFile leads fontconfig to the owner's fonts and to both users' settings, of which the first say most.
func (l look) fontFile(dir string) []byte {
	var b bytes.Buffer
	b.WriteString("<fontconfig>\n")
	b.WriteString("<include ignore_missing=\"yes\" prefix=\"xdg\">fontconfig/conf.d</include>\n")
	b.WriteString("<include ignore_missing=\"yes\" prefix=\"xdg\">fontconfig/fonts.conf</include>\n")
	b.WriteString("<include ignore_missing=\"yes\">")
	_ = xml.EscapeText(&b, []byte(filepath.Join(dir, "owner-fonts.conf")))
	b.WriteString("</include>\n<include ignore_missing=\"yes\">/etc/fonts/fonts.conf</include>\n<dir>")
	_ = xml.EscapeText(&b, []byte(filepath.Join(l.copy, "fonts")))
	b.WriteString("</dir>\n</fontconfig>\n")
	return b.Bytes()
}

// themes is the names of those that the owner has chosen, of whatever kind: for widgets, windows, icons or the cursor.
func (l look) themes(environ []string) (names []string) {
	gtk, _, _ := strings.Cut(lookup(environ, "GTK_THEME"), ":") // a variant follows
	names = append(names, gtk, lookup(environ, "XCURSOR_THEME"))
	for _, f := range lookFiles {
		for line := range strings.Lines(string(l.keep(f, readSome(filepath.Join(l.config, f.name))))) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
			case "gtk-theme-name", "gtk-icon-theme-name", "gtk-cursor-theme-name", "Theme", "cursorTheme":
				names = append(names, strings.Trim(value, `"'`))
			}
		}
	}
	for line := range strings.Lines(string(readSome(filepath.Join(l.config, "xfce4/xfconf/xfce-perchannel-xml/xsettings.xml")))) {
		if _, key, ok := strings.Cut(line, ` name="`); ok && slices.ContainsFunc([]string{`ThemeName"`, `IconThemeName"`, `CursorThemeName"`}, func(name string) bool { return strings.HasPrefix(key, name) }) {
			_, value, _ := strings.Cut(line, ` value="`)
			name, _, _ := strings.Cut(value, `"`)
			names = append(names, name)
		}
	}
	values, err := gvdb.Parse(readSome(l.dconfPath()))
	if err != nil {
		return names
	}
	for _, d := range lookDconf {
		for _, key := range []string{"gtk-theme", "icon-theme", "cursor-theme", "theme"} {
			if name, ok := strings.CutSuffix(string(values[d.path+key]), "\x00\x00s"); ok { // a string in a variant
				names = append(names, name)
			}
		}
	}
	return names
}

// files is the settings, by the names of files in the runtime directory. What cannot be read is not carried over: it is
// looks, and the programs have others.
func (l look) files(runtimeDir string) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range lookFiles {
		if text := l.keep(f, readSome(filepath.Join(l.config, f.name))); len(text) > 0 {
			files[filepath.Join(lookDir, f.name)] = text
		}
	}
	if l.fonts {
		files[lookDir+"/fonts.conf"] = l.fontFile(filepath.Join(runtimeDir, lookDir))
		files[lookDir+"/owner-fonts.conf"] = []byte(cmp.Or(string(l.fontSettings()), "<fontconfig/>"))
	}
	if !l.dconf {
		return files
	}
	values, err := gvdb.Parse(readSome(l.dconfPath()))
	if err != nil {
		values = nil // the file must be there, as dconf(7) has it, if only without settings
	}
	named := map[string][]byte{}
	for _, d := range lookDconf {
		for _, key := range d.keys {
			if value, ok := values[d.path+key]; ok && !pointsInto(string(value), l.owner) {
				named[d.path+key] = value
			}
		}
	}
	db, err := gvdb.Format(named)
	if err != nil {
		return files
	}
	files[lookDir+"/dconf"] = db
	profile := "user-db:user\nfile-db:" + filepath.Join(runtimeDir, lookDir, "dconf") + "\n"
	for line := range strings.Lines(string(readSome("/etc/dconf/profile/user"))) {
		if source := strings.TrimSpace(line); strings.HasPrefix(source, "system-db:") || strings.HasPrefix(source, "file-db:") {
			profile += source + "\n"
		}
	}
	files[lookDir+"/dconf-profile"] = []byte(profile)
	return files
}

// lookFile is a file of lines KEY=VALUE in groups, and the keys that are copied. A group that ends in a star is every one that
// begins so; no keys are all.
type lookFile struct {
	name string
	keep []lookGroup
}

type lookGroup struct {
	group string
	keys  []string
}

var gtkKeys = []lookGroup{{"Settings", []string{
	"gtk-theme-name", "gtk-icon-theme-name", "gtk-font-name", "gtk-cursor-theme-name", "gtk-cursor-theme-size",
	"gtk-application-prefer-dark-theme", "gtk-xft-antialias", "gtk-xft-hinting", "gtk-xft-hintstyle", "gtk-xft-rgba", "gtk-xft-dpi",
	"gtk-decoration-layout", "gtk-enable-animations", "gtk-overlay-scrolling", "gtk-primary-button-warps-slider",
}}}

var lookFiles = []lookFile{
	{"gtk-3.0/settings.ini", gtkKeys},
	{"gtk-4.0/settings.ini", gtkKeys},
	{"kdeglobals", []lookGroup{
		{"General", []string{"ColorScheme", "AccentColor", "font", "fixed", "menuFont", "smallestReadableFont", "toolBarFont"}},
		{"Icons", []string{"Theme"}},
		{"KDE", []string{"widgetStyle", "LookAndFeelPackage", "SingleClick", "AnimationDurationFactor", "ScrollbarLeftClickNavigatesByPage"}},
		{"Colors:*", nil}, {"ColorEffects:*", nil},
		{"WM", []string{"activeBackground", "activeForeground", "activeBlend", "inactiveBackground", "inactiveForeground", "inactiveBlend"}},
	}},
	{"kcminputrc", []lookGroup{{"Mouse", []string{"cursorTheme", "cursorSize"}}}},
}

var lookDconf = []struct {
	path string
	keys []string
}{
	{"/org/gnome/desktop/interface/", interfaceKeys},
	{"/org/cinnamon/desktop/interface/", interfaceKeys},
	{"/org/mate/desktop/interface/", interfaceKeys},
	{"/org/gnome/desktop/wm/preferences/", []string{"button-layout", "titlebar-font", "theme"}},
	{"/org/gnome/desktop/a11y/interface/", []string{"high-contrast"}},
}

var interfaceKeys = []string{
	"accent-color", "color-scheme", "gtk-theme", "icon-theme", "cursor-theme", "cursor-size", "font-name", "document-font-name", "monospace-font-name",
	"font-antialiasing", "font-hinting", "font-rgba-order", "text-scaling-factor", "scaling-factor", "window-scaling-factor", "enable-animations",
	"overlay-scrolling", "clock-format",
}

// keep is the named lines of a file, those that tell of the owner's home left out.
func (l look) keep(f lookFile, text []byte) []byte {
	var b bytes.Buffer
	var in *lookGroup
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if group, ok := strings.CutPrefix(line, "["); ok {
			in = nil
			if group, ok = strings.CutSuffix(group, "]"); !ok {
				continue
			}
			if i := slices.IndexFunc(f.keep, func(g lookGroup) bool { return g.has(group) }); i >= 0 {
				in = &f.keep[i]
				b.WriteString(line + "\n")
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); ok && in != nil && (in.keys == nil || slices.Contains(in.keys, key)) && !pointsInto(value, l.owner) {
			b.WriteString(key + "=" + strings.TrimSpace(value) + "\n")
		}
	}
	return b.Bytes()
}

func (g lookGroup) has(name string) bool {
	prefix, star := strings.CutSuffix(g.group, "*")
	return name == g.group || star && strings.HasPrefix(name, prefix)
}

// readSome is a file that may be missing, or not be one, as far as it is of a sensible size.
func readSome(path string) []byte {
	const most = 4 << 20
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() > most {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, most))
	return text
}
