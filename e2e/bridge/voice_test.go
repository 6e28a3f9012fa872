package bridge_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"sandbox-audio/e2e/need"
)

// A voice plays a sound of rising pitch, by which an ear knows which part of it comes when. Both ask their server all the time where their stream
// is, as video players do.

const (
	rate    = 48000
	lowest  = 1000.0 // Hz, where the sound begins
	rises   = 300.0  // Hz in each second, for a minute
	block   = rate / 200
	between = 20 * time.Millisecond // two questions
)

// place is which second of the rising sound the middle of x is; NaN if it is something else, or broken.
func place(x []float64) float64 {
	var both, twice float64 // of a sine, the frames before and after one add up to a multiple of it
	for n := 1; n < len(x)-1; n++ {
		both, twice = both+x[n]*(x[n-1]+x[n+1]), twice+2*x[n]*x[n]
	}
	c := both / twice
	var rest float64
	for n := 1; n < len(x)-1; n++ {
		off := x[n-1] + x[n+1] - 2*c*x[n]
		rest += off * off
	}
	if twice < 0.001 || rest > 1e-4*twice || math.Abs(c) >= 1 {
		return math.NaN()
	}
	return (math.Acos(c)*rate/(2*math.Pi) - lowest) / rises
}

// line is a connection with one stereo stream of 16 bits.
type line struct {
	*proto.Client
	conn   net.Conn
	index  uint32 // of the stream
	ask    func() (at float64, ok bool)
	mu     sync.Mutex
	told   []moment
	hangUp sync.Once
}

// moment is a time of the test's and the second of the stream that is at the ear then, by the server's word.
type moment struct{ when, at float64 }

var epoch = time.Now()

func now() float64 { return time.Since(epoch).Seconds() }

// connect makes a line that the kernel says is u's.
func connect(t *testing.T, u need.User, addr, name string, events func(any)) *line {
	t.Helper()
	network, where, _ := strings.Cut(addr, ":")
	l := &line{}
	var err error
	runtime.LockOSThread() // this thread alone
	const same = ^uintptr(0)
	syscall.RawSyscall(syscall.SYS_SETRESGID, same, uintptr(u.GID), same)
	syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(u.UID), same)
	l.conn, err = net.Dial(network, where)
	syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same)
	syscall.RawSyscall(syscall.SYS_SETRESGID, same, 0, same)
	runtime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	l.Client = &proto.Client{Callback: events}
	l.SetTimeout(time.Minute)
	l.Open(l.conn)
	t.Cleanup(l.close)
	var auth proto.AuthReply
	l.request(t, &proto.Auth{Version: l.Version(), Cookie: make([]byte, 256)}, &auth)
	l.SetVersion(auth.Version)
	l.request(t, &proto.SetClientName{Props: proto.PropList{"application.name": proto.PropListString(name)}}, &proto.SetClientNameReply{})
	return l
}

func (l *line) close() { l.hangUp.Do(func() { l.conn.Close() }) }

func (l *line) request(t *testing.T, m proto.RequestArgs, reply proto.Reply) {
	t.Helper()
	if err := l.Request(m, reply); err != nil {
		t.Fatalf("%T: %v", m, err)
	}
}

// watch asks for the position until the line is closed.
func (l *line) watch(position func() (at float64, ok bool, err error)) {
	for {
		before := now()
		at, ok, err := position()
		if err != nil {
			return
		}
		if after := now(); ok && after-before < 0.005 { // else who knows when it was so
			l.mu.Lock()
			l.told = append(l.told, moment{(before + after) / 2, at})
			l.mu.Unlock()
		}
		time.Sleep(between)
	}
}

// zero is when second 0 of the stream would have been at the ear, by what was said in a while. PipeWire tells where its stream was when its cycle began,
// up to 40 ms ago: the freshest answers count. With too few of them it is not known.
func (l *line) zero(from, to float64) (zero float64, lacks string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var zeros []float64
	for _, m := range l.told {
		if from <= m.when && m.when < to {
			zeros = append(zeros, m.when-m.at)
		}
	}
	if len(zeros) < 10 {
		return 0, fmt.Sprintf("only %d answers in %.1f s came at once", len(zeros), to-from)
	}
	slices.Sort(zeros)
	return zeros[len(zeros)/10], ""
}

