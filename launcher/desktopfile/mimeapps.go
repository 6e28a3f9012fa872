package desktopfile

import (
	"slices"
	"strings"
)

// defaults is the group of mimeapps.list that names applications by MIME type, the preferred one first
// (Association between MIME types and applications 1.0.1).
const defaults = "Default Applications"

// AddDefault puts the desktop id first among the applications for each of types.
func (f *File) AddDefault(id string, types ...string) {
	for _, t := range types {
		value, _ := f.Get(defaults, t)
		if first, _, _ := strings.Cut(value, ";"); first == id {
			continue
		}
		f.Set(defaults, t, id+";"+value)
	}
}

// RemoveDefault takes the desktop id out of the applications for each of types, and what is empty then.
func (f *File) RemoveDefault(id string, types ...string) {
	for _, t := range types {
		value, ok := f.Get(defaults, t)
		if !ok {
			continue
		}
		ids := strings.Split(value, ";")
		ids = slices.DeleteFunc(ids, func(s string) bool { return s == id })
		if value = strings.Join(ids, ";"); value == "" {
			f.Delete(defaults, t)
		} else {
			f.Set(defaults, t, value)
		}
	}
	f.deleteIfEmpty(defaults)
}

// Default is the desktop id that is first for a MIME type, empty when there is none.
func (f *File) Default(mime string) string {
	value, _ := f.Get(defaults, mime)
	first, _, _ := strings.Cut(value, ";")
	return first
}

// List is the elements of a value that is a list.
func List(value string) []string {
	return slices.DeleteFunc(strings.Split(value, ";"), func(s string) bool { return strings.TrimSpace(s) == "" })
}
