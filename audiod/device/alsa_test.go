package device_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
)

// Real cards are tested where there are some, with this package's compiled tests:
//
//	CGO_ENABLED=0 go test -c -o device.test ./audiod/device
//	device.test -test.v -test.run TestALSA -card Intel                                  as a user who may open /dev/snd
//	device.test -test.v -test.run TestALSAUnplug -card Audio -unplug /tmp/playing       and take the card away once that file exists
//
// TestALSAPlays leaves in the card's recording noise, for -seconds, and TestALSARecords in a file what the card heard.
var (
	cardFlag    = flag.String("card", "", "sound `card` (id or number, with ,device if it matters) for TestALSA")
	seconds     = flag.Float64("seconds", 5, "how long TestALSAPlays plays")
	recording   = flag.String("record", "", "`file` for what TestALSARecords hears, 16 bit")
	unplugged   = flag.String("unplug", "", "`file` that TestALSAUnplug makes when it plays, to have the card taken away")
	cardsJitter = flag.Duration("jitter", 2*time.Millisecond, "how far a reading of the card's position may be off")
)

// realCard makes sinks for the card under test, on the clock of a loop.
func realCard(t *testing.T) (*loop.Loop, func(*testing.T) device.Sink) {
	t.Helper()
	if *cardFlag == "" {
		t.Skip("no -card given: real cards are tested in the virtual machine of the end-to-end tests")
	}
	clock, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clock.Close)
	return clock, func(t *testing.T) device.Sink { return sink(t, "alsa:"+*cardFlag, clock) }
}

const (
	reopenTime = 50 * time.Millisecond
	asleep     = 3 * time.Second // after that long a closed HDA card has put its codec to sleep; until it has, opening waits for that
)

func TestALSAConforms(t *testing.T) {
	clock, card := realCard(t)
	s := card(t)
	for range 2 {
		time.Sleep(asleep)
		begin := clock.Now()
		c, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		took := clock.Now() - begin
		t.Logf("%s: %s: opened in %v: %+v", s.Name(), s.Description(), took, c)
		if took > reopenTime {
			t.Errorf("opened in %v, and %v were promised", took, reopenTime)
		}
		s.Close()
	}
	devicetest.Conformance(t, devicetest.Bench{Make: card, Now: clock.Now, Pass: time.Sleep, Jitter: *cardsJitter})
}

// TestALSAOpensAside opens a card on a loop that runs: another thread does it and, where nobody wants it when it is ready, it is closed again.
func TestALSAOpensAside(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, wanted := range []bool{true, false} {
		l, card := realCard(t)
		cards := device.NewCards(l, t.Logf)
		defer cards.Close()
		s := card(t)
		again := errors.New("not ready")
		cards.OpenAside(s, func() {
			if again = nil; wanted {
				_, again = s.Open()
			}
			l.Stop()
		})
		if _, err := s.Open(); !errors.Is(err, device.ErrSoon) {
			t.Fatal("opened at once:", err)
		}
		if err := l.Run(); err != nil || again != nil {
			t.Fatal(err, again)
		}
		status, err := os.ReadFile("/proc/asound/" + *cardFlag + "/pcm0p/sub0/status")
		if err != nil {
			t.Fatal(err)
		}
		_, owner, open := strings.Cut(string(status), "owner_pid   : ")
		owner, _, _ = strings.Cut(owner, "\n")
		if open != wanted || owner == fmt.Sprint(unix.Gettid()) {
			t.Errorf("wanted %v: opened by thread %s, this is %d:\n%s", wanted, owner, unix.Gettid(), status)
		}
		s.Close()
	}
}

// keep plays noise on s as the mixer does, some quanta ahead by timer, until stop says so or the sink fails. It returns how far, in
// frames, the position moved from reading to reading against the clock, at worst, and the longest time between two of them.
func keep(t *testing.T, s device.Sink, c device.Config, now func() time.Duration, stop func() bool) (worst float64, longest time.Duration, err error) {
	var written, heard int
	var at time.Duration
	quantum := make([]float32, c.Buffer*len(c.Channels))
	noise := noise(int(*seconds*float64(c.Rate)) * len(c.Channels))
	for !stop() {
		q, err := s.Queued()
		if err != nil {
			return worst, longest, err
		}
		if read := now(); written > 0 {
			if at > 0 {
				longest = max(longest, read-at)
				worst = max(worst, math.Abs(float64(written-q-heard)-(read-at).Seconds()*float64(c.Rate)))
			}
			heard, at = written-q, read
		}
		if free := c.Buffer/2 - q; free > 0 {
			clear(quantum)
			copy(quantum, noise[min(len(noise), written*len(c.Channels)):])
			n, err := s.Write(quantum[:free*len(c.Channels)])
			if err != nil {
				return worst, longest, err
			}
			written += n
		}
		time.Sleep(10 * time.Millisecond)
	}
	return worst, longest, nil
}

