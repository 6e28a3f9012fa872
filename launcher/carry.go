package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fonts that the owner has installed at home, and the themes and icons in use, go along with the display, too. The helper
// cannot enter that home, and so has a copy in its own, which outlives the program. A part of it is made anew when its
// stamp is not that of the owner's files any more.
//
//	run                                            entry program
//	 ~/.fonts, ~/.local/share/fonts ─► fonts
//	 ~/.themes/CHOSEN …             ─► themes
//	 ~/.icons/CHOSEN …              ─► icons
//	 request {…, stamps} + a line ────────────────► compares
//	                                             ◄─ ask {parts}, when it has others
//	 a tar archive of each ───────────────────────► ~/.cache/sandbox-audio/look/PART  ◄─ XDG_DATA_DIRS, XCURSOR_PATH, FONTCONFIG_FILE
const (
	lookCopy   = ".cache/sandbox-audio/look" // below the helper's home
	stampFile  = ".stamp"                    // in each part
	carryWait  = 30 * time.Second            // until all is copied, or the program does without
	maxCarried = 20_000                      // files in a part
	maxBytes   = 256 << 20                   // of a part
)

var (
	lookParts = []string{"fonts", "themes", "icons"}

	fontNames = []string{".ttf", ".otf", ".ttc", ".otc", ".pfa", ".pfb", ".afm", ".pfm", ".pcf", ".pcf.gz", ".bdf", ".woff", ".woff2"}
)

// lookTree is a folder of the owner's that goes along.
type lookTree struct {
	base string // nothing outside of it does
	name string // of the folder in base; "." for base itself
	to   string // where base is in the copy: a part, or below one
}

func (t lookTree) path() string { return filepath.Join(t.base, t.name) }
func (t lookTree) part() string { part, _, _ := strings.Cut(t.to, "/"); return part }

// findTrees finds fonts, and the themes of these names with those they inherit from. data is the owner's folder of data.
func findTrees(home, data string, themes func() []string) (trees []lookTree) {
	for i, base := range existing(filepath.Join(data, "fonts"), filepath.Join(home, ".fonts")) {
		trees = append(trees, lookTree{base, ".", "fonts/" + strconv.Itoa(i)})
	}
	of := map[string][]string{
		"themes": existing(filepath.Join(home, ".themes"), filepath.Join(data, "themes")),
		"icons":  existing(filepath.Join(home, ".icons"), filepath.Join(data, "icons")),
	}
	if len(of["themes"])+len(of["icons"]) == 0 {
		return trees
	}
	names := append(themes(), "default") // what X programs call the cursor theme
	for i := 0; i < len(names); i++ {
		name := names[i]
		if slices.Contains(names[:i], name) || !isTheme(name) {
			continue
		}
		for _, part := range lookParts[1:] {
			j := slices.IndexFunc(of[part], func(base string) bool { return len(existing(filepath.Join(base, name))) > 0 })
			if j < 0 {
				continue
			}
			t := lookTree{of[part][j], name, part}
			trees = append(trees, t)
			for line := range strings.Lines(string(readSome(filepath.Join(t.path(), "index.theme")))) {
				if key, value, _ := strings.Cut(line, "="); strings.TrimSpace(key) == "Inherits" {
					for name := range strings.SplitSeq(value, ",") {
						names = append(names, strings.TrimSpace(name))
					}
				}
			}
		}
	}
	return trees
}

// isTheme reports whether a theme of this name may go along. The owner's hicolor tells what programs the owner has.
func isTheme(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\x00") && name != "hicolor"
}

// existing is those that are folders themselves, and no links to one.
func existing(dirs ...string) []string {
	return slices.DeleteFunc(dirs, func(dir string) bool {
		st, err := os.Lstat(dir)
		return err != nil || !st.IsDir()
	})
}

// carried is a file that goes along.
type carried struct {
	base, path string // path is in base
	name       string // in the part
	size       int64
	time       time.Time
	link       string // where it leads, for a symbolic link; it stays one
}

// carriage is all that does, by its part.
type carriage map[string][]carried

// collect lists what is in trees. Of a part that holds too much nothing goes along, and notes tell.
func collect(trees []lookTree) (c carriage, notes []string) {
	c = carriage{}
	size := map[string]int64{}
	tooMuch := func(part string) bool { return len(c[part]) > maxCarried || size[part] > maxBytes }
	for i := 0; i < len(trees); i++ {
		t, part := trees[i], trees[i].part()
		_ = filepath.WalkDir(t.path(), func(path string, d fs.DirEntry, err error) error { // what cannot be read stays
			if tooMuch(part) {
				return fs.SkipAll
			}
			if err != nil {
				return nil
			}
			if d.IsDir() && path != t.path() && d.Name()[0] == '.' {
				return fs.SkipDir
			}
			f, ok := t.carries(path, d)
			if !ok {
				return nil
			}
			c[part] = append(c[part], f)
			size[part] += f.size
			if f.link != "" && part != "fonts" { // half of a theme may be links into another
				other, _, _ := strings.Cut(f.reaches(), "/")
				if more := (lookTree{t.base, other, t.to}); isTheme(other) && !slices.Contains(trees, more) && len(existing(more.path())) > 0 {
					trees = append(trees, more)
				}
			}
			return nil
		})
	}
	for _, part := range lookParts {
		if tooMuch(part) {
			notes = append(notes, fmt.Sprintf("your %s are more than %d files or %d MiB, and so the program does not get them; install them for all users, in /usr/local/share/%s, where it finds them", part, maxCarried, maxBytes>>20, part))
			delete(c, part)
		}
	}
	return c, notes
}

// carries reports whether a file goes along, and how: regular ones, only fonts among fonts, and links that lead to something in
// the base.
func (t lookTree) carries(path string, d fs.DirEntry) (f carried, ok bool) {
	if d.Name()[0] == '.' || d.Type() != 0 && d.Type() != fs.ModeSymlink {
		return f, false
	}
	if t.part() == "fonts" && !slices.ContainsFunc(fontNames, func(end string) bool { return strings.HasSuffix(strings.ToLower(d.Name()), end) }) {
		return f, false
	}
	st, err := d.Info()
	if err != nil {
		return f, false
	}
	in := strings.TrimPrefix(path, t.base+"/")
	_, below, _ := strings.Cut(t.to, "/")
	f = carried{base: t.base, path: in, name: filepath.Join(below, in), size: st.Size(), time: st.ModTime()}
	if d.Type() == fs.ModeSymlink {
		f.size = 0
		if f.link, err = os.Readlink(path); err != nil || filepath.IsAbs(f.link) || !filepath.IsLocal(f.reaches()) {
			return f, false
		}
	}
	return f, true
}

// reaches is where a link leads, in base.
func (f carried) reaches() string { return filepath.Join(filepath.Dir(f.path), f.link) }

// stamps tell by which the copy is known to be the same; a part without anything has an empty one.
func (c carriage) stamps() map[string]string {
	stamps := map[string]string{}
	for _, part := range lookParts {
		stamps[part] = ""
		if len(c[part]) == 0 {
			continue
		}
		h := sha256.New()
		for _, f := range c[part] {
			fmt.Fprintf(h, "%q %d %d %q\n", f.name, f.size, f.time.UnixNano(), f.link)
		}
		stamps[part] = hex.EncodeToString(h.Sum(nil))
	}
	return stamps
}
