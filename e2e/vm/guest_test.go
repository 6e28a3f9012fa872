package vm

import (
	"os"
	"testing"
)

func TestGuest(t *testing.T) {
	g := Boot(t, Options{Cards: []Card{HDA, AC97, USB}, Modules: []string{"snd-aloop"}})
	if r := g.Run(t, "echo out; echo err >&2; exit 37"); r.ExitCode != 37 || r.Output != "out\nerr\n" {
		t.Errorf("%+v", r)
	}
	t.Log(g.Must(t, "cat /proc/asound/cards; amixer -c 0; amixer -c 1; amixer -c 2; cat /sys/kernel/security/lsm; uptime"))
	t.Log(g.Must(t, "sox -n -r 48000 -b 16 -c 2 /tmp/t.wav synth 2 sine 1000 gain -6; for c in 0 1 2; do time aplay -D hw:$c /tmp/t.wav; done; dmesg|tail -5"))
	t.Log(string(g.Monitor(t, "query-status", nil)))
	g.Close()
	for i := range 3 {
		info, err := os.Stat(g.CardWAV(i))
		t.Log(info.Size(), err)
		b, _ := os.ReadFile(g.CardWAV(i))
		os.WriteFile("/tmp/e2ew/card"+string('0'+rune(i))+".wav", b, 0o644)
	}
}
