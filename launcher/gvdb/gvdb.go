// Package gvdb reads and writes the files that hold a dconf database, as far as single settings go: a table from names
// such as /org/gnome/desktop/interface/gtk-theme to values, which stay as they are, GVariants in a variant.
//
//	bytes ─► Parse ─► map of names to values ─► Format ─► bytes
//
// The format has no description but the source of GLib (gio/gvdb/gvdb-format.h, gvdb-reader.c). Numbers are little-endian here.
package gvdb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

var le = binary.LittleEndian

// A file is a header, with where the root table lies, and tables. A table is a header, a bloom filter of words, the first
// item of each bucket, and the items, each of a hash and where its name and its value lie.
const (
	signature  = "GVariant"
	headerSize = 24
	itemSize   = 24
	noParent   = 0xffffffff
	isVariant  = 'v'
	maxDepth   = 64 // of a name's parents
)

var errForm = errors.New("no dconf database of the form that is known")

// Parse reads the settings of the root table. The values are parts of file.
func Parse(file []byte) (map[string][]byte, error) {
	if len(file) < headerSize || string(file[:8]) != signature || le.Uint32(file[8:]) != 0 {
		return nil, errForm
	}
	table, err := part(file, le.Uint32(file[16:]), le.Uint32(file[20:]))
	if err != nil || len(table) < 8 {
		return nil, errForm
	}
	words, buckets := uint64(le.Uint32(table)&(1<<27-1)), uint64(le.Uint32(table[4:]))
	skip := 8 + 4*(words+buckets)
	if skip > uint64(len(table)) {
		return nil, errForm
	}
	items := table[skip:]
	values := map[string][]byte{}
	for at := 0; at+itemSize <= len(items); at += itemSize {
		if items[at+14] != isVariant {
			continue
		}
		name, err := name(file, items, at, maxDepth)
		if err != nil {
			return nil, err
		}
		if values[name], err = part(file, le.Uint32(items[at+16:]), le.Uint32(items[at+20:])); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func part(file []byte, start, end uint32) ([]byte, error) {
	if start > end || uint64(end) > uint64(len(file)) {
		return nil, errForm
	}
	return file[start:end], nil
}

// name is an item's, which begins with its parent's.
func name(file, items []byte, at, depth int) (string, error) {
	start := le.Uint32(items[at+8:])
	own, err := part(file, start, start+uint32(le.Uint16(items[at+12:])))
	if err != nil || depth == 0 {
		return "", errForm
	}
	parent := le.Uint32(items[at+4:])
	if parent == noParent {
		return string(own), nil
	}
	if uint64(parent)*itemSize+itemSize > uint64(len(items)) {
		return "", errForm
	}
	first, err := name(file, items, int(parent)*itemSize, depth-1)
	return first + string(own), err
}

// Format is a file with these settings. It has no list of what lies below a name, which settings are found without.
func Format(values map[string][]byte) ([]byte, error) {
	buckets := uint32(max(1, len(values)))
	names := slices.SortedFunc(maps.Keys(values), func(a, b string) int { return cmp.Compare(hash(a)%buckets, hash(b)%buckets) })
	end := headerSize + 8 + 4*int(buckets) + itemSize*len(names) // of the table
	head := append([]byte(signature), 0, 0, 0, 0, 0, 0, 0, 0)
	head = le.AppendUint32(le.AppendUint32(head, headerSize), uint32(end))
	head = le.AppendUint32(le.AppendUint32(head, 0), buckets)
	first := 0
	for b := range buckets {
		head = le.AppendUint32(head, uint32(first))
		for first < len(names) && hash(names[first])%buckets == b {
			first++
		}
	}
	var data []byte
	for _, name := range names {
		if len(name) > 1<<16-1 {
			return nil, fmt.Errorf("a name of %d bytes", len(name))
		}
		head = le.AppendUint32(le.AppendUint32(head, hash(name)), noParent)
		head = le.AppendUint32(head, uint32(end+len(data)))
		head = append(le.AppendUint16(head, uint16(len(name))), isVariant, 0)
		data = append(data, name...)
		data = append(data, make([]byte, -(end+len(data))&7)...) // variants are aligned to 8
		head = le.AppendUint32(head, uint32(end+len(data)))
		data = append(data, values[name]...)
		head = le.AppendUint32(head, uint32(end+len(data)))
	}
	return append(head, data...), nil
}

// hash is dj's (gvdb-reader.c, djb_hash).
func hash(name string) uint32 {
	h := uint32(5381)
	for _, b := range []byte(name) {
		h = h*33 + uint32(int32(int8(b)))
	}
	return h
}
