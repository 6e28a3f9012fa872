package memory

import (
	"errors"
	"slices"
	"strings"

	"sandbox-audio/audiod/pcm"
)

// Level is how loud something is: a volume for each channel of a map, and whether it is silenced. Without a Volume only the mute counts.
type Level struct {
	Volume []pcm.Volume
	Map    pcm.ChannelMap
	Muted  bool
}

func (l Level) equal(other Level) bool {
	return l.Muted == other.Muted && slices.Equal(l.Volume, other.Volume) && slices.Equal(l.Map, other.Map)
}

func (l Level) check() error {
	if len(l.Volume) != len(l.Map) || len(l.Volume) > pcm.MaxChannels {
		return errors.New("as many volumes as channels are needed")
	}
	for _, v := range l.Volume {
		if !v.Valid() {
			return errors.New("a volume is above the highest there is")
		}
	}
	return l.Map.Check(uint8(len(l.Map)))
}

// On is l's volumes for the channels of another map, nil where l has none: each position keeps its own, and one that l does not know gets
// the loudest.
func (l Level) On(m pcm.ChannelMap) []pcm.Volume {
	if len(l.Volume) == 0 {
		return nil
	}
	volume := make([]pcm.Volume, len(m))
	for i, position := range m {
		if at := slices.Index(l.Map, position); at >= 0 {
			volume[i] = l.Volume[at]
		} else {
			volume[i] = slices.Max(l.Volume)
		}
	}
	return volume
}

// StreamKey is the name under which module-stream-restore knows a stream: kind is "sink-input" or "source-output", property looks up what
// the client says of it (pa_proplist_get_stream_group in pulsecore/proplist-util.c). The mixers' "System Sounds" is
// "sink-input-by-media-role:event".
func StreamKey(kind string, property func(key string) (text string, ok bool)) string {
	for _, key := range []string{"media.role", "application.id", "application.name", "media.name"} {
		if text, ok := property(key); ok {
			return bounded(kind + "-by-" + strings.ReplaceAll(key, ".", "-") + ":" + text)
		}
	}
	return kind + "-fallback:"
}

const maxKey = 256 // bytes

// bounded is the first bytes of text, whole characters only.
func bounded(text string) string {
	if len(text) > maxKey {
		text = strings.ToValidUTF8(text[:maxKey], "")
	}
	return text
}
