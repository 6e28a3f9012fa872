package bench_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

const (
	tlength  = 100 * time.Millisecond
	maxConns = 32 // the streams share so many connections
	frame    = 4  // bytes, 16 bits stereo
	probes   = 200
)

// counts is what a load has seen since it began.
type counts struct {
	Sent      []int64 // bytes the server has asked for and got, by stream
	Underruns int64
}

// generate is the load: streams that answer every request at once, all over sockets, none through shared memory. It prints "playing"
// when all are open; from then on every line it reads gets one line of JSON: for "count" the counts, for "probe" round trips in milliseconds.
//
//	generate ADDRESS STREAMS RATE
func generate(args []string) error {
	n, _ := strconv.Atoi(args[1])
	rate, _ := strconv.Atoi(args[2])
	var conns []*conn
	var streams []*stream
	for range min(n, maxConns) {
		c, err := connect(args[0])
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	for i := range n {
		s, err := conns[i%len(conns)].play(uint32(rate))
		if err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		streams = append(streams, s)
	}
	fmt.Println("playing")
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var answer any
		switch in.Text() {
		case "count":
			var sum counts
			for _, s := range streams {
				sum.Sent = append(sum.Sent, s.sent.Load())
				sum.Underruns += s.underruns.Load()
			}
			answer = sum
		case "probe":
			var trips []float64
			for range probes {
				start := time.Now()
				if err := conns[0].call(native.OpGetPlaybackLatency, &native.GetLatency{Channel: streams[0].channel}, new(native.PlaybackLatency)); err != nil {
					return err
				}
				trips = append(trips, float64(time.Since(start))/1e6)
				time.Sleep(5 * time.Millisecond)
			}
			answer = trips
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

// conn is one connection to a server; its reader answers the requests.
type conn struct {
	net.Conn
	writing sync.Mutex
	replies chan []byte // payloads of replies, one call waiting at a time
	tag     uint32

	mu      sync.Mutex
	streams map[uint32]*stream
	early   map[uint32]int // bytes asked for before the stream's reply was read
}

// stream sends one second of a tone over and over.
type stream struct {
	channel         uint32
	tone            []byte
	at              int
	sent, underruns atomic.Int64
}

func connect(address string) (*conn, error) {
	network, where, _ := strings.Cut(address, ":")
	nc, err := net.Dial(network, where)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, replies: make(chan []byte, 1), streams: map[uint32]*stream{}, early: map[uint32]int{}}
	go func() {
		if err := c.read(); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
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
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%v: no answer in 10 seconds", op)
	}
}

func (c *conn) play(rate uint32) (*stream, error) {
	spec := pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: rate}
	const any = uint32(native.Invalid)
	attr := native.BufferAttr{MaxLength: any, TLength: uint32(spec.Bytes(tlength)), Prebuf: any, MinReq: any}
	var reply native.CreatePlaybackStreamReply
	err := c.call(native.OpCreatePlaybackStream, &native.CreatePlaybackStream{Spec: spec, Map: pcm.StereoMap, SinkIndex: any, Attr: attr, AdjustLatency: true,
		SyncID: uint32(len(c.streams)), Volume: native.NormVolume(2), Props: native.Text("media.name", "load")}, &reply)
	if err != nil {
		return nil, err
	}
	s := &stream{channel: reply.Channel, tone: make([]byte, rate*frame)}
	for i := range int(rate) {
		v := uint16(int16(8000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate))))
		binary.LittleEndian.PutUint16(s.tone[frame*i:], v)
		binary.LittleEndian.PutUint16(s.tone[frame*i+2:], v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[s.channel] = s
	return s, c.feed(s, int(reply.Missing)+c.early[s.channel])
}

// feed sends n bytes of s. The caller holds c.mu.
func (c *conn) feed(s *stream, n int) error {
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
		switch op {
		case native.OpReply, native.OpError:
			c.replies <- payload
		case native.OpRequest:
			var m native.Request
			if err := native.Decode(fields, native.Version, &m); err != nil {
				return err
			}
			if err := c.asked(m); err != nil {
				return err
			}
		case native.OpUnderflow:
			var m native.Underflow
			if err := native.Decode(fields, native.Version, &m); err != nil {
				return err
			}
			c.mu.Lock()
			if s := c.streams[m.Channel]; s != nil {
				s.underruns.Add(1)
			}
			c.mu.Unlock()
		}
	}
}

func (c *conn) asked(m native.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[m.Channel]
	if s == nil {
		c.early[m.Channel] += int(m.Length)
		return nil
	}
	return c.feed(s, int(m.Length))
}
