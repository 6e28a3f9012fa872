// Package desktopfile reads and changes desktop entries and lists of default applications as the text they are: what it
// is not asked to change, comments, order and spaces included, stays byte for byte.
//
// The format is that of the Desktop Entry Specification 1.5 of freedesktop.org: groups in brackets, and below each lines
// of the form Key[locale]=Value.
package desktopfile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Main is the group that every desktop entry begins with.
const Main = "Desktop Entry"

// File is one file's text, line by line. The zero File is an empty one.
type File struct {
	lines []line
}

type line struct {
	text  string // with its newline, if it has one
	group string // that it is in, or begins
	key   string // with the locale, as Name[de]; empty in comments, blank lines and headers
	value string // as it is written, escapes and all
}

// Parse reads a file. It takes whatever is a line of the format and says in which line something is not.
func Parse(text []byte) (*File, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("it is no text in UTF-8")
	}
	f := new(File)
	group := ""
	for raw := range strings.Lines(string(text)) {
		l := line{text: raw, group: group}
		bare := strings.TrimSpace(raw)
		switch {
		case bare == "" || bare[0] == '#':
		case bare[0] == '[' && bare[len(bare)-1] == ']':
			group = bare[1 : len(bare)-1]
			l.group = group
		default:
			key, value, ok := strings.Cut(strings.TrimRight(raw, "\r\n"), "=")
			if !ok || group == "" {
				return nil, fmt.Errorf("line %d is neither a group, a key in a group nor a comment", len(f.lines)+1)
			}
			l.key, l.value = strings.TrimSpace(key), strings.TrimLeft(value, " \t")
		}
		f.lines = append(f.lines, l)
	}
	return f, nil
}

// Bytes is the file's text.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l.text)
	}
	return b.Bytes()
}

// Groups lists the groups in order.
func (f *File) Groups() (groups []string) {
	for _, l := range f.lines {
		if l.group != "" && !slices.Contains(groups, l.group) {
			groups = append(groups, l.group)
		}
	}
	return groups
}

// Get is the value of a key as it is written; ok is false when the group has none. When the key stands there more than
// once, which the format forbids, it is the first.
func (f *File) Get(group, key string) (value string, ok bool) {
	if i := f.find(group, key); i >= 0 {
		return f.lines[i].value, true
	}
	return "", false
}

func (f *File) find(group, key string) int {
	return slices.IndexFunc(f.lines, func(l line) bool { return l.group == group && l.key == key && key != "" })
}

// Keys lists, each once, the keys of a group that are key itself or a translation of it.
func (f *File) Keys(group, key string) (keys []string) {
	for _, l := range f.lines {
		if l.group == group && (l.key == key || strings.HasPrefix(l.key, key+"[")) && !slices.Contains(keys, l.key) {
			keys = append(keys, l.key)
		}
	}
	return keys
}

// Set gives a key a value, which is written as it is, and takes out what else the group says of that key. A new key goes behind the last one
// of its group, a new group to the end of the file.
func (f *File) Set(group, key, value string) {
	l := line{text: key + "=" + value + "\n", group: group, key: key, value: value}
	if i := f.find(group, key); i >= 0 {
		f.lines[i] = l
		rest := slices.DeleteFunc(f.lines[i+1:], func(l line) bool { return l.group == group && l.key == key })
		f.lines = f.lines[:i+1+len(rest)]
		return
	}
	at := -1
	for i, l := range f.lines {
		if l.group == group && strings.TrimSpace(l.text) != "" {
			at = i
		}
	}
	if at < 0 {
		f.endLine(len(f.lines) - 1)
		f.lines = append(f.lines, line{text: "[" + group + "]\n", group: group})
		at = len(f.lines) - 1
	}
	f.endLine(at)
	f.lines = slices.Insert(f.lines, at+1, l)
}

// endLine gives a line that ends the file without a newline one.
func (f *File) endLine(i int) {
	if i >= 0 && !strings.HasSuffix(f.lines[i].text, "\n") {
		f.lines[i].text += "\n"
	}
}

// Delete takes a key out of its group.
func (f *File) Delete(group, key string) {
	if i := f.find(group, key); i >= 0 {
		f.lines = slices.Delete(f.lines, i, i+1)
	}
}

// deleteIfEmpty takes a group out that holds nothing, not even a comment.
func (f *File) deleteIfEmpty(group string) {
	in := func(l line) bool { return l.group == group }
	at := slices.IndexFunc(f.lines, in)
	if at >= 0 && !slices.ContainsFunc(f.lines[at+1:], in) {
		f.lines = slices.Delete(f.lines, at, at+1)
	}
}
