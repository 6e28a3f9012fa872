package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adrg/xdg"

	"sandbox-audio/launcher/desktopfile"
)

// A desktop entry of the owner's starts a program as the helper. It is a copy of the program's own entry, changed as
// little as can be, beside it or in its place; everything is below the owner's home, so nothing here needs root.
//
//	.local/share/applications/ID.desktop       the copy
//	.local/share/sandbox-audio/icons/          icons that the owner could not read where they are
//	.config/mimeapps.list                      names it first, where it is to be the default browser
//	.local/state/sandbox-audio/desktop/ID.json the record: what was there before, so that it comes back byte for byte

// DesktopRequest is what a person asks of desktop add.
type DesktopRequest struct {
	App            string // a desktop id, with or without .desktop, or the path of an entry
	Profile        string
	Replace        bool // take the original's place in menus, instead of standing beside it
	DefaultBrowser bool // links clicked anywhere open with it
}

// DesktopEntry is an entry that was added.
type DesktopEntry struct {
	ID             string `json:"id"`      // of the copy
	App            string `json:"app"`     // desktop id of the original
	Profile        string `json:"profile"` // whose helper runs it
	Name           string `json:"name"`
	Program        string `json:"program"` // that the original starts
	DefaultBrowser bool   `json:"default_browser"`
}

// desktopRecord is an entry with all that undoing it takes.
type desktopRecord struct {
	DesktopEntry
	Types   []string     `json:"types,omitempty"` // that it is the default for
	Made    []string     `json:"made"`            // directories, in order
	Changes []fileChange `json:"changes"`
	Cache   fileChange   `json:"cache"` // of all entries' types
}

// AddDesktop adds an entry for a program that runs as the helper of the profile. fetch reads a file as that helper, for
// entries and icons that only it can read. An entry that is there already is made anew. When a step fails, those before
// it are undone.
func AddDesktop(p *Profile, req DesktopRequest, fetch func(path string) ([]byte, error), dryRun bool, report Report) error {
	d := &desktopAdd{profile: p, req: req, fetch: fetch}
	rec, err := d.plan()
	if err != nil {
		return err
	}
	if old, err := findDesktop(rec.ID); err == nil && !dryRun {
		if err := undo(old.steps(), false, func(string, Step) {}); err != nil {
			return err
		}
		if rec, err = d.plan(); err != nil { // what was there before is there again
			return err
		}
	}
	return apply(rec.steps(), dryRun, true, report)
}

// RemoveDesktop removes the entries that were added for app, which is the id of an original or of a copy, in one
// profile, and puts back what was there before.
func RemoveDesktop(profile, app string, dryRun bool, report Report) error {
	all, err := desktopRecords()
	if err != nil {
		return err
	}
	id, found := withSuffix(app), false
	for _, r := range all {
		if r.Profile != profile || r.ID != id && r.App != id {
			continue
		}
		found = true
		if err := undo(r.steps(), dryRun, report); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no desktop entry for %s was added in the profile %s; see: sandbox-audio desktop list", app, profile)
	}
	return nil
}

// DesktopEntries lists what AddDesktop has added, by id.
func DesktopEntries() ([]DesktopEntry, error) {
	all, err := desktopRecords()
	entries := []DesktopEntry{}
	for _, r := range all {
		entries = append(entries, r.DesktopEntry)
	}
	return entries, err
}

func withSuffix(id string) string { return strings.TrimSuffix(id, ".desktop") + ".desktop" }

func desktopDir() string { return filepath.Join(xdg.StateHome, "sandbox-audio", "desktop") }

func (r *desktopRecord) path() string { return filepath.Join(desktopDir(), r.ID+".json") }

func findDesktop(id string) (*desktopRecord, error) {
	r := &desktopRecord{DesktopEntry: DesktopEntry{ID: id}}
	err := readJSON(r.path(), r)
	return r, err
}

func desktopRecords() (all []*desktopRecord, err error) {
	paths, err := filepath.Glob(filepath.Join(desktopDir(), "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		r, err := findDesktop(strings.TrimSuffix(filepath.Base(path), ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// DesktopIDs lists the ids of all entries that menus show, those that were added excepted.
func DesktopIDs() (ids []string) {
	ours, _ := DesktopEntries() // what is wrong with the records, the commands about them say
	for _, dir := range applicationDirs() {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".desktop") {
				return nil // what cannot be read is not shown either
			}
			id := strings.ReplaceAll(strings.TrimPrefix(path, dir+"/"), "/", "-")
			if !slices.Contains(ids, id) && !slices.ContainsFunc(ours, func(e DesktopEntry) bool { return e.ID == id && e.App != id }) {
				ids = append(ids, id)
			}
			return nil
		})
	}
	slices.Sort(ids)
	return ids
}

