package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// replyTimeout is libpulse's own.
const replyTimeout = 30 * time.Second

// Client is a connection for asking and telling: it has no streams and passes over events. Any goroutine may call its methods.
type Client struct {
	conn    net.Conn
	version uint32
	done    chan struct{} // closed when the connection has ended
	err     error         // why; read it after done

	mu      sync.Mutex
	tag     uint32
	waiting map[uint32]chan answer
}

type answer struct {
	op     Op
	fields []byte
}

// Dial connects to a server at "unix:/path" or "tcp:host:port" and introduces itself as name. ctx bounds only the connecting.
// A server that turns the caller away gives a Code, mostly ErrAccess.
func Dial(ctx context.Context, address, name string) (*Client, error) {
	return dial(ctx, address, name, Version)
}

func dial(ctx context.Context, address, name string, version uint32) (*Client, error) {
	network, where, ok := strings.Cut(address, ":")
	if !ok || network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("server address %q is neither unix:/path nor tcp:host:port", address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, where)
	if err != nil {
		return nil, fmt.Errorf("connecting to the sound server: %w", err)
	}
	c := &Client{conn: conn, version: version, done: make(chan struct{}), waiting: map[uint32]chan answer{}}
	go c.read()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = c.introduce(name)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("greeting the sound server at %s: %w", address, err)
	}
	return c, nil
}

func (c *Client) introduce(name string) error {
	var server AuthReply
	if err := c.Call(OpAuth, &Auth{Version: c.version, Cookie: make([]byte, CookieSize)}, &server); err != nil {
		return err
	}
	c.version = min(server.Version&0xFFFF, c.version)
	if c.version < MinVersion {
		return fmt.Errorf("it speaks version %d of the protocol, %d is the oldest known here: %w", c.version, MinVersion, ErrVersion)
	}
	props := Text("application.name", name, "application.process.id", fmt.Sprint(os.Getpid()))
	return c.Call(OpSetClientName, &SetClientName{props}, new(IndexReply))
}

// Call sends a request and waits for its answer, half a minute at most. Either message may be nil, where there are no fields.
// What the server refuses comes back as a Code.
func (c *Client) Call(op Op, request, reply Message) error {
	got := make(chan answer, 1)
	c.mu.Lock()
	c.tag++
	tag := c.tag
	packet := AppendPacket(nil, c.version, op, tag, request)
	if len(packet) == 0 {
		c.mu.Unlock()
		return fmt.Errorf("%v: the request is outside the protocol's limits: %w", op, ErrInvalid)
	}
	c.waiting[tag] = got
	c.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	_, err := c.conn.Write(packet)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, tag)
		c.mu.Unlock()
	}()
	if err != nil {
		c.conn.Close() // half a packet may be out
	}
	timeout := time.NewTimer(replyTimeout)
	defer timeout.Stop()
	select {
	case a := <-got:
		return a.into(op, c.version, reply)
	case <-c.done:
	case <-timeout.C:
		return fmt.Errorf("%v: no answer in %v: %w", op, replyTimeout, ErrTimeout)
	}
	select {
	case a := <-got: // came just before the end
		return a.into(op, c.version, reply)
	default:
		return fmt.Errorf("%v: %w", op, c.err)
	}
}

func (a answer) into(op Op, version uint32, reply Message) error {
	if a.op == OpError {
		var code IndexReply
		if err := Decode(a.fields, version, &code); err != nil {
			return fmt.Errorf("%v: %w", op, err)
		}
		return Code(code.Index)
	}
	if err := Decode(a.fields, version, reply); err != nil {
		return fmt.Errorf("the answer to %v: %w", op, err)
	}
	return nil
}

// SendMessage sends a message to the server's object at path and returns its answer.
func (c *Client) SendMessage(path, message, parameters string) (string, error) {
	var reply SendObjectMessageReply
	err := c.Call(OpSendObjectMessage, &SendObjectMessage{path, message, parameters}, &reply)
	return reply.Response, err
}

// Done is closed when the connection has ended, for whatever reason. Err then tells which.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil while it has not; net.ErrClosed after Close, io.EOF when the server hung up.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the connection; calls that wait return.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// read hands each answer to the call that waits for it, until the connection ends.
func (c *Client) read() {
	defer close(c.done)
	defer c.conn.Close()
	in := bufio.NewReader(c.conn)
	head := make([]byte, HeaderSize)
	for {
		if _, c.err = io.ReadFull(in, head); c.err != nil {
			return
		}
		h, err := parseHeader(head, MaxData) // a list for the owner may well exceed what clients may send
		if err != nil {
			c.err = err
			return
		}
		payload := make([]byte, h.Length)
		if _, c.err = io.ReadFull(in, payload); c.err != nil {
			return
		}
		if !h.Control() {
			continue
		}
		op, tag, fields, err := ParseControl(payload)
		if err != nil {
			c.err = err
			return
		}
		if op != OpReply && op != OpError {
			continue
		}
		c.mu.Lock()
		if got := c.waiting[tag]; got != nil {
			delete(c.waiting, tag)
			got <- answer{op, fields}
		}
		c.mu.Unlock()
	}
}
