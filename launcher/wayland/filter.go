package wayland

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// filter decides what of the compositor's offers a program gets to see. It follows both directions of one connection.
type filter struct {
	mu         sync.Mutex
	registries map[uint32]bool // objects of the client's that hear of offers
	hidden     map[uint32]bool // names of offers that it was not told of
}

const (
	maxRegistries = 64
	maxHidden     = 4096
)

var (
	errManyObjects = errors.New("more registries than any program needs")
	errHidden      = errors.New("it binds what it was not offered")
)

func newFilter() *filter {
	return &filter{registries: map[uint32]bool{}, hidden: map[uint32]bool{}}
}

// plainKinds are the beginnings of the interfaces that are made for ordinary programs, and exceptions those among them
// that are for programs which type, see or decide for others, or that end registries (wl_fixes), whose numbers would
// then be other objects': a filter takes a registry for one as long as the connection lasts.
var (
	plainKinds = []string{"wl_", "xdg_", "zxdg_", "wp_", "zwp_", "gtk_", "org_kde_kwin_server_decoration", "org_kde_kwin_blur"}
	exceptions = []string{
		"wp_security_context", "wp_drm_lease_device", "zwp_virtual_keyboard", "zwp_input_method", "zwp_input_panel",
		"zwp_xwayland_keyboard_grab", "zwp_fullscreen_shell", "wl_eglstream_controller", "wl_fixes",
	}
)

// plain reports whether an interface is for every program.
func plain(kind string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(kind, prefix) }
	return slices.ContainsFunc(plainKinds, begins) && !slices.ContainsFunc(exceptions, begins)
}

// request looks at what the program asks; an error ends the connection.
func (f *filter) request(m message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := m.args()
	switch {
	case m.object() == displayID && m.opcode() == displayGetRegistry:
		if len(f.registries) == maxRegistries {
			return errManyObjects
		}
		f.registries[a.uint()] = true
		return a.err
	case f.registries[m.object()] && m.opcode() == registryBind:
		if f.hidden[a.uint()] {
			return errHidden
		}
		return a.err
	}
	return nil
}

// event reports whether the program is to hear what the compositor says.
func (f *filter) event(m message) (pass bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.registries[m.object()] {
		return true, nil
	}
	a := m.args()
	switch m.opcode() {
	case registryGlobal:
		name, kind := a.uint(), a.string()
		if a.err != nil || plain(kind) {
			delete(f.hidden, name) // the name may have been another's before
			return true, a.err
		}
		if len(f.hidden) == maxHidden {
			return false, errManyObjects
		}
		f.hidden[name] = true
		return false, nil
	case registryGlobalRemove:
		return !f.hidden[a.uint()], a.err
	}
	return true, nil
}
