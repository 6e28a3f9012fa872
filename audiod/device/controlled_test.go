package device_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/loop"
)

// mixer is a card's volume on a loop that runs, with what it told.
type mixer struct {
	loop    *loop.Loop
	volume  device.Volume
	ports   device.Ports
	foreign int
}

func openMixer(t *testing.T) *mixer {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	cards := device.NewCards(l, t.Logf)
	s := sink(t, "alsa:"+*cardFlag, l)
	cards.Connect(s)
	if _, err := s.Open(); err != nil { // to learn its channels
		t.Fatal(err)
	}
	s.Close()
	m := &mixer{loop: l, volume: s.(device.Volume), ports: s.(device.Ports)}
	m.volume.OnVolume(func(foreign bool) {
		if foreign {
			m.foreign++
		}
	})
	ended := make(chan error)
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		cards.Close()
		l.Close()
	})
	return m
}

func (m *mixer) do(f func()) {
	done := make(chan struct{})
	m.loop.Post(func() { f(); close(done) })
	<-done
}

// becomes waits until the hardware is at most two dB above gain, and muted or not, and the number of changes by others is as it should be.
func (m *mixer) becomes(t *testing.T, what string, gain float64, muted bool, told func(foreign int) bool) {
	t.Helper()
	var last string
	for range 1000 {
		fits := false
		m.do(func() {
			g, now, ok := m.volume.Volume()
			last = fmt.Sprint(g, now, ok, m.foreign)
			fits = ok && now == muted && told(m.foreign)
			for _, g := range g {
				above := 20 * math.Log10(float64(g)/gain)
				fits = fits && above > -0.01 && above < 2
			}
		})
		if fits {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: %s", what, last)
}

func TestALSAVolume(t *testing.T) {
	if *cardFlag == "" {
		t.Skip("no -card given: real cards are tested in the virtual machine of the end-to-end tests")
	}
	ours, theirs := openMixer(t), openMixer(t)
	ours.do(func() {
		gain, muted, ok := ours.volume.Volume()
		ports, active := ours.ports.Ports()
		t.Log("at first", gain, muted, ok, ports, active)
		if !ok {
			t.Error("no hardware volume")
		}
	})
	for i, c := range []struct {
		gain  float32
		muted bool
	}{{0.5, false}, {0.25, true}, {0.01, false}, {1, false}} {
		mine, other := ours, theirs
		if i%2 == 1 {
			mine, other = theirs, ours
		}
		var own, others int
		mine.do(func() { own = mine.foreign })
		other.do(func() { others = other.foreign })
		mine.do(func() { mine.volume.SetVolume([]float32{c.gain, c.gain}, c.muted) })
		mine.becomes(t, "set", float64(c.gain), c.muted, func(foreign int) bool { return foreign == own })
		other.becomes(t, "seen", float64(c.gain), c.muted, func(foreign int) bool { return foreign > others })
	}
}