func TestALSAPlays(t *testing.T) {
	clock, card := realCard(t)
	s := card(t)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	end := clock.Now() + time.Duration((*seconds+0.5)*float64(time.Second))
	worst, longest, err := keep(t, s, c, clock.Now, func() bool { return clock.Now() > end })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v s of noise, %d xruns, position off by %.0f frames (%.2f ms) at worst from reading to reading, of which the longest took %v",
		*seconds, s.Stats().Xruns, worst, worst/float64(c.Rate)*1000, longest)
	if x := s.Stats().Xruns; x > 0 && longest < duration(c.Buffer/2-c.Margin, c) {
		t.Errorf("%d xruns, and the test was never late", x)
	} else if x > 0 {
		t.Skipf("%d xruns, but this machine kept the test waiting for %v: nothing can be said of the card", x, longest)
	}
	time.Sleep(duration(c.Buffer, c))
}

// noise is samples that 16 bits hold exactly, of which no stretch is like another. The test that recorded them makes them anew.
func noise(n int) []float32 {
	r, s := rand.New(rand.NewPCG(1, 2)), make([]float32, n)
	for i := range s {
		s[i] = float32(int16(r.Uint32())) / 32768
	}
	return s
}

// TestALSARecords keeps what the card hears for -seconds.
func TestALSARecords(t *testing.T) {
	clock, _ := realCard(t)
	if *recording == "" {
		t.Skip("no -record given: nobody wants to know what -card hears")
	}
	s := source(t, "alsa:"+*cardFlag, clock)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Logf("%+v", c)
	heard := make([]float32, 0, int(*seconds*float64(c.Rate))*len(c.Channels))
	last, longest := clock.Now(), time.Duration(0)
	for len(heard) < cap(heard) {
		n, err := s.Read(heard[len(heard):cap(heard)])
		if err != nil {
			t.Fatal(err)
		}
		heard = heard[:len(heard)+n*len(c.Channels)]
		now := clock.Now()
		last, longest = now, max(longest, now-last)
		time.Sleep(10 * time.Millisecond)
	}
	if x := s.Stats().Xruns; x > 0 {
		t.Errorf("%d xruns, the longest wait was %v", x, longest)
	}
	var raw []byte
	for _, v := range heard {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(int16(v*32768)))
	}
	if err := os.WriteFile(*recording, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func duration(frames int, c device.Config) time.Duration {
	return time.Duration(frames) * time.Second / time.Duration(c.Rate)
}

func TestALSABusyNamesTheHolder(t *testing.T) {
	_, card := realCard(t)
	s, other := card(t), card(t)
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err := other.Open()
	if err == nil {
		other.Close()
		t.Skip("this card plays for several at once")
	}
	t.Log(err)
	if !strings.Contains(err.Error(), fmt.Sprintf("(pid %d, ", os.Getpid())) {
		t.Error("the error does not name this process, which holds the card")
	}
	s.Close()
	if _, err := other.Open(); err != nil {
		t.Error("after it was let go:", err)
	}
	other.Close()
}

func TestALSAUnplug(t *testing.T) {
	clock, card := realCard(t)
	if *unplugged == "" {
		t.Skip("no -unplug given: nobody here can take the card away")
	}
	s := card(t)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	begin, told := clock.Now(), false
	_, _, err = keep(t, s, c, clock.Now, func() bool {
		played := clock.Now() - begin
		if played > time.Second && !told {
			if told = true; os.WriteFile(*unplugged, nil, 0o644) != nil {
				t.Fatal("cannot make ", *unplugged)
			}
		}
		return played > time.Minute
	})
	if !errors.Is(err, device.ErrGone) {
		t.Fatal("a card taken away:", err)
	}
	t.Log(err)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error("close:", err)
	}
	for deadline := clock.Now() + 10*time.Second; ; time.Sleep(50 * time.Millisecond) {
		if _, err = s.Open(); err != nil {
			t.Log(err)
			break
		}
		if s.Close(); clock.Now() > deadline {
			t.Fatal("it still opens")
		}
	}
}
