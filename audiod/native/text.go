package native

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// The values whose length comes with them: text, blobs, and property lists, which are made of both.

// String codes text: valid UTF-8 without NUL, shorter than MaxString bytes. Null is read as "".
func (c *Coder) String(p *string) { c.text(p, MaxString, false) }

// NullString is String for names that may be absent: "" is written as null.
func (c *Coder) NullString(p *string) { c.text(p, MaxString, true) }

func (c *Coder) text(p *string, limit int, nullable bool) {
	if c.err != nil {
		return
	}
	if c.writing {
		switch {
		case *p == "" && nullable:
			c.buf = append(c.buf, tagNullString)
		case len(*p) >= limit:
			c.fail(ErrTooLarge, "text of %d bytes, %d are allowed", len(*p), limit-1)
		case !validText(*p):
			c.fail(ErrInvalid, "text %.40q is not UTF-8 without NUL", *p)
		default:
			c.buf = append(append(append(c.buf, tagString), *p...), 0)
		}
		return
	}
	if c.more() && c.buf[c.pos] == tagNullString {
		c.pos++
		*p = ""
		return
	}
	if c.value(tagString, 0, "text") == nil {
		return
	}
	n := bytes.IndexByte(c.buf[c.pos:min(len(c.buf), c.pos+limit)], 0)
	switch {
	case n < 0 && len(c.buf)-c.pos >= limit:
		c.fail(ErrTooLarge, "text of more than %d bytes", limit-1)
	case n < 0:
		c.fail(ErrProtocol, "text without its end")
	case !utf8.Valid(c.buf[c.pos : c.pos+n]):
		c.fail(ErrInvalid, "text is not UTF-8")
	default:
		*p = string(c.buf[c.pos : c.pos+n])
		c.pos += n + 1
	}
}

// Blob codes bytes of at most MaxString.
func (c *Coder) Blob(p *[]byte) {
	n := uint32(len(*p))
	c.word(tagBlob, &n, "blob")
	switch {
	case c.err != nil:
	case n > MaxString:
		c.fail(ErrTooLarge, "blob of %d bytes, %d are allowed", n, MaxString)
	case c.writing:
		c.buf = append(c.buf, *p...)
	default:
		*p = slices.Clone(c.take(int(n), "blob"))
	}
}

// Rest codes all bytes that are left, whatever they are.
func (c *Coder) Rest(p *[]byte) {
	switch {
	case c.err != nil:
	case c.writing:
		c.buf = append(c.buf, *p...)
	default:
		*p = slices.Clone(c.buf[c.pos:])
		c.pos = len(c.buf)
	}
}

func validText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Props codes a property list: pairs of key and value, a value being its length and a blob of it, ended by a null string.
// A key that comes twice counts with its last value.
func (c *Coder) Props(p *PropList) {
	c.value(tagProps, 0, "property list")
	if c.writing {
		c.refuse(p.check())
		for i := range *p {
			c.prop(&(*p)[i])
		}
		var end string
		c.NullString(&end)
		return
	}
	var list PropList
	for total := 0; c.more() && c.buf[c.pos] != tagNullString; {
		var e Prop
		c.prop(&e)
		if c.err != nil {
			return
		}
		list.put(e.Key, e.Value)
		if total += len(e.Key) + len(e.Value); total > MaxPropTotal || len(list) > MaxProps {
			c.fail(ErrTooLarge, "more than %d properties or %d bytes of them", MaxProps, MaxPropTotal)
		}
	}
	if c.take(1, "end of the property list") != nil {
		*p = list
	}
}

func (c *Coder) prop(e *Prop) {
	c.text(&e.Key, MaxPropKey, false)
	n := uint32(len(e.Value))
	c.U32(&n)
	c.Blob(&e.Value)
	if c.writing || c.err != nil {
		return
	}
	if int(n) != len(e.Value) {
		c.fail(ErrProtocol, "property %.40q has two lengths, %d and %d", e.Key, n, len(e.Value))
	}
	c.refuse(checkKey(e.Key))
}

// Keys codes a list of property keys, ended by a null string.
func (c *Coder) Keys(p *[]string) {
	if c.writing {
		for i := range *p {
			c.text(&(*p)[i], MaxPropKey, false)
		}
		var end string
		c.NullString(&end)
		return
	}
	var keys []string
	for c.more() && c.buf[c.pos] != tagNullString {
		var key string
		c.text(&key, MaxPropKey, false)
		if keys = append(keys, key); len(keys) > MaxProps {
			c.fail(ErrTooLarge, "more than %d property keys", MaxProps)
		}
	}
	if c.take(1, "end of the list of keys") != nil {
		*p = keys
	}
}