// middle is the median.
func middle(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

var stereo = proto.ChannelMap{proto.ChannelFrontLeft, proto.ChannelFrontRight}

// voice plays in one channel.
type voice struct {
	*line
	input uint32       // at its server
	moved chan string  // where to
	late  atomic.Int64 // µs from its server to the ear, by the last answer
}

func speak(t *testing.T, u need.User, addr, name string, channel int) *voice {
	t.Helper()
	v := &voice{moved: make(chan string, 100)}
	sent := 0
	send := func(bytes int) {
		p := make([]byte, bytes/4*4)
		for i := 0; i < len(p); i += 4 {
			s := float64(sent) / rate
			x := math.Sin(2 * math.Pi * (lowest*s + rises*s*s/2))
			binary.LittleEndian.PutUint16(p[i+2*channel:], uint16(int16(8192*x)))
			sent++
		}
		v.Send(v.index, p)
	}
	v.line = connect(t, u, addr, name, func(m any) {
		switch m := m.(type) {
		case *proto.Request:
			send(int(m.Length))
		case *proto.PlaybackStreamMoved:
			v.moved <- m.DestName
		}
	})
	var reply proto.CreatePlaybackStreamReply
	v.request(t, &proto.CreatePlaybackStream{SampleSpec: proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 2, Rate: rate}, ChannelMap: stereo, SinkIndex: proto.Undefined,
		BufferMaxLength: proto.Undefined, BufferTargetLength: rate * 4 * 3 / 10, BufferPrebufferLength: proto.Undefined, BufferMinimumRequest: proto.Undefined,
		Corked: true, AdjustLatency: true, ChannelVolumes: proto.ChannelVolumes{0x10000, 0x10000}, Properties: proto.PropList{"media.name": proto.PropListString(name)}}, &reply)
	v.index, v.input = reply.StreamIndex, reply.SinkInputIndex
	send(int(reply.Missing))
	v.request(t, &proto.CorkPlaybackStream{StreamIndex: v.index}, nil)
	go v.watch(func() (float64, bool, error) {
		var r proto.GetPlaybackLatencyReply
		err := v.Request(&proto.GetPlaybackLatency{StreamIndex: v.index}, &r)
		v.late.Store(int64(r.Latency))
		return float64(r.ReadIndex)/4/rate - float64(r.Latency)/1e6, r.Running, err
	})
	return v
}

func (v *voice) latency() time.Duration { return time.Duration(v.late.Load()) * time.Microsecond }

// ear records the monitor of a server's sink.
type ear struct {
	*line
	places [][2]float64 // of each block, in both channels
}

func lend(t *testing.T, u need.User, addr, source string) *ear {
	t.Helper()
	e := &ear{}
	var raw []byte
	var x [2][block]float64
	e.line = connect(t, u, addr, "ear of "+source, func(m any) {
		packet, ok := m.(*proto.DataPacket)
		if !ok {
			return
		}
		for raw = append(raw, packet.Data...); len(raw) >= 4*block; raw = raw[4*block:] {
			for i := range 2 * block {
				x[i%2][i/2] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
			}
			e.mu.Lock()
			e.places = append(e.places, [2]float64{place(x[0][:]), place(x[1][:])})
			e.mu.Unlock()
		}
	})
	var reply proto.CreateRecordStreamReply
	e.request(t, &proto.CreateRecordStream{SampleSpec: proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 2, Rate: rate}, ChannelMap: stereo, SourceIndex: proto.Undefined, SourceName: source,
		BufferMaxLength: proto.Undefined, BufferFragSize: rate * 4 / 50, AdjustLatency: true, DirectOnInputIndex: proto.Undefined,
		ChannelVolumes: proto.ChannelVolumes{0x10000, 0x10000}, Properties: proto.PropList{"media.name": proto.PropListString("ear")}}, &reply)
	e.index = reply.StreamIndex
	go e.watch(func() (float64, bool, error) {
		var r proto.GetRecordLatencyReply
		err := e.Request(&proto.GetRecordLatency{StreamIndex: e.index}, &r)
		return float64(r.WriteIndex)/4/rate + float64(r.Latency)/1e6 - float64(r.MonitorLatency)/1e6, r.Running, err
	})
	return e
}

// length is how many blocks have been recorded.
func (e *ear) length() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.places)
}

// heard are the seconds of the rising sound that came in one channel, each with the second of the recording.
func (e *ear) heard(channel int) (all []moment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range e.places {
		if at := p[channel]; !math.IsNaN(at) {
			all = append(all, moment{(float64(i) + 0.5) * block / rate, at})
		}
	}
	return all
}
