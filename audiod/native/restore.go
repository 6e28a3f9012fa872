package native

import "sandbox-audio/audiod/pcm"

// StreamRestoreModule is the name under which clients reach the memory of streams' volumes with OpExtension.
const StreamRestoreModule = "module-stream-restore"

// RestoreCommand says what a StreamRestore wants (module-stream-restore.c, ext-stream-restore.c).
type RestoreCommand uint32

const (
	RestoreTest      RestoreCommand = iota // answered with an IndexReply: the version of this extension, 1
	RestoreRead                            // answered with RestoreEntries
	RestoreWrite                           // Mode, Apply, Entries
	RestoreDelete                          // Keys
	RestoreSubscribe                       // Enable
	RestoreEvent                           // from the server: something was changed
)

// StreamRestore is what Extension.Data holds for StreamRestoreModule.
type StreamRestore struct {
	Command RestoreCommand
	Mode    UpdateMode // what becomes of the entries that are there
	Apply   bool       // also to streams that are there
	Entries RestoreEntries
	Keys    []string
	Enable  bool // events
}

func (m *StreamRestore) Fields(c *Coder) {
	c.U32((*uint32)(&m.Command))
	switch m.Command {
	case RestoreTest, RestoreRead, RestoreEvent:
	case RestoreWrite:
		c.U32((*uint32)(&m.Mode))
		c.Bool(&m.Apply)
		m.Entries.Fields(c)
	case RestoreDelete:
		if c.writing {
			for i := range m.Keys {
				c.String(&m.Keys[i])
			}
		}
		for c.more() {
			var key string
			c.String(&key)
			m.Keys = append(m.Keys, key)
		}
	case RestoreSubscribe:
		c.Bool(&m.Enable)
	default:
		c.fail(ErrNoExtension, "command %d does not exist", m.Command)
	}
}

// RestoreEntry is how loud the streams of one key are. Without a Volume, whose Map is then empty too, only the mute counts.
type RestoreEntry struct {
	Key    string // "sink-input-by-application-name:…"
	Map    pcm.ChannelMap
	Volume CVolume
	Device string // "": whichever
	Muted  bool
}

// RestoreEntries answers RestoreRead.
type RestoreEntries = List[RestoreEntry, *RestoreEntry]

func (m *RestoreEntry) Fields(c *Coder) {
	c.String(&m.Key)
	c.Map(&m.Map)
	c.CVolume(&m.Volume)
	c.NullString(&m.Device)
	c.Bool(&m.Muted)
}
