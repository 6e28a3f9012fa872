package session

import (
	"fmt"

	"sandbox-audio/audiod/native"
)

// auth agrees on a version. The cookie is not looked at: the kernel has said who is calling. The bits that offer shared memory are
// answered by leaving them out, which every client takes as a no.
func (c *Session) auth(r *request) error {
	var m native.Auth
	if err := native.Decode(r.fields, native.Version, &m); err != nil {
		return err
	}
	if c.version != 0 {
		return fmt.Errorf("a second AUTH: %w", native.ErrProtocol)
	}
	if m.Protocol() < native.MinVersion {
		return native.ErrVersion
	}
	if err := c.recheck(); err != nil {
		c.fail(err)
		return nil
	}
	c.limit.Stop()
	c.version = min(m.Protocol(), native.Version)
	return c.reply(r.tag, &native.AuthReply{Version: native.Version})
}

func (c *Session) setClientName(r *request, m *native.SetClientName) error {
	if err := c.props.Update(native.UpdateReplace, m.Props); err != nil {
		return err
	}
	c.reply(r.tag, &native.IndexReply{Index: c.index})
	c.announceClient()
	return nil
}

func (c *Session) updateClientProps(r *request, m *native.UpdateClientProps) error {
	if err := c.props.Update(m.Mode, m.Props); err != nil {
		return err
	}
	c.reply(r.tag, nil)
	c.announceClient()
	return nil
}

func (c *Session) removeClientProps(r *request, m *native.RemoveClientProps) error {
	for _, key := range m.Keys {
		c.props.Remove(key)
	}
	c.reply(r.tag, nil)
	c.announceClient()
	return nil
}

// announceClient tells the others that the client came, or changed.
func (c *Session) announceClient() {
	event := native.EventClient | native.EventNew
	if c.named {
		event = native.EventClient | native.EventChange
	}
	c.named = true
	c.server.announce(event, c.index, c)
}
