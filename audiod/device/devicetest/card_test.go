package devicetest_test

import (
	"errors"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// A card of 1000 mono frames per second, so that frame n is heard at millisecond n.
func millisecondCard(t *testing.T) (*loop.Hand, *devicetest.Card) {
	t.Helper()
	clock := new(loop.Hand)
	card := devicetest.New(clock, device.Config{Rate: 1000, Channels: pcm.MonoMap, Buffer: 100, Margin: 10})
	if _, err := card.Open(); err != nil {
		t.Fatal(err)
	}
	return clock, card
}

func ramp(from, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(from+i) / 1024
	}
	return s
}

func equal(t *testing.T, what string, got []float32, want ...[]float32) {
	t.Helper()
	var all []float32
	for _, w := range want {
		all = append(all, w...)
	}
	if len(got) != len(all) {
		t.Fatalf("%s: %d samples, want %d", what, len(got), len(all))
	}
	for i := range all {
		if got[i] != all[i] {
			t.Fatalf("%s: sample %d is %v, want %v", what, i, got[i], all[i])
		}
	}
}

func TestCardHearsWhatWasWrittenInTime(t *testing.T) {
	clock, card := millisecondCard(t)
	clock.Advance(time.Second)
	equal(t, "before the first write", card.Heard())
	if n, err := card.Write(ramp(0, 120)); n != 100 || err != nil {
		t.Fatal("a buffer of 100 took", n, err)
	}
	clock.Advance(40 * time.Millisecond)
	equal(t, "40 ms", card.Heard(), ramp(0, 40))
	if n, _ := card.Write(ramp(100, 30)); n != 30 {
		t.Fatal("with 40 free it took", n)
	}
	if q, _ := card.Queued(); q != 90 || card.Position() != 40 {
		t.Fatal("queued", q, "position", card.Position())
	}
	clock.Advance(89 * time.Millisecond)
	equal(t, "to the last but one", card.Heard(), ramp(40, 89))
	if x := card.Stats().Xruns; x != 0 {
		t.Fatal("xruns with a frame left:", x)
	}
}

func TestCardXrunIsSilenceUntilTheNextWrite(t *testing.T) {
	clock, card := millisecondCard(t)
	card.Write(ramp(1, 20))
	clock.Advance(50 * time.Millisecond)
	if q, err := card.Queued(); q != 0 || err != nil || card.Stats().Xruns != 1 {
		t.Fatal("run dry: queued", q, err, "xruns", card.Stats().Xruns)
	}
	card.Write(ramp(500, 20))
	clock.Advance(10 * time.Millisecond)
	equal(t, "across the gap", card.Heard(), ramp(1, 20), make([]float32, 30), ramp(500, 10))

	card.Xrun()
	clock.Advance(5 * time.Millisecond)
	card.Write(ramp(700, 3))
	clock.Advance(2 * time.Millisecond)
	equal(t, "across a made gap", card.Heard(), make([]float32, 5), ramp(700, 2))
	if x := card.Stats().Xruns; x != 2 {
		t.Fatal("xruns:", x)
	}
}

func TestCardGoneAndRefused(t *testing.T) {
	clock, card := millisecondCard(t)
	card.Write(ramp(0, 50))
	clock.Advance(10 * time.Millisecond)
	card.Unplug()
	clock.Advance(10 * time.Millisecond)
	equal(t, "unplugged at 10 ms", card.Heard(), ramp(0, 10))
	if _, err := card.Write(ramp(0, 1)); !errors.Is(err, device.ErrGone) {
		t.Fatal("write:", err)
	}
	if _, err := card.Queued(); !errors.Is(err, device.ErrGone) {
		t.Fatal("queued:", err)
	}
	card.Close()
	if _, err := card.Open(); !errors.Is(err, device.ErrGone) {
		t.Fatal("open:", err)
	}
	card.Plug()
	busy := errors.New("held by mpv")
	card.Refuse(busy)
	if _, err := card.Open(); err != busy {
		t.Fatal("open refused:", err)
	}
	card.Refuse(nil)
	if _, err := card.Open(); err != nil || card.Opens() != 2 {
		t.Fatal("open:", err, "opens", card.Opens())
	}
}

func TestCardClips(t *testing.T) {
	clock, card := millisecondCard(t)
	card.Write([]float32{2, -3, 0.5})
	clock.Advance(2 * time.Millisecond)
	equal(t, "clipped", card.Heard(), []float32{1, -1})
}

func TestCardRecordsWithoutAllocating(t *testing.T) {
	clock := new(loop.Hand)
	card := devicetest.New(clock, device.Config{})
	card.Open()
	quantum := make([]float32, 2*480)
	card.Write(make([]float32, 2*4800))
	if n := testing.AllocsPerRun(1000, func() {
		clock.Advance(10 * time.Millisecond)
		card.Write(quantum)
		card.Heard()
	}); n != 0 {
		t.Fatal(n, "allocations a quantum")
	}
}

func TestCardConforms(t *testing.T) {
	clock := new(loop.Hand)
	for _, c := range []device.Config{{}, {Ahead: 4800}, {Rate: 44100, Channels: pcm.DefaultMap(6), Buffer: 3000, Margin: 64}} {
		devicetest.Conformance(t, devicetest.Bench{
			Make: func(*testing.T) device.Sink { return devicetest.New(clock, c) },
			Now:  clock.Now,
			Pass: clock.Advance,
			Heard: func(t *testing.T, s device.Sink) []float32 {
				return s.(*devicetest.Card).Heard()
			},
			Vanish: func(_ *testing.T, s device.Sink) { s.(*devicetest.Card).Unplug() },
		})
	}
}
