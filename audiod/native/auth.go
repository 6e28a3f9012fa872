package native

// CookieSize is the length of AUTH's cookie.
const CookieSize = 256

// Auth is a client's first request. Version carries, from 13 on, what the client can do above the lower 16 bits: 1<<31 shared
// memory, 1<<30 memfd. Answering with the bare version refuses both.
type Auth struct {
	Version uint32
	Cookie  []byte
}

func (m *Auth) Fields(c *Coder) {
	c.U32(&m.Version)
	c.Blob(&m.Cookie)
	if len(m.Cookie) != CookieSize {
		c.fail(ErrProtocol, "a cookie of %d bytes, not %d", len(m.Cookie), CookieSize)
	}
}

// Protocol is the version alone.
func (m *Auth) Protocol() uint32 { return m.Version & 0xFFFF }

// AuthReply is the server's own version; the connection then runs at the lower one.
type AuthReply struct{ Version uint32 }

func (m *AuthReply) Fields(c *Coder) { c.U32(&m.Version) }

// SetClientName tells who the client says it is. The answer is an IndexReply with the client's index.
type SetClientName struct{ Props PropList }

func (m *SetClientName) Fields(c *Coder) { c.Props(&m.Props) }