// applicationDirs is where entries are, the first that has an id wins.
func applicationDirs() (dirs []string) {
	for _, dir := range append([]string{xdg.DataHome}, xdg.DataDirs...) {
		dirs = append(dirs, filepath.Join(dir, "applications"))
	}
	return dirs
}

// desktopAdd is one addition on its way from a request to a record.
type desktopAdd struct {
	profile *Profile
	req     DesktopRequest
	fetch   func(string) ([]byte, error)
}

// browserTypes are what a browser is asked to open; the first says that a program is one.
var browserTypes = []string{"x-scheme-handler/http", "x-scheme-handler/https", "text/html", "application/xhtml+xml", "x-scheme-handler/about", "x-scheme-handler/unknown"}

// plan reads the original entry and decides all changes. It makes none.
func (d *desktopAdd) plan() (*desktopRecord, error) {
	id, text, err := d.original()
	if err != nil {
		return nil, err
	}
	f, err := desktopfile.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the desktop entry %s: %w", id, err)
	}
	r := &desktopRecord{DesktopEntry: DesktopEntry{ID: id, App: id, Profile: d.profile.Name, DefaultBrowser: d.req.DefaultBrowser}}
	suffix := d.profile.Name
	if suffix == DefaultProfile {
		suffix = "sandbox"
	}
	if !d.req.Replace {
		r.ID = strings.TrimSuffix(id, ".desktop") + "-" + suffix + ".desktop"
		for _, key := range f.Keys(desktopfile.Main, "Name") {
			name, _ := f.Get(desktopfile.Main, key)
			f.Set(desktopfile.Main, key, name+" ("+suffix+")")
		}
	}
	if err := d.rewrite(f, r); err != nil {
		return nil, fmt.Errorf("the desktop entry %s: %w", id, err)
	}
	if err := d.icon(f, r); err != nil {
		return nil, err
	}
	dir := filepath.Join(xdg.DataHome, "applications")
	if r.Cache, err = changeOf(filepath.Join(dir, "mimeinfo.cache"), nil, false); err != nil {
		return nil, err
	}
	if err := r.willMake(desktopDir()); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, r.ID)
	if _, err := findDesktop(r.ID); err != nil && !d.req.Replace {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s is there already and not sandbox-audio's; move it away", path)
		}
	}
	err = r.change(path, f.Bytes(), false)
	if err == nil && d.req.DefaultBrowser {
		err = d.defaults(f, r)
	}
	return r, err
}

// original finds the entry that is asked for: a path, or an id among the owner's entries or the helper's. An entry that
// was added here before with --replace is looked through to what it replaced.
func (d *desktopAdd) original() (id string, text []byte, err error) {
	if strings.Contains(d.req.App, "/") {
		path, err := filepath.Abs(d.req.App)
		if err != nil {
			return "", nil, err
		}
		text, err = os.ReadFile(path)
		if errors.Is(err, fs.ErrPermission) {
			text, err = d.fetch(path)
		}
		return withSuffix(filepath.Base(path)), text, err
	}
	id = withSuffix(d.req.App)
	for _, dir := range applicationDirs() {
		path, ok := findEntry(dir, "", id)
		if !ok {
			continue
		}
		if r, err := findDesktop(id); err == nil && len(r.Changes) > 0 && r.entryChange().Path == path {
			if before := r.entryChange().Before; before != nil {
				return id, before, nil
			}
			continue
		}
		text, err = os.ReadFile(path)
		return id, text, err
	}
	if text, err := d.fetch(filepath.Join(d.profile.Home, ".local/share/applications", id)); err == nil {
		return id, text, nil
	}
	return "", nil, noEntry(d.req.App)
}

// findEntry looks for the file of an id, in which a dash may stand for a directory.
func findEntry(dir, sub, rest string) (path string, ok bool) {
	path = filepath.Join(dir, sub, rest)
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
		return path, true
	}
	for i := range len(rest) {
		if rest[i] != '-' {
			continue
		}
		below := filepath.Join(sub, rest[:i])
		if st, err := os.Stat(filepath.Join(dir, below)); err == nil && st.IsDir() {
			if path, ok := findEntry(dir, below, rest[i+1:]); ok {
				return path, true
			}
		}
	}
	return "", false
}

// noEntry says that there is no entry of this name, and which look like it.
func noEntry(app string) error {
	var like []string
	for _, id := range DesktopIDs() {
		if strings.Contains(strings.ToLower(id), strings.ToLower(strings.TrimSuffix(app, ".desktop"))) && len(like) < 5 {
			like = append(like, strings.TrimSuffix(id, ".desktop"))
		}
	}
	err := fmt.Errorf("there is no desktop entry %s", withSuffix(app))
	if len(like) > 0 {
		err = fmt.Errorf("%w; there is %s", err, strings.Join(like, ", "))
	}
	return err
}

