package native

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve answers each request on one connection with what f returns, until f returns nil.
func serve(t *testing.T, f func(op Op, tag uint32, fields []byte) []byte) (address string) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for head := make([]byte, HeaderSize); ; {
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			h, err := ParseHeader(head)
			payload := make([]byte, h.Length)
			if _, err2 := io.ReadFull(conn, payload); err != nil || err2 != nil {
				t.Error(err, err2)
				return
			}
			op, tag, fields, err := ParseControl(payload)
			if err != nil {
				t.Error(err)
				return
			}
			answer := f(op, tag, fields)
			if answer == nil {
				return
			}
			conn.Write(answer)
		}
	}()
	return "unix:" + socket
}

// greet answers what a client says before anything else; nil for the rest.
func greet(op Op, tag uint32) []byte {
	switch op {
	case OpAuth:
		return AppendPacket(nil, Version, OpReply, tag, &AuthReply{Version})
	case OpSetClientName:
		return AppendPacket(nil, Version, OpReply, tag, &IndexReply{3})
	}
	return nil
}

func TestClient(t *testing.T) {
	large := strings.Repeat("x", MaxText-1)
	address := serve(t, func(op Op, tag uint32, fields []byte) []byte {
		switch op {
		case OpSendObjectMessage:
			var m SendObjectMessage
			if err := Decode(fields, Version, &m); err != nil || m != (SendObjectMessage{"/path", "verb", "{}"}) {
				t.Errorf("%+v, %v", m, err)
			}
			event := AppendPacket(nil, Version, OpSubscribeEvent, Invalid, &SubscribeEvent{EventServer | EventChange, 0})
			sound := append(AppendHeader(event, Header{Length: 2, Channel: 9}), 0, 0)
			late := AppendPacket(sound, Version, OpReply, tag+1000, nil) // to a request that was given up
			return AppendPacket(late, Version, OpReply, tag, &SendObjectMessageReply{large})
		case OpStat:
			return AppendPacket(nil, Version, OpReply, tag, &IndexReply{1}) // too short
		case OpExit:
			return AppendError(nil, tag, ErrAccess)
		}
		return greet(op, tag)
	})
	c, err := Dial(context.Background(), address, "test")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.SendMessage("/path", "verb", "{}"); err != nil || got != large {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := c.Call(OpExit, nil, nil); err != ErrAccess {
		t.Errorf("a refusal: %v", err)
	}
	if err := c.Call(OpStat, nil, new(StatReply)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a wrong answer: %v", err)
	}
	if err := c.Call(OpLookupSink, &ByName{strings.Repeat("x", MaxString)}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a request over the limits: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("while connected: %v", c.Err())
	}
	if err := c.Call(OpGetServerInfo, nil, new(ServerInfo)); !errors.Is(err, io.EOF) { // the server hangs up
		t.Errorf("no answer: %v", err)
	}
	if <-c.Done(); !errors.Is(c.Err(), io.EOF) {
		t.Errorf("at the end: %v", c.Err())
	}
}

func TestDialRefused(t *testing.T) {
	address := serve(t, func(op Op, tag uint32, fields []byte) []byte { return AppendError(nil, tag, ErrAccess) })
	if _, err := Dial(context.Background(), address, "test"); !errors.Is(err, ErrAccess) {
		t.Errorf("turned away: %v", err)
	}
	old := serve(t, func(op Op, tag uint32, fields []byte) []byte {
		return AppendPacket(nil, Version, OpReply, tag, &AuthReply{12})
	})
	if _, err := Dial(context.Background(), old, "test"); !errors.Is(err, ErrVersion) {
		t.Errorf("an old server: %v", err)
	}
	for _, address := range []string{"", "native", "http:x", "unix:" + filepath.Join(t.TempDir(), "none")} {
		if _, err := Dial(context.Background(), address, "test"); err == nil {
			t.Errorf("%q answered", address)
		}
	}
}

// A server that accepts and then says nothing does not hold the caller longer than its context.
func TestDialGivesUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			io.ReadFull(conn, make([]byte, HeaderSize)) // AUTH is on its way
			cancel()
			io.Copy(io.Discard, conn)
		}
	}()
	failed := make(chan error)
	go func() {
		_, err := Dial(ctx, "tcp:"+l.Addr().String(), "test")
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("a connection without an answer")
		}
	case <-time.After(time.Minute):
		t.Error("still waiting")
	}
}
