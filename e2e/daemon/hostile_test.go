package daemon_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

func init() { roles["vandal"] = vandal }

// dial opens a bare connection to an address of the daemon's.
func dial(addr string) (net.Conn, error) {
	network, where, _ := strings.Cut(addr, ":")
	return net.DialTimeout(network, where, 5*time.Second)
}

// hello is AUTH and SET_CLIENT_NAME.
func hello() []byte {
	b := native.AppendPacket(nil, 35, native.OpAuth, 1, &native.Auth{Version: 35, Cookie: make([]byte, native.CookieSize)})
	return native.AppendPacket(b, 35, native.OpSetClientName, 2, &native.SetClientName{Props: native.Text("application.name", "vandal")})
}

func creation() *native.CreatePlaybackStream {
	any := uint32(native.Invalid)
	return &native.CreatePlaybackStream{Spec: pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 44100}, Map: pcm.StereoMap, SinkIndex: any,
		Attr: native.BufferAttr{MaxLength: any, TLength: any, Prebuf: any, MinReq: any}, Volume: native.NormVolume(2), Props: native.Text("media.name", "noise")}
}

// vandal does, until its standard input ends, everything a client must not do. It has a grant, so all of it reaches the parser. Each line it
// prints is a round.
func vandal(args []string) {
	addr := args[0]
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(done) }()
	header := func(h native.Header) []byte { return native.AppendHeader(nil, h) }
	flags := func(h native.Header, f uint32) []byte {
		return binary.BigEndian.AppendUint32(native.AppendHeader(nil, h)[:16], f)
	}
	control := func(op native.Op, fields ...byte) []byte {
		b := header(native.Header{Length: uint32(10 + len(fields)), Channel: native.ControlChannel})
		b = append(binary.BigEndian.AppendUint32(append(b, 'L'), uint32(op)), 'L', 0, 0, 0, 9)
		return append(b, fields...)
	}
	whole := native.AppendPacket(nil, 35, native.OpCreatePlaybackStream, 3, creation())
	bad := [][]byte{
		header(native.Header{Channel: native.ControlChannel}),
		header(native.Header{Length: 1<<32 - 1, Channel: native.ControlChannel}),
		header(native.Header{Length: 16<<20 + 1}),
		flags(native.Header{Length: 8}, 0x80000000),
		flags(native.Header{Length: 8}, 0x40000000),
		flags(native.Header{Length: 8}, 4),
		flags(native.Header{Length: 10, Channel: native.ControlChannel}, 1),
		control(native.OpSetClientName, 'P', 't', 'k', 0, 'L', 0xff, 0xff, 0xff, 0xff, 'x', 0xff, 0xff, 0xff, 0xff), // a blob of 4 GiB
		control(native.OpSetClientName, 'P', 't', 'k', 0, 'L', 0x10, 0, 0, 0, 'x', 0x10, 0, 0, 0, 1),                // of 256 MiB, with a byte in it
		control(native.OpSetClientName, 'P', 't', 'k', 0, 'L', 0, 0, 0, 0, 'x', 0, 0, 0, 0, 'N'),                    // an empty one
		control(native.OpLookupSink, 't', 'a', 'b'),                                                                 // no NUL
		control(native.OpLookupSink, 'L', 0, 0, 0, 1),                                                               // a number for a string
		control(native.OpGetServerInfo, 'N'),                                                                        // a field too many
		control(native.OpCreatePlaybackStream, 'a', 3, 255, 0, 0, 0, 0, 'm', 255),                                   // 255 channels, rate 0
		control(native.OpCreatePlaybackStream, 'a', 3, 0, 0, 0, 0, 0, 'm', 0, 'L', 0xff, 0xff, 0xff, 0xff, 'N'),     // none
		control(native.OpAuth, 'L', 0, 0, 0, 35, 'x', 0, 0, 0, 0),                                                   // a second AUTH
		control(native.OpRemoveClientProplist, 't', 0),                                                              // a list that does not end
		control(native.OpUpdatePlaybackStreamProplist, 'L', 0, 0, 0, 0, 'L', 0xff, 0xff, 0xff, 0xff, 'P', 'N'),      // no such mode
		append(whole[:len(whole):len(whole)], native.AppendHeader(nil, native.Header{Length: 64, Offset: 1 << 62, Seek: native.SeekAbsolute})...),
		whole[:len(whole)-9],
	}
	var slow []net.Conn
	rnd := rand.New(rand.NewPCG(3, 4))
	for round := 0; ; round++ {
		select {
		case <-done:
			return
		default:
		}
		for _, b := range bad {
			if c, err := dial(addr); err == nil {
				c.Write(append(hello(), b...))
				c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				io.Copy(io.Discard, c)
				c.Close()
			}
		}
		if c, err := dial(addr); err == nil { // asks and asks, and never reads
			c.Write(hello())
			c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			ask := native.AppendPacket(nil, 35, native.OpGetServerInfo, 5, nil)
			many := []byte(strings.Repeat(string(ask), 2000))
			for i := 0; i < 20; i++ {
				if _, err := c.Write(many); err != nil {
					break
				}
			}
			slow = append(slow, c)
		}
		if c, err := dial(addr); err == nil { // plays noise, seeks wildly, writes far more than asked for, leaves half a packet
			b := append(hello(), whole...)
			for range 50 {
				b = native.AppendHeader(b, native.Header{Length: 4096, Offset: rnd.Int64() - rnd.Int64(), Seek: native.Seek(rnd.UintN(4))})
				b = append(b, make([]byte, 4096)...)
			}
			c.Write(append(b, 0, 0, 1))
			slow = append(slow, c)
		}
		for len(slow) > 40 {
			slow[0].Close()
			slow = slow[1:]
		}
		fmt.Println("round", round)
	}
}

