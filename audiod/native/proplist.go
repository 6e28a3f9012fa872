package native

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of a property list. PulseAudio limits a value to 64 KiB and their number not at all.
const (
	MaxProps     = 64
	MaxPropKey   = 256      // bytes, with the NUL that ends it
	MaxPropValue = 4 << 10  // bytes
	MaxPropTotal = 32 << 10 // bytes, of keys and values
)

// Prop is one property. A text's value ends with NUL.
type Prop struct {
	Key   string
	Value []byte
}

// PropList describes a client, a stream or a device ("application.name", "media.role", …), in the order in which it came.
type PropList []Prop

// UpdateMode says what an update does with the properties that are there (pa_update_mode_t).
type UpdateMode uint32

const (
	UpdateSet     UpdateMode = iota // drop all others
	UpdateMerge                     // add those whose key is new
	UpdateReplace                   // add, and overwrite those whose key is there
)

// Text makes a list of texts from pairs of key and value, leaving out pairs whose value is empty.
func Text(pairs ...string) PropList {
	var p PropList
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			p.put(pairs[i], textValue(pairs[i+1]))
		}
	}
	return p
}

func textValue(s string) []byte { return append([]byte(s), 0) }

func (p PropList) find(key string) int {
	return slices.IndexFunc(p, func(e Prop) bool { return e.Key == key })
}

// Get is the text of key; ok is false when there is none, or when it is not text.
func (p PropList) Get(key string) (text string, ok bool) {
	i := p.find(key)
	if i < 0 {
		return "", false
	}
	v, ended := bytes.CutSuffix(p[i].Value, []byte{0})
	if !ended || bytes.IndexByte(v, 0) >= 0 || !utf8.Valid(v) {
		return "", false
	}
	return string(v), true
}

// Set makes text the value of key. Like Update it leaves p as it was when the limits would be exceeded.
func (p *PropList) Set(key, text string) error {
	return p.Update(UpdateReplace, PropList{{key, textValue(text)}})
}

func (p *PropList) put(key string, value []byte) {
	if i := p.find(key); i >= 0 {
		(*p)[i].Value = value
		return
	}
	*p = append(*p, Prop{key, value})
}

// Remove drops key and reports whether it was there.
func (p *PropList) Remove(key string) bool {
	i := p.find(key)
	if i >= 0 {
		*p = slices.Delete(*p, i, i+1)
	}
	return i >= 0
}

// Update takes over the properties of from as mode says, as a client or a stream's properties change on request. The error says that
// the mode does not exist, or that the list would exceed its limits; p is then as it was. Values are shared with from.
func (p *PropList) Update(mode UpdateMode, from PropList) error {
	var to PropList
	switch mode {
	case UpdateSet:
	case UpdateMerge, UpdateReplace:
		to = slices.Clone(*p)
	default:
		return fmt.Errorf("update mode %d does not exist: %w", mode, ErrInvalid)
	}
	for _, e := range from {
		if mode != UpdateMerge || to.find(e.Key) < 0 {
			to.put(e.Key, e.Value)
		}
	}
	if err := to.check(); err != nil {
		return err
	}
	*p = to
	return nil
}

func (p PropList) check() error {
	total := 0
	for _, e := range p {
		total += len(e.Key) + len(e.Value)
		if len(e.Value) > MaxPropValue {
			return fmt.Errorf("property %.40q of %d bytes, %d are allowed: %w", e.Key, len(e.Value), MaxPropValue, ErrTooLarge)
		}
		if err := checkKey(e.Key); err != nil {
			return err
		}
	}
	switch {
	case len(p) > MaxProps:
		return fmt.Errorf("%d properties, %d are allowed: %w", len(p), MaxProps, ErrTooLarge)
	case total > MaxPropTotal:
		return fmt.Errorf("%d bytes of properties, %d are allowed: %w", total, MaxPropTotal, ErrTooLarge)
	}
	return nil
}

// checkKey wants printable ASCII, as PulseAudio's pa_proplist_key_valid does, a little stricter.
func checkKey(key string) error {
	if len(key) >= MaxPropKey {
		return fmt.Errorf("a property key of %d bytes, %d are allowed: %w", len(key), MaxPropKey-1, ErrTooLarge)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return fmt.Errorf("property key %.40q is not printable ASCII: %w", key, ErrInvalid)
		}
	}
	if key == "" {
		return fmt.Errorf("an empty property key: %w", ErrInvalid)
	}
	return nil
}
