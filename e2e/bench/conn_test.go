package bench_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sandbox-audio/audiod/native"
)

// conn is one connection of the load's to a server; its reader answers the requests.
type conn struct {
	net.Conn
	writing sync.Mutex
	replies chan []byte // payloads of replies, one call waiting at a time
	tag     uint32
	syncs   uint32 // streams of one sync id would play together

	mu      sync.Mutex
	streams map[uint32]*stream // by channel, from its first mention, which may come before the answer that makes it
}

// stream is one that plays.
type stream struct {
	channel         uint32
	tone            []byte // nil until play knows the channel
	at              int
	owed            int // bytes asked for until then
	answered        time.Time
	started         chan time.Time // of the first STARTED
	sent, underruns atomic.Int64
}

func connect(address string) (*conn, error) {
	network, where, _ := strings.Cut(address, ":")
	nc, err := net.Dial(network, where)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, replies: make(chan []byte, 1), streams: map[uint32]*stream{}}
	go func() {
		if err := c.read(); !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(os.Stderr, "load:", err)
			c.Close()
		}
	}()
	if err := c.call(native.OpAuth, &native.Auth{Version: native.Version, Cookie: make([]byte, native.CookieSize)}, new(native.AuthReply)); err != nil {
		return nil, err
	}
	return c, c.call(native.OpSetClientName, &native.SetClientName{Props: native.Text("application.name", "load")}, new(native.IndexReply))
}

func (c *conn) send(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.Write(p)
	return err
}

func (c *conn) call(op native.Op, request, reply native.Message) error {
	c.tag++
	if err := c.send(native.AppendPacket(nil, native.Version, op, c.tag, request)); err != nil {
		return err
	}
	timeout := time.NewTimer(5 * time.Second)
	defer timeout.Stop()
	select {
	case payload := <-c.replies:
		got, tag, fields, err := native.ParseControl(payload)
		switch {
		case err != nil:
			return err
		case got == native.OpError:
			var code native.IndexReply
			native.Decode(fields, native.Version, &code)
			return fmt.Errorf("%v: %w", op, native.Code(code.Index))
		case tag != c.tag:
			return fmt.Errorf("%v: the answer to %d, not to %d", op, tag, c.tag)
		}
		return native.Decode(fields, native.Version, reply)
	case <-timeout.C:
		return fmt.Errorf("%v: no answer in 5 seconds", op)
	}
}

func (c *conn) play(o order) (*stream, error) {
	c.syncs++
	var reply native.CreatePlaybackStreamReply
	if err := c.call(native.OpCreatePlaybackStream, creation(o, c.syncs), &reply); err != nil {
		return nil, err
	}
	answered := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stream(reply.Channel)
	s.tone, s.answered = tone(o.Rate), answered
	return s, c.feed(s, int(reply.Missing)+s.owed)
}

// stream is the one of that channel. The caller holds c.mu.
func (c *conn) stream(channel uint32) *stream {
	s := c.streams[channel]
	if s == nil {
		s = &stream{channel: channel, started: make(chan time.Time, 1)}
		c.streams[channel] = s
	}
	return s
}

func (c *conn) end(s *stream) error {
	err := c.call(native.OpDeletePlaybackStream, &native.ByIndex{Index: s.channel}, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s.channel)
	return err
}

// feed sends n bytes of s. The caller holds c.mu.
func (c *conn) feed(s *stream, n int) error {
	if s.tone == nil {
		s.owed += n
		return nil
	}
	s.sent.Add(int64(n))
	for n > 0 {
		part := s.tone[s.at:min(s.at+n, len(s.tone))]
		packet := native.AppendHeader(make([]byte, 0, native.HeaderSize+len(part)), native.Header{Length: uint32(len(part)), Channel: s.channel})
		if err := c.send(append(packet, part...)); err != nil {
			return err
		}
		n -= len(part)
		s.at = (s.at + len(part)) % len(s.tone)
	}
	return nil
}

func (c *conn) read() error {
	in := bufio.NewReader(c)
	head := make([]byte, native.HeaderSize)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		h, err := native.ParseHeader(head)
		if err != nil {
			return err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		op, _, fields, err := native.ParseControl(payload)
		if err != nil {
			return err
		}
		if op == native.OpReply || op == native.OpError {
			c.replies <- payload
			continue
		}
		if err := c.told(op, fields); err != nil {
			return err
		}
	}
}

// told is what the server says unasked.
func (c *conn) told(op native.Op, fields []byte) error {
	var request native.Request
	var under native.Underflow
	var event native.StreamEvent
	c.mu.Lock()
	defer c.mu.Unlock()
	switch op {
	case native.OpRequest:
		if err := native.Decode(fields, native.Version, &request); err != nil {
			return err
		}
		return c.feed(c.stream(request.Channel), int(request.Length))
	case native.OpUnderflow:
		if err := native.Decode(fields, native.Version, &under); err != nil {
			return err
		}
		c.stream(under.Channel).underruns.Add(1)
	case native.OpStarted:
		if err := native.Decode(fields, native.Version, &event); err != nil {
			return err
		}
		select {
		case c.stream(event.Channel).started <- time.Now():
		default:
		}
	}
	return nil
}