// A helper plays while another user with a grant does all of that: not a frame of the helper's is lost, the worker stays the same process, and
// when the vandal is gone so is all that was his.
func TestVandalHurtsNobody(t *testing.T) {
	need.Packages(t, "pulseaudio-utils")
	owner, helper, other := need.NewUser(t), need.NewUser(t), need.NewUser(t)
	d := rig.Start(t, owner, "--allow", helper.Name, "--allow", other.Name)
	before := d.Status(t).PID
	fds := descriptors(t, before)

	tone := t.TempDir() + "/tone.wav"
	if err := sound.Sine(48000, 2, 6*time.Second, 997, -12).WriteWAV(tone); err != nil {
		t.Fatal(err)
	}
	readable(t, tone)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stop := []func() int{vandalize(t, ctx, other, d.Unix), vandalize(t, ctx, other, d.TCP)}
	play := helper.Command(ctx, []string{"PULSE_SERVER=" + d.Unix}, "paplay", tone)
	if out, err := play.CombinedOutput(); err != nil {
		t.Errorf("paplay: %v\n%s", err, out)
	}
	for _, stop := range stop {
		if rounds := stop(); rounds < 2 {
			t.Errorf("a vandal came to %d rounds only", rounds)
		}
	}
	st := d.Status(t)
	if st.PID != before {
		t.Errorf("the worker is another process than before: %d, then %d", before, st.PID)
	}
	heard, _ := d.Heard(t).Trim(-80)
	sound.Hear(t, heard, 0, -70, sound.Tone{Freq: 997, DB: -12})
	sound.Hear(t, heard, 1, -70, sound.Tone{Freq: 997, DB: -12})
	if n := heard.Frames(); n < 6*48000-48 || n > 6*48000+48 {
		t.Errorf("%d frames were heard, %d played", n, 6*48000)
	}
	need.Eventually(t, time.Minute, func() string {
		st := d.Status(t)
		if n := descriptors(t, before); len(st.Connections) > 1 || len(st.Streams) > 0 || n > fds+1 {
			return fmt.Sprintf("%d connections, %d streams, %d descriptors (%d before)", len(st.Connections), len(st.Streams), n, fds)
		}
		return ""
	})
}

// vandalize starts a vandal at addr; stop ends it and tells how many rounds it came to.
func vandalize(t *testing.T, ctx context.Context, u need.User, addr string) (stop func() int) {
	t.Helper()
	v := u.Command(ctx, nil, self(t), "role", "vandal", addr)
	stdin, err := v.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	v.Stdout, v.Stderr = &out, os.Stderr
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		stdin.Close()
		if err := v.Wait(); err != nil {
			t.Errorf("the vandal: %v", err)
		}
		return strings.Count(out.String(), "round")
	}
}

// descriptors is how many files pid has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// self is this test binary where every user may execute it.
func self(t *testing.T) string {
	t.Helper()
	path := "/proc/self/exe"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("/var/tmp", "sa-role-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(f.Name()) })
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	f.Chmod(0o755)
	f.Close()
	return f.Name()
}

// readable opens a file of t.TempDir's to every user.
func readable(t *testing.T, path string) {
	t.Helper()
	for dir := path; dir != os.TempDir() && dir != "/"; dir = dir[:strings.LastIndexByte(dir, '/')] {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
