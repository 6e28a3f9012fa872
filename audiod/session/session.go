package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

const (
	authTime  = 5 * time.Second // from connecting to AUTH
	maxOutbox = 256 << 10       // bytes a client may leave unread
)

// Session is one connection's state. Make it with Server.Open.
type Session struct {
	server  *Server
	user    *user
	peer    policy.Peer
	grant   policy.Grant
	recheck func() error
	wake    func()
	opened  time.Time

	version    uint32 // agreed on; 0 before AUTH
	named      bool
	index      uint32
	props      native.PropList
	subscribed native.Mask
	restoring  bool        // wants to hear of changes of what is remembered
	streams    []*playback // by channel; nil where deleted
	uploads    []*upload
	records    []*record   // by channel, of its own numbers; nil where deleted
	limit      *loop.Timer // of the time to authenticate

	head    [native.HeaderSize]byte
	headLen int
	packet  native.Header
	left    uint32   // bytes of the packet's payload still to come
	control []byte   // payload of a control packet that comes in parts
	request request  // being answered
	sound   receiver // where a sound packet goes; nil when its stream is gone

	latencyRequest native.GetLatency // made once
	latencyReply   native.PlaybackLatency

	outbox  []byte
	pending []native.SubscribeEvent // to go into the outbox
	told    map[object]int          // the latest of them about each object
	wanting []*playback             // whose REQUESTs are
	fault   error                   // ends the session
}

// Open begins the session of an admitted peer. recheck is asked once more, after the handshake, whether the peer is still who it was.
// wake is called whenever the outbox is no longer empty or Fault no longer nil, perhaps several times a turn.
func (s *Server) Open(peer policy.Peer, grant policy.Grant, recheck func() error, wake func()) *Session {
	c := &Session{server: s, user: s.user(peer.UID, grant), peer: peer, grant: grant, recheck: recheck, wake: wake, opened: time.Now()}
	c.user.grant = grant
	if grant != policy.Owner {
		s.settle(c.user)
	}
	c.index = s.number(c.user)
	c.limit = s.clock.NewTimer(func() { c.fail(errors.New("did not authenticate in time")) })
	c.limit.Set(s.clock.Now() + authTime)
	s.sessions = append(s.sessions, c)
	c.spend(connecting * each)
	return c
}

// Close ends the session and everything it owns.
func (c *Session) Close() {
	c.limit.Stop()
	for _, p := range c.streams {
		if p != nil {
			p.close()
		}
	}
	for _, up := range slices.Clone(c.uploads) {
		up.close(0)
	}
	c.streams, c.uploads, c.outbox = nil, nil, nil
	for _, r := range c.records {
		if r != nil {
			r.close()
		}
	}
	c.streams, c.records, c.outbox = nil, nil, nil
	c.server.sessions = slices.DeleteFunc(c.server.sessions, func(other *Session) bool { return other == c })
	if c.named {
		c.server.announce(native.EventClient|native.EventRemove, c.index, c)
	}
}

// Fault is why the session must be closed, or nil.
func (c *Session) Fault() error { return c.fault }

func (c *Session) fail(err error) {
	if c.fault == nil {
		c.fault = err
		c.wake()
	}
}

// Outbox is the bytes to be written to the client; Sent tells how many of them were.
func (c *Session) Outbox() []byte {
	if len(c.outbox) < eventRoom {
		c.gather()
	}
	c.deliver()
	return c.outbox
}

// Sent drops the first n bytes of the outbox.
func (c *Session) Sent(n int) {
	rest := copy(c.outbox, c.outbox[n:])
	c.outbox = c.outbox[:rest]
	if cap(c.outbox) > 64<<10 && rest == 0 {
		c.outbox = nil
	}
}

// Feed takes bytes as they were read from the client. An error, which Fault repeats, means that the session is over.
func (c *Session) Feed(p []byte) error {
	for len(p) > 0 && c.fault == nil {
		if c.left == 0 {
			n := copy(c.head[c.headLen:], p)
			c.headLen += n
			p = p[n:]
			if c.headLen == len(c.head) {
				c.headLen = 0
				c.begin()
			}
			continue
		}
		part := p[:min(len(p), int(c.left))]
		p = p[len(part):]
		c.left -= uint32(len(part))
		if c.packet.Control() {
			c.feedControl(part)
		} else if c.sound != nil {
			c.sound.write(part)
		}
	}
	return c.fault
}

