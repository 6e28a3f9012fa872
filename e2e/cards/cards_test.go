// Package cards_test runs the tests of audiod/device that want a real card, on three kinds of it and on the kernel's loopback, with Debian's own
// drivers: what they play and hear is compared bit for bit.
package cards_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"sandbox-audio/e2e/vm"
)

const (
	device  = "sandbox-audio/audiod/device"
	rate    = 48000
	seconds = 3 // of noise
)

func TestCards(t *testing.T) {
	noise := noise(seconds * rate)
	g := vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA, vm.AC97, vm.USB, vm.HDAIn, vm.AC97In}, Line: noise, Modules: []string{"snd-aloop"}})
	ids := []string{"Intel", "I82801AAICH", "Audio"}
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			g.Test(t, device, "^TestALSAPlays$", "-card", id, "-seconds", fmt.Sprint(seconds))
			g.Test(t, device, "^TestALSA(Volume|Conforms|OpensAside|BusyNamesTheHolder)$", "-card", id)
		})
	}
	// QEMU's USB card has no microphone, and its AC97 takes what it hears as fast as it is given that: so it is given silence, in time.
	for id, line := range map[string][]byte{"Intel_1": noise, "I82801AAICH_1": make([]byte, len(noise))} {
		t.Run("what "+id+" hears", func(t *testing.T) {
			g.Test(t, device, "^TestALSARecords$", "-card", id, "-seconds", fmt.Sprint(seconds), "-record", "/job/"+id)
			heard, err := os.ReadFile(g.Shared(id))
			if err != nil {
				t.Fatal(err)
			}
			// An emulated card begins with some of what it heard before it was asked.
			heard = heard[len(heard)/4:]
			if at := bytes.Index(line, heard[:64]); len(heard) < len(noise)/2 || !bytes.Contains(slices.Repeat(line, 2), heard) {
				t.Errorf("%d bytes are not those of the line from byte %d on", len(heard), at)
			}
		})
	}
	t.Run("capture", func(t *testing.T) {
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
		g.Test(t, device, "^TestALSAUnplug$", "-card", "Audio", "-unplug", "/host/playing")
	})
	g.Close()

	for n, id := range ids {
		t.Run("the sound of "+id, func(t *testing.T) {
			played, err := os.ReadFile(g.CardWAV(n))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(played, noise) {
				at := bytes.Index(played, noise[:64])
				t.Errorf("%d bytes were played, of %d of noise the first at %d", len(played), len(noise), at)
			}
		})
	}
}

// noise is what TestALSAPlays plays: so many frames.
func noise(frames int) (b []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2 * frames {
		b = binary.LittleEndian.AppendUint16(b, uint16(r.Uint32()))
	}
	return b
}
