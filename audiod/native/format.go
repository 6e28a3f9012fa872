package native

import (
	"encoding/json"
	"fmt"
	"strconv"

	"sandbox-audio/audiod/pcm"
)

// EncodingPCM is the one encoding that is served; others are compressed sound for a receiver to decode (pa_encoding_t).
const EncodingPCM = 1

// The properties of a FormatInfo. Their values are JSON.
const (
	propFormat   = "format.sample_format"
	propRate     = "format.rate"
	propChannels = "format.channels"
	propMap      = "format.channel_map"
)

// FormatInfo is a format as newer programs negotiate it: some of its properties, perhaps with a choice of values, leaving the rest to the server.
type FormatInfo struct {
	Encoding uint8
	Props    PropList
}

// PCM is the format info of plain samples; without m it leaves the positions open, as a device's list of formats does.
func PCM(spec pcm.Spec, m pcm.ChannelMap) FormatInfo {
	names := ""
	if m != nil {
		names = strconv.Quote(m.String())
	}
	return FormatInfo{EncodingPCM, Text(
		propFormat, strconv.Quote(spec.Format.String()),
		propRate, strconv.Itoa(int(spec.Rate)),
		propChannels, strconv.Itoa(int(spec.Channels)),
		propMap, names)}
}

// Resolve chooses the spec and map that f allows: of an array the first value, of a range the value next to the server's own, which
// also stands in for what f does not say. The result passes pcm's checks. An error wraps ErrNotSupported for an encoding other
// than PCM, else ErrInvalid.
func (f FormatInfo) Resolve(own pcm.Spec, ownMap pcm.ChannelMap) (spec pcm.Spec, m pcm.ChannelMap, err error) {
	if f.Encoding != EncodingPCM {
		return spec, nil, fmt.Errorf("encoding %d is not PCM: %w", f.Encoding, ErrNotSupported)
	}
	invalid := func(err error) (pcm.Spec, pcm.ChannelMap, error) {
		return pcm.Spec{}, nil, fmt.Errorf("format info: %v: %w", err, ErrInvalid)
	}
	spec = own
	name, err := f.text(propFormat)
	if err != nil {
		return invalid(err)
	}
	if name != "" {
		var ok bool
		if spec.Format, ok = pcm.ParseFormat(name); !ok {
			return invalid(fmt.Errorf("no sample format is called %.40q", name))
		}
	}
	if spec.Rate, err = f.number(propRate, own.Rate); err != nil {
		return invalid(err)
	}
	names, err := f.text(propMap)
	if err != nil {
		return invalid(err)
	}
	channels := uint32(own.Channels)
	if names != "" {
		if m, err = pcm.ParseChannelMap(names); err != nil {
			return invalid(err)
		}
		channels = uint32(len(m))
	}
	if channels, err = f.number(propChannels, channels); err != nil {
		return invalid(err)
	}
	if channels > pcm.MaxChannels {
		return invalid(fmt.Errorf("%d channels: 1 to %d are served", channels, pcm.MaxChannels))
	}
	spec.Channels = uint8(channels)
	switch {
	case m != nil:
	case spec.Channels == own.Channels:
		m = ownMap
	default:
		m = pcm.DefaultMap(int(channels))
	}
	if err = spec.Check(); err == nil {
		err = m.Check(spec.Channels)
	}
	if err != nil {
		return invalid(err)
	}
	return spec, m, nil
}

// value is the JSON of key, an array's first element; nil when there is none.
func (f FormatInfo) value(key string) (v any, err error) {
	text, ok := f.Props.Get(key)
	if !ok {
		if f.Props.find(key) >= 0 {
			return nil, fmt.Errorf("%s is not text", key)
		}
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%s %.40q is not JSON", key, text)
	}
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	return v, nil
}

func (f FormatInfo) text(key string) (string, error) {
	v, err := f.value(key)
	if err != nil || v == nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("%s is not a name", key)
	}
	return s, nil
}

// number is the value of key that is closest to own.
func (f FormatInfo) number(key string, own uint32) (uint32, error) {
	v, err := f.value(key)
	if err != nil || v == nil {
		return own, err
	}
	if span, ok := v.(map[string]any); ok {
		low, lowOK := whole(span["min"])
		high, highOK := whole(span["max"])
		if !lowOK || !highOK || low > high {
			return 0, fmt.Errorf("%s is not a range", key)
		}
		return max(low, min(own, high)), nil
	}
	n, ok := whole(v)
	if !ok {
		return 0, fmt.Errorf("%s is not a whole number", key)
	}
	return n, nil
}

func whole(v any) (uint32, bool) {
	x, ok := v.(float64)
	if !ok || !(x >= 0 && x <= 1<<31) || x != float64(uint32(x)) {
		return 0, false
	}
	return uint32(x), true
}

// Format codes a format info.
func (c *Coder) Format(p *FormatInfo) {
	c.value(tagFormat, 0, "format info")
	c.U8(&p.Encoding)
	c.Props(&p.Props)
}

// Formats codes a list of at most MaxFormats format infos after their number.
func (c *Coder) Formats(p *[]FormatInfo) {
	n := uint8(min(len(*p), 255))
	c.U8(&n)
	if n > MaxFormats {
		c.fail(ErrTooLarge, "%d formats, %d are allowed", n, MaxFormats)
	}
	if c.writing {
		for i := range *p {
			c.Format(&(*p)[i])
		}
		return
	}
	*p = nil
	for range n {
		var f FormatInfo
		if c.Format(&f); c.err != nil {
			return
		}
		*p = append(*p, f)
	}
}
