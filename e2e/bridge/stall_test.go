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

// unstalled is what listen returns, once it does so without the machine having stood still meanwhile.
func unstalled(t *testing.T, listen func() sound.Sound) (s sound.Sound) {
	t.Helper()
	need.Unstalled(t, longestStall, func() { s = listen() })
	return s
}
