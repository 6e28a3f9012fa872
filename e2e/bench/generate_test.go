package bench_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
)

const (
	maxConns = 32 // the streams share so many connections
	frame    = 4  // bytes, 16 bits stereo
)

// order is what the load is to do next; all but play, end and stop leave the streams that play as they are.
type order struct {
	Do      string // "play", "count", "probe", "open", "connect", "end" or "stop"
	Address string // of connect, where it is not that of the rest
	Streams int    // of play
	Rate    int
	TLength time.Duration
	Corked  bool
	Times   int           // of open and probe, with which steady follows play
	For     time.Duration // of connect
}

// outcome is what came of an order.
type outcome struct {
	Refused   string    `json:",omitempty"`
	Sent      []int64   `json:",omitempty"` // bytes the server has asked for and got, by stream
	Underruns int64     `json:",omitempty"` // since play
	Replies   []float64 `json:",omitempty"` // milliseconds: round trips, of probe; from asking for a stream to its answer, of open
	Starts    []float64 `json:",omitempty"` // milliseconds from asking for a stream to STARTED
	PerSecond float64   `json:",omitempty"` // connections
}

// generate is the load: streams that answer every request at once, all over sockets, none through shared memory. It reads orders, a line of JSON
// each, and prints a line with the outcome of each, until its input ends.
func generate(address string) error {
	var l load
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		o := order{Address: address}
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		if o.Address == "" {
			o.Address = address
		}
		did, err := l.carryOut(o)
		if err != nil {
			did.Refused = err.Error()
		}
		if err := out.Encode(did); err != nil {
			return err
		}
	}
	return nil
}

// load is what plays.
type load struct {
	conns   []*conn
	streams []*stream
}

func (l *load) carryOut(o order) (did outcome, err error) {
	switch o.Do {
	case "play":
		return did, l.play(o)
	case "count":
		for _, s := range l.streams {
			did.Sent = append(did.Sent, s.sent.Load())
			did.Underruns += s.underruns.Load()
		}
	case "probe":
		for range o.Times {
			began := time.Now()
			if err := l.conns[0].call(native.OpGetPlaybackLatency, &native.GetLatency{Channel: l.streams[0].channel}, new(native.PlaybackLatency)); err != nil {
				return did, err
			}
			did.Replies = append(did.Replies, since(began))
			time.Sleep(5 * time.Millisecond)
		}
	case "open":
		return l.open(o)
	case "connect":
		n, began := 0, time.Now()
		for ; time.Since(began) < o.For; n++ {
			c, err := connect(o.Address)
			if err != nil {
				return did, err
			}
			c.Close()
		}
		did.PerSecond = float64(n) / time.Since(began).Seconds()
	case "end": // the last stream
		last := len(l.streams) - 1
		err = l.conns[last%len(l.conns)].end(l.streams[last])
		l.streams = l.streams[:last]
	case "stop":
		for _, c := range l.conns {
			c.Close()
		}
		*l = load{}
	}
	return did, err
}

func (l *load) play(o order) error {
	for range min(o.Streams, maxConns) {
		c, err := connect(o.Address)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, c)
	}
	for i := range o.Streams {
		s, err := l.conns[i%len(l.conns)].play(o)
		if err != nil {
			return fmt.Errorf("stream %d: %w", i+1, err)
		}
		l.streams = append(l.streams, s)
	}
	return nil
}

// open makes streams, one after the other, and waits until each plays.
func (l *load) open(o order) (did outcome, err error) {
	c := l.conns[0]
	for range o.Times {
		began := time.Now()
		s, err := c.play(o)
		if err != nil {
			return did, err
		}
		did.Replies = append(did.Replies, float64(s.answered.Sub(began))/1e6)
		select {
		case at := <-s.started:
			did.Starts = append(did.Starts, float64(at.Sub(began))/1e6)
		case <-time.After(5 * time.Second):
			return did, fmt.Errorf("no STARTED in 5 seconds")
		}
		if err := c.end(s); err != nil {
			return did, err
		}
	}
	return did, nil
}

func since(began time.Time) float64 { return float64(time.Since(began)) / 1e6 }

// tones holds one second of a tone at each rate, which streams send over and over.
var tones = map[int][]byte{}

func tone(rate int) []byte {
	if tones[rate] == nil {
		for i := range rate {
			v := uint16(int16(300 * math.Sin(2*math.Pi*440*float64(i)/float64(rate))))
			tones[rate] = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(tones[rate], v), v)
		}
	}
	return tones[rate]
}

func creation(o order, sync uint32) *native.CreatePlaybackStream {
	spec := pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: uint32(o.Rate)}
	const any = uint32(native.Invalid)
	attr := native.BufferAttr{MaxLength: any, TLength: uint32(spec.Bytes(o.TLength)), Prebuf: any, MinReq: any}
	return &native.CreatePlaybackStream{Spec: spec, Map: pcm.StereoMap, SinkIndex: any, Attr: attr, AdjustLatency: true, Corked: o.Corked,
		SyncID: sync, Volume: native.NormVolume(2), Props: native.Text("media.name", "load")}
}
