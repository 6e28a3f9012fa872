// Package cards_test runs the tests of audiod/device that want a real card, on three kinds of it with Debian's own drivers.
package cards_test

import (
	"os"
	"testing"
	"time"

	"sandbox-audio/e2e/sound"
	"sandbox-audio/e2e/vm"
)

const device = "sandbox-audio/audiod/device"

func TestCards(t *testing.T) {
	g := vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA, vm.AC97, vm.USB}, Modules: []string{"snd-aloop"}, Timeout: 10 * time.Minute})
	ids := []string{"Intel", "I82801AAICH", "Audio"}
	ends := make([]int64, len(ids))
	for n, id := range ids {
		t.Run(id, func(t *testing.T) {
			g.Test(t, device, "^TestALSAPlays$", "-card", id, "-seconds", "3")
			if info, err := os.Stat(g.CardWAV(n)); err == nil {
				ends[n] = (info.Size() - 44) / 4
			}
			g.Test(t, device, "^TestALSA(Volume|Conforms|BusyNamesTheHolder)$", "-card", id)
		})
	}
	t.Run("capture", func(t *testing.T) { // QEMU's cards hear nothing while they play into a file; the kernel's loopback does
		g.Test(t, device, "^TestALSALoopback$", "-card", "Loopback,1", "-into", "Loopback,0")
		g.Test(t, device, "^TestALSACaptureConforms$", "-card", "Loopback,1", "-jitter", "12ms") // it moves with the kernel's tick
	})
	t.Run("unplugged", func(t *testing.T) {
		go func() {
			for range 6000 {
				if _, err := os.Stat(g.Shared("playing")); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			g.Unplug(2) // when that fails the test in the guest says so
		}()
		g.Test(t, device, "^TestALSAUnplug$", "-card", "Audio", "-unplug", "/job/playing")
	})
	g.Close()

	for n, id := range ids {
		t.Run("the sound of "+id, func(t *testing.T) {
			s, err := sound.ReadWAV(g.CardWAV(n))
			if err != nil {
				t.Fatal(err)
			}
			s, _ = s.Cut(0, int(ends[n])).Trim(-50)
			if s.Duration() < 2900*time.Millisecond {
				t.Errorf("%v of 3 s", s.Duration())
			}
			for ch := range s.Ch {
				sound.Hear(t, s, ch, -80, sound.Tone{Freq: 997, DB: -6})
			}
		})
	}
}
