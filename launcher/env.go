package launcher

import (
	"os"
	"slices"
	"strings"
)

// passed are the variables a program may have from the owner; with a star at the end, every one that begins so. The
// rest, whatever it is, stays with the owner: agents' sockets, keys, cookies, session addresses. What names a display
// is granted with the display, not here.
var passed = []string{
	"TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "LC_*", "TZ",
	"XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "DESKTOP_SESSION", "KDE_FULL_SESSION", "KDE_SESSION_VERSION",
	"XKB_DEFAULT_*", // where a program, such as an X server of its own, makes its keyboard itself
	"XCURSOR_THEME", "XCURSOR_SIZE", "GDK_SCALE", "GDK_DPI_SCALE", "QT_SCALE_FACTOR", "QT_SCREEN_SCALE_FACTORS", "QT_SCALE_FACTOR_ROUNDING_POLICY",
	"QT_AUTO_SCREEN_SCALE_FACTOR", "QT_ENABLE_HIGHDPI_SCALING", "QT_FONT_DPI", "QT_QPA_PLATFORMTHEME", "QT_STYLE_OVERRIDE",
	"GTK_THEME", "MOZ_ENABLE_WAYLAND", "LIBVA_DRIVER_NAME", "VDPAU_DRIVER", "DRI_PRIME",
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
}

// helperPath is where a helper's programs are looked for: the system's folders and none of the owner's.
const helperPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

// environment builds a program's environment from nothing: what passed lets through of the owner's, and what the
// helper needs of its own. It is sorted, and the same whichever way the helper is entered.
func environment(owners []string, ownerHome string, helper Account, runtimeDir, servers string) []string {
	var env []string
	for _, v := range owners {
		name, value, ok := strings.Cut(v, "=")
		if ok && matches(passed, name) && !pointsInto(value, ownerHome) {
			env = append(env, v)
		}
	}
	env = append(env,
		"HOME="+helper.Home,
		"USER="+helper.Name,
		"LOGNAME="+helper.Name,
		"SHELL=/bin/sh",
		"PATH="+helperPath,
		"XDG_RUNTIME_DIR="+runtimeDir,
		"PULSE_SERVER="+servers,
		"QT_X11_NO_MITSHM=1", // shared memory with the X server fails between users
	)
	slices.Sort(env)
	return slices.Compact(env)
}

// matches reports whether a list has the name, or with a star at the end what it begins with.
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		prefix, star := strings.CutSuffix(p, "*")
		return name == p || star && strings.HasPrefix(name, prefix)
	})
}

// without returns the environment without the named variables.
func without(env []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(names, name)
	})
}

// pointsInto reports whether value mentions a path at or below dir. Home directories that are no one's own do not count.
func pointsInto(value, dir string) bool {
	return len(dir) > 1 && strings.Contains(value, dir)
}

// Programs lists, by name, the programs a helper finds that begin with prefix.
func Programs(prefix string) (names []string) {
	for dir := range strings.SplitSeq(helperPath, ":") {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not every machine has all of them
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), prefix) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
