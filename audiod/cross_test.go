package audiod

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
	"sandbox-audio/audiod/session"
)

// counted is a sink that counts how often it is opened.
type counted struct {
	device.Sink
	opens int
}

func (c *counted) Open() (device.Config, error) {
	c.opens++
	return c.Sink.Open()
}

// TestCross has a sound server come that takes connections and says nothing, as long as the first of them lasts: what plays stays where it is until the
// server answers, and goes there by no other way.
func TestCross(t *testing.T) {
	quiet := func(string, ...any) {}
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	t.Setenv("PULSE_SERVER", "")
	if err := os.Mkdir(filepath.Join(run, "pulse"), 0o700); err != nil {
		t.Fatal(err)
	}
	there, err := net.Listen("unix", filepath.Join(run, "pulse", "native"))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	l, dials := dialing(t, new(keeper))
	server := session.NewServer(l, policy.NewRefusals(quiet), quiet)
	d, err := openDevices(l, Options{Devices: []string{"null"}, Sources: []string{"null"}, dials: dials}, server, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	null, err := device.New("null", l)
	if err != nil {
		t.Fatal(err)
	}
	another := &counted{Sink: null}
	d.add(another)
	const sound = 4 * 48000 * 4 // bytes: of four seconds, by the end of which the server answers
	owner := server.Open(policy.Peer{UID: 1000}, policy.Owner, func() error { return nil }, func() {})
	said := native.AppendPacket(nil, native.Version, native.OpAuth, 1, &native.Auth{Version: native.Version, Cookie: make([]byte, native.CookieSize)})
	said = native.AppendPacket(said, native.Version, native.OpCreatePlaybackStream, 2, &native.CreatePlaybackStream{Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 48000}, Map: pcm.StereoMap,
		SinkIndex: native.Invalid, Attr: native.BufferAttr{MaxLength: native.Invalid, TLength: sound, Prebuf: native.Invalid, MinReq: native.Invalid}, Volume: native.NormVolume(2)})
	said = append(native.AppendHeader(said, native.Header{Length: sound}), make([]byte, sound)...)
	if err := owner.Feed(said); err != nil {
		t.Fatal(err)
	}
	plays := func(s *mixer.Sink) bool { return len(s.Inputs()) == 1 }
	if first := d.sinks[0].mixer; !plays(first) || !first.Sounding() {
		t.Fatal("nothing plays")
	}

	accept := func() net.Conn {
		conn, err := there.Accept()
		if err != nil {
			t.Error(err)
		}
		return conn
	}
	go func() {
		silent := accept()
		if _, err := silent.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		l.Post(func() {
			if d.link != nil || len(d.sinks) != 2 || !plays(d.sinks[0].mixer) {
				t.Error("it has crossed over to a server that says nothing")
			}
			silent.Close()
		})
		conn := accept()
		l.Post(func() { answer(t, l, conn) })
	}()
	over := false
	var look *loop.Timer
	deadline := l.Now() + 20*time.Second
	look = l.NewTimer(func() {
		over = d.link != nil && len(d.sinks) == 0 && plays(d.bridged[0].Sink) && d.bridged[0].Sink.State().Trouble == ""
		if look.Set(l.Now() + 10*time.Millisecond); over || l.Now() > deadline {
			l.Stop()
		}
	})
	look.Set(l.Now())
	d.cross()
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if !over || another.opens != 1 {
		t.Errorf("crossed over: %v; a sink on the way was opened %d times", over, another.opens)
	}
}

// answer has conn served by a sound server on l.
func answer(t *testing.T, l *loop.Loop, conn net.Conn) {
	quiet := func(string, ...any) {}
	server := session.NewServer(l, policy.NewRefusals(quiet), quiet)
	server.AddSink(mixer.NewSilence(l, quiet))
	var s *session.Session
	write := func() {
		out := s.Outbox()
		conn.Write(out)
		s.Sent(len(out))
	}
	s = server.Open(policy.Peer{UID: 1000}, policy.Owner, func() error { return nil }, func() { l.Post(write) })
	t.Cleanup(func() { conn.Close() })
	go func() {
		for {
			b := make([]byte, 4<<10)
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			l.Post(func() {
				if err := s.Feed(b[:n]); err != nil {
					t.Error(err)
				}
			})
		}
	}()
}
