package bridge_test

import (
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/sound"
)

// A virtual machine's processors are taken from it at times, for longer than PipeWire has sound in hand (a quantum of 21 ms); then there is a gap
// whoever plays.
const longestStall = 10 * time.Millisecond

// unstalled is what listen returns, once it does so without the machine having stood still meanwhile, or the last of five times.
func unstalled(t *testing.T, listen func() sound.Sound) sound.Sound {
	t.Helper()
	for try := 1; ; try++ {
		longest := need.Stalls()
		s := listen()
		stall := longest()
		if stall < longestStall || try == 5 {
			return s
		}
		t.Logf("the machine stood still for %v: once more", stall.Round(time.Millisecond))
	}
}