// rewrite has every Exec line of the entry go through run, and takes out what would lead around it: the entry may be a helper's own
// work, and the desktop goes by it as the owner.
func (d *desktopAdd) rewrite(f *desktopfile.File, r *desktopRecord) error {
	if kind, _ := f.Get(desktopfile.Main, "Type"); kind != "Application" {
		return errors.New("it is not that of an application")
	}
	if hidden, _ := f.Get(desktopfile.Main, "Hidden"); hidden == "true" {
		return errors.New("it stands for an application that was deleted (Hidden=true)")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	run := []string{self, "run", "--menu"}
	if d.profile.Name != DefaultProfile {
		run = append(run, "--profile", d.profile.Name)
	}
	run = append(run, "--")
	for _, group := range f.Groups() { // actions, and what docks call shortcuts
		keys := f.Keys(group, "Exec")
		if len(keys) == 0 {
			continue
		}
		if i := slices.IndexFunc(keys, func(key string) bool { return key != "Exec" }); i >= 0 {
			return fmt.Errorf("its key %s is one that the format does not know, and some desktops go by it", keys[i])
		}
		value, _ := f.Get(group, "Exec")
		argv, err := desktopfile.SplitExec(value)
		if err == nil {
			value, err = desktopfile.PrefixExec(value, run...)
		}
		if err != nil {
			return err
		}
		f.Set(group, "Exec", value)
		if group == desktopfile.Main {
			r.Program = argv[0]
		}
	}
	if r.Program == "" {
		return errors.New("it has no Exec line; the application starts by D-Bus alone")
	}
	if _, ok := f.Get(desktopfile.Main, "DBusActivatable"); ok {
		f.Set(desktopfile.Main, "DBusActivatable", "false") // else Exec is ignored
	}
	if _, ok := f.Get(desktopfile.Main, "TryExec"); ok {
		f.Set(desktopfile.Main, "TryExec", desktopfile.EscapeString(self))
	}
	name, _ := f.Get(desktopfile.Main, "Name")
	r.Name = desktopfile.UnescapeString(name)
	return nil
}

const maxIcon = 4 << 20 // bytes; entries have far less

// icon copies an icon that the owner, and so the owner's panel, cannot read where it is.
func (d *desktopAdd) icon(f *desktopfile.File, r *desktopRecord) error {
	value, _ := f.Get(desktopfile.Main, "Icon")
	path := desktopfile.UnescapeString(value)
	if !filepath.IsAbs(path) {
		return nil
	}
	if file, err := os.Open(path); err == nil {
		return file.Close()
	}
	text, err := d.fetch(path)
	if err != nil {
		return nil // an entry without an icon is one all the same
	}
	name := strings.TrimSuffix(r.ID, ".desktop") + filepath.Ext(path)
	copied := filepath.Join(xdg.DataHome, "sandbox-audio", "icons", name)
	f.Set(desktopfile.Main, "Icon", desktopfile.EscapeString(copied))
	return r.change(copied, text, false)
}

// defaults makes the entry the one that links open with: in mimeapps.list, and in the desktop's own list before it
// where that names another browser.
func (d *desktopAdd) defaults(f *desktopfile.File, r *desktopRecord) error {
	value, _ := f.Get(desktopfile.Main, "MimeType")
	types := desktopfile.List(value)
	if !slices.Contains(types, browserTypes[0]) {
		return fmt.Errorf("%s does not open links (its MimeType has no %s), so it cannot be the default browser", r.App, browserTypes[0])
	}
	for _, t := range browserTypes {
		if slices.Contains(types, t) {
			r.Types = append(r.Types, t)
		}
	}
	for _, name := range append(desktopLists(), "mimeapps.list") {
		path := filepath.Join(xdg.ConfigHome, name)
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		list, err := desktopfile.Parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if name != "mimeapps.list" && !slices.ContainsFunc(r.Types, func(t string) bool { return list.Default(t) != "" }) {
			continue
		}
		list.AddDefault(r.ID, r.Types...)
		if err := r.change(path, list.Bytes(), true); err != nil {
			return err
		}
	}
	return nil
}

// desktopLists are the lists that go before mimeapps.list on the desktops the session calls itself.
func desktopLists() (names []string) {
	for desktop := range strings.SplitSeq(strings.ToLower(os.Getenv("XDG_CURRENT_DESKTOP")), ":") {
		if desktop != "" && !strings.Contains(desktop, "/") {
			names = append(names, desktop+"-mimeapps.list")
		}
	}
	return names
}
