package bridge_test

import (
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

// TestComesLater starts the owner's sound server after a daemon that chooses for itself, and under a stream of a helper's: it
// crosses over, and what he records from then on is that one's microphone.
func TestComesLater(t *testing.T) {
	for name, start := range map[string]func(testing.TB, need.User) *rig.Peer{"PulseAudio": rig.PulseAudio, "PipeWire": rig.PipeWire} {
		t.Run(name, func(t *testing.T) {
			need.Root(t)
			owner, helper := need.NewUser(t), need.NewUser(t)
			peer := start(t, owner)
			peer.Stop()
			d := rig.StartOn(t, owner, peer.Env, "--allow", helper.Name, "--mic", helper.Name+"=allow")
			if dev := d.Status(t).Default(); dev.Name != "null" {
				t.Fatalf("without a sound server and cards it plays on %+v", dev)
			}
			tone := sound.Tone{Freq: 997, DB: -12}
			done := background(t, helper, d.Unix, "paplay", file(t, sound.Sine(48000, 2, time.Minute, tone.Freq, tone.DB)))
			defer done()
			plays(t, d)

			peer.Start()
			defer awake(t, peer, owner, "out")()
			shows(t, peer, owner, helper)
			ear := listen(t, peer, owner)
			heard := record(t, helper, d.Unix, "parec", 2*time.Second) // the server's default source is what it plays
			played := ear()
			for what, s := range map[string]sound.Sound{"played": played, "recorded": heard} {
				if tones, _ := s.Cut(s.Rate/2, s.Frames()-s.Rate/10).Tones(0, 1); len(tones) != 1 || tones[0].Freq < tone.Freq-1 || tones[0].Freq > tone.Freq+1 {
					t.Errorf("%s: %v, want %v", what, tones, tone)
				}
			}
			st := d.Status(t)
			for _, dev := range st.Devices {
				if dev.Trouble != "" {
					t.Errorf("%+v", dev)
				}
			}
			if len(st.Streams) == 0 || st.Default().Name != "pulse:owner" {
				t.Errorf("streams %+v, the default is %+v", st.Streams, st.Default())
			}
		})
	}
}
