package mixer

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// looks makes a Shared of a device by hand: it is free once the test says so.
type looks struct {
	ready *loop.Timer
	clock *loop.Hand
	free  bool
	count int
}

func (l *looks) Look() {
	if l.count++; l.free {
		l.ready.Set(l.clock.Now())
	}
}

type sharedCard struct {
	*devicetest.Card
	looks
}

type sharedMic struct {
	*devicetest.Mic
	looks
}

// TestPlaysOnceAnotherLetsGo plays into silence while another program has the card, and on the card within a second after that.
func TestPlaysOnceAnotherLetsGo(t *testing.T) {
	b := newBench(t, device.Config{})
	card := &sharedCard{b.card, looks{clock: b.clock}}
	b.card.Refuse(errors.New("held by mpv"))
	b.sink = NewSink(b.clock, card, t.Logf)
	card.ready = b.clock.NewTimer(b.sink.Retry)
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: BufferAttr{Whatever, 19200, Whatever, Whatever}})
	p.frames = 5 * 48000
	b.run(2500 * time.Millisecond)
	if st := b.sink.State(); card.count != 2 || st.Trouble != "held by mpv" || len(b.heard) > 0 {
		t.Fatalf("looked %d times in 2.5 s, %+v, %d frames heard", card.count, st, len(b.heard))
	}
	b.card.Refuse(nil)
	card.free = true
	b.run(5 * time.Second)
	h := sound(b.heard)
	if len(h) < 48000*18/10 || len(h) > 48000*25/10 {
		t.Fatalf("%d frames of the last 2.5 s were heard", len(h))
	}
	wantFrames(t, h, 5*48000-len(h), len(h))
	if card.count != 3 || p.started != 1 || b.clock.Timers() != 0 || b.sink.State().Trouble != "" {
		t.Errorf("looked %d times in all, started %d times, %d timers, trouble %q", card.count, p.started, b.clock.Timers(), b.sink.State().Trouble)
	}
}

// TestLooksForNobodyElse lets a card that is held alone when nothing plays.
func TestLooksForNobodyElse(t *testing.T) {
	b := newBench(t, device.Config{})
	card := &sharedCard{b.card, looks{clock: b.clock}}
	b.card.Refuse(errors.New("held by mpv"))
	b.sink = NewSink(b.clock, card, t.Logf)
	p := b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	p.frames = 48000 / 2
	b.run(3 * time.Second)
	if card.count != 0 || b.clock.Timers() != 0 {
		t.Errorf("looked %d times, %d timers", card.count, b.clock.Timers())
	}
}

// TestRecordsOnceAnotherLetsGo does with a microphone as TestPlaysOnceAnotherLetsGo does with a card.
func TestRecordsOnceAnotherLetsGo(t *testing.T) {
	s := newStudio(t, device.Config{})
	s.mic.Sound = func(int64) float32 { return 0.5 }
	s.mic.Refuse(errors.New("held by arecord"))
	mic := &sharedMic{s.mic, looks{clock: s.clock}}
	s.src = NewSource(s.clock, mic, t.Logf)
	mic.ready = s.clock.NewTimer(s.src.Renew)
	p := s.record(OutputOptions{Spec: stereo16(48000)})
	s.clock.Advance(2500 * time.Millisecond)
	if n := len(sound(p.samples(0))); n > 0 || mic.count != 2 {
		t.Fatalf("%d frames of a microphone that another holds, looked %d times", n, mic.count)
	}
	s.mic.Refuse(nil)
	mic.free, p.got = true, nil
	s.clock.Advance(2 * time.Second)
	if n := len(sound(p.samples(0))); n < 48000*11/10 || mic.count != 3 || s.src.State().Trouble != "" {
		t.Errorf("%d frames of 2 s, looked %d times, trouble %q", n, mic.count, s.src.State().Trouble)
	}
}

// TestBalanceIsKept has a card that does no stereo come back, after silence that does nothing else, with the volumes its channels had.
func TestBalanceIsKept(t *testing.T) {
	b := newBench(t, device.Config{Channels: pcm.DefaultMap(4)})
	b.player(InputOptions{Spec: stereo16(48000), Attr: whatever})
	leave := func() []pcm.Volume {
		b.card.Refuse(errors.New("held by mpv"))
		b.sink.Renew()
		v, _ := b.sink.Volume()
		return v
	}
	comeBack := func() []pcm.Volume {
		b.card.Refuse(nil)
		b.sink.Renew()
		v, _ := b.sink.Volume()
		return v
	}
	set := []pcm.Volume{0x8000, 0x4000, 0x2000, 0x1000}
	if err := b.sink.SetVolume(set); err != nil {
		t.Fatal(err)
	}
	if silence, card := leave(), comeBack(); !slices.Equal(silence, []pcm.Volume{0x8000, 0x8000}) || !slices.Equal(card, set) {
		t.Errorf("%#x while the card is held, and %#x after that", silence, card)
	}
	leave()
	b.sink.SetVolume([]pcm.Volume{0x6000})
	if card := comeBack(); !slices.Equal(card, []pcm.Volume{0x6000, 0x6000, 0x6000, 0x6000}) {
		t.Errorf("%#x, and it was turned meanwhile", card)
	}
}