// begin takes up the packet whose header is complete.
func (c *Session) begin() {
	h, err := native.ParseHeader(c.head[:])
	if err != nil {
		c.fail(err)
		return
	}
	c.packet, c.left = h, h.Length
	if h.Control() {
		return
	}
	if c.version == 0 {
		c.fail(fmt.Errorf("sound before authentication: %w", native.ErrProtocol))
		return
	}
	c.spend(aSound + time.Duration(h.Length)*each/soundBytes)
	c.sound = c.receiver(h.Channel) // a packet may cross the stream's deletion on the wire: then it goes nowhere
	if c.sound != nil && (h.Offset != 0 || h.Seek != native.SeekRelative) {
		c.sound.seek(h.Offset, h.Seek)
	}
}

// receiver is what takes the sound of a channel.
type receiver interface {
	seek(offset int64, mode native.Seek)
	write(p []byte)
}

// free is a channel that nothing has.
func (c *Session) free() (channel uint32) {
	for c.receiver(channel) != nil {
		channel++
	}
	return channel
}

func (c *Session) receiver(channel uint32) receiver {
	if p := c.playback(channel); p != nil {
		return p
	}
	if up := c.upload(channel); up != nil {
		return up
	}
	return nil
}

// feedControl gathers a control packet and, when it is whole, carries it out.
func (c *Session) feedControl(part []byte) {
	payload := part
	if len(c.control) > 0 || c.left > 0 {
		c.control = append(c.control, part...)
		payload = c.control
	}
	if c.left > 0 {
		return
	}
	c.execute(payload)
	if c.control = c.control[:0]; cap(c.control) > 4<<10 {
		c.control = nil
	}
}

// execute decodes and answers one request. What the client may not do, or asks for wrongly, gets an error; what is no
// message at all ends the session.
func (c *Session) execute(payload []byte) {
	op, tag, fields, err := native.ParseControl(payload)
	if err != nil {
		c.fail(err)
		return
	}
	if c.version == 0 && op != native.OpAuth {
		c.refuse(tag, native.ErrAccess)
		return
	}
	h := lookup(op)
	r := &c.request
	*r = request{op: op, tag: tag, fields: fields}
	switch {
	case c.grant != policy.Owner && !c.user.requests.take(c.server.clock, 1+h.cost):
		err = native.ErrBusy
	case h.do == nil:
		err = h.without(c.grant)
	case h.grant > c.grant:
		err = native.ErrAccess
	default:
		err = h.do(c, r)
	}
	var code native.Code
	switch {
	case err == nil:
	case errors.As(err, &code) && code != native.ErrProtocol:
		c.refuse(tag, code)
	case code == native.ErrProtocol:
		c.fail(fmt.Errorf("%v: %w", op, err))
	default:
		c.server.log("%v of %v failed: %v", op, c.peer, err)
		c.refuse(tag, native.ErrInternal)
	}
}

// request is one control packet being answered.
type request struct {
	op     native.Op
	tag    uint32
	fields []byte
}

// reply answers with m, nil for a plain acknowledgement.
func (c *Session) reply(tag uint32, m native.Message) error {
	before := len(c.outbox)
	c.put(native.AppendPacket(c.outbox, c.version, native.OpReply, tag, m))
	c.spend(time.Duration((len(c.outbox)-before)/replyBytes) * each)
	return nil
}

func (c *Session) refuse(tag uint32, code native.Code) {
	c.put(native.AppendError(c.outbox, tag, code))
}

// send tells the client what it did not ask for.
func (c *Session) send(op native.Op, m native.Message) {
	c.put(native.AppendPacket(c.outbox, c.version, op, native.Invalid, m))
}

// put makes grown, the outbox with a packet appended, the outbox. A client that leaves too much unread is not waited for. To the owner the packet
// itself does not count, since helpers' properties may make a list of their streams as long as they like.
func (c *Session) put(grown []byte) {
	unread := len(grown)
	if c.grant == policy.Owner {
		unread = len(c.outbox)
	}
	c.outbox = grown
	if unread > maxOutbox {
		c.fail(fmt.Errorf("left %d bytes unread", unread))
		return
	}
	c.wake()
}

// sees reports whether this client may know of another one and what it owns.
func (c *Session) sees(other *Session) bool {
	return c.grant == policy.Owner || c.user == other.user
}
