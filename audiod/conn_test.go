package audiod

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/session"
)

// serve runs clients on a Unix socket within this process, for its own user, until t ends.
func serve(t *testing.T) (addr string) {
	t.Helper()
	addr, _ = serveUsers(t, uint32(os.Getuid()))
	return addr
}

// serveUsers is serve for the owner uid and those allowed to play. ask has f called on the loop, and waits until it was.
func serveUsers(t *testing.T, uid uint32, allow ...string) (addr string, ask func(f func(cs *clients))) {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := device.New("null", l)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.NewRules([]uint32{uid}, allow)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	listeners, err := Listen([]Address{{Transport: policy.Unix, Path: filepath.Join(dir, "native")}})
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(string, ...any) {}
	refusals := policy.NewRefusals(quiet)
	sink := mixer.NewSink(l, dev, quiet)
	cs := &clients{loop: l, rules: rules, refusals: refusals, log: quiet, held: map[uint32]int{}, idle: func(bool) {},
		server: session.NewServer(l, refusals, quiet)}
	cs.server.AddSink(sink)
	if err := cs.listen(listeners[0].FD); err != nil {
		t.Fatal(err)
	}
	l.AtTurnEnd(cs.turnEnd)
	done := make(chan error)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		sink.Close()
		rules.Close()
		l.Close()
		listeners[0].Close()
	})
	return listeners[0].Address.String(), func(f func(cs *clients)) {
		done := make(chan struct{})
		l.Post(func() { f(cs); close(done) })
		<-done
	}
}

// usage is what a connection could leave behind.
type usage struct{ descriptors, goroutines, heap int }

func used(t *testing.T) usage {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return usage{len(fds), runtime.NumGoroutine(), int(m.HeapAlloc)}
}

// visit connects, plays a little, and leaves: in good order, or in the middle of a packet.
func visit(t *testing.T, addr string, rude bool) {
	t.Helper()
	c, err := native.Dial(context.Background(), addr, "visitor")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	any := uint32(native.Invalid)
	m := &native.CreatePlaybackStream{Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 44100}, Map: pcm.StereoMap, SinkIndex: any,
		Attr: native.BufferAttr{MaxLength: any, TLength: 17640, Prebuf: any, MinReq: any}, Volume: native.NormVolume(2)}
	var reply native.CreatePlaybackStreamReply
	if err := c.Call(native.OpCreatePlaybackStream, m, &reply); err != nil {
		t.Fatal(err)
	}
	if rude {
		return
	}
	if err := c.Call(native.OpDeletePlaybackStream, &native.ByIndex{Index: reply.Channel}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestConnectionsLeaveNothingBehind(t *testing.T) {
	addr := serve(t)
	for i := range 50 {
		visit(t, addr, i%2 == 0)
	}
	before := used(t)
	for i := range 500 {
		visit(t, addr, i%2 == 0)
	}
	var after usage
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		after = used(t)
		if after.descriptors <= before.descriptors && after.goroutines <= before.goroutines && after.heap < before.heap+64<<10 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after 500 connections more than before: %+v, then %+v", before, after)
		}
	}
}

func TestOneTooManyIsRefused(t *testing.T) {
	t.Run("helper", func(t *testing.T) {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		addr, _ := serveUsers(t, uint32(os.Getuid())+1, me.Username)
		oneTooMany(t, addr, maxConnections)
	})
	t.Run("owner", func(t *testing.T) { oneTooMany(t, serve(t), maxOwnerConnections) })
}

func oneTooMany(t *testing.T, addr string, most int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if uint64(2*most+100) > limit.Cur {
		t.Skipf("this process may have %d files open only, the test needs %d (ulimit -n)", limit.Cur, 2*most+100)
	}
	var open []*native.Client
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range most {
		c, err := native.Dial(context.Background(), addr, fmt.Sprint(i))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		open = append(open, c)
	}
	if _, err := native.Dial(context.Background(), addr, "one too many"); err == nil {
		t.Fatal("there is no limit to connections")
	}
	open[0].Close()
	open = open[1:]
	for end := time.Now().Add(time.Minute); ; { // the daemon hears of the end in its own time
		c, err := native.Dial(context.Background(), addr, "visitor")
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("one has gone, and another is still refused: %v", err)
		}
	}
}

// Who asks without end is not read from until he has paid for it, so that his requests are not even refused faster than he may make them; and when he
// goes away meanwhile, all that was his goes.
func TestAFloodIsNotRead(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	addr, ask := serveUsers(t, uint32(os.Getuid())+1, me.Username)
	network, where, _ := strings.Cut(addr, ":")
	conn, err := net.Dial(network, where)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(native.AppendPacket(nil, 35, native.OpAuth, 1, &native.Auth{Version: 35, Cookie: make([]byte, native.CookieSize)})); err != nil {
		t.Fatal(err)
	}
	// Each of these counts as 21 of the 4000 at once, and 16 are read at a time; 2000 come back in a second.
	const n, soonest = 240, (240*21 - 4000 - 2*16*21) * time.Second / 2000
	flood := slices.Repeat(native.AppendPacket(nil, 35, native.OpPlaySample, 2, &native.PlaySample{SinkIndex: native.Invalid, Name: strings.Repeat("x", 4000)}), n)
	begun := time.Now()
	go conn.Write(flood)
	conn.SetReadDeadline(begun.Add(time.Minute))
	for answers := 0; answers < n; {
		var head [native.HeaderSize]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatalf("after %d answers: %v", answers, err)
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		if op, tag, _, err := native.ParseControl(payload); err != nil || tag == 2 && op != native.OpError {
			t.Fatalf("answered with %v (%v)", op, err)
		} else if tag == 2 {
			answers++
		}
	}
	if took := time.Since(begun); took < soonest {
		t.Errorf("%d requests were answered in %v, not to be had before %v", n, took, soonest)
	}

	conn.SetWriteDeadline(time.Now().Add(time.Minute))
	conn.Write(flood[:len(flood)/4]) // no more than a socket holds
	conn.Close()
	until(t, "the session to go, as its connection has", func() bool {
		left := 0
		ask(func(cs *clients) { left = cs.server.Sessions() })
		return left == 0
	})
}

// Who has no grant is closed unread: no session is begun, whatever he sends, and the refusal is on record.
func TestStrangersAreNeverRead(t *testing.T) {
	addr, ask := serveUsers(t, uint32(os.Getuid())+1)
	for range 20 {
		c, err := native.Dial(context.Background(), addr, "stranger")
		if err == nil {
			c.Close()
			t.Fatal("a stranger was served")
		}
	}
	ask(func(cs *clients) {
		if cs.server.Sessions() != 0 || cs.refusals.Total() != 20 {
			t.Errorf("%d sessions, %d refusals", cs.server.Sessions(), cs.refusals.Total())
		}
		if r := cs.refusals.Newest(); len(r) == 0 || r[0].UID != uint32(os.Getuid()) || r[0].Reason != policy.NoGrant {
			t.Errorf("on record: %+v", r)
		}
	})
}
