package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/sound"
)

const quiet = -80 // dB: 16 bits without dither leave about -95

// minute plays for a minute through run, over the Unix socket, and meanwhile as the owner, then as the helper over TCP, from another
// rate. Nothing may disturb anything: not a frame is missing, and neither the card nor a stream ran dry.
func (m *machine) minute(t *testing.T) {
	m.script(t, `set -e
		$ann sandbox-audio run paplay /srv/long.wav & long=$!
		eventually playing 1; cp /tmp/status /job/unix.json
		sleep 2
		$ann env PULSE_SERVER=$native PULSE_COOKIE=/tmp/cookie paplay /srv/owner.wav & other=$!
		eventually playing 2; cp /tmp/status /job/both.json
		wait $other
		sleep 2
		$ann sandbox-audio run sh -c 'PULSE_SERVER=tcp:127.0.0.1:4713 exec paplay /srv/other.wav' & other=$!
		eventually playing 2; cp /tmp/status /job/tcp.json
		wait $other
		while playing 1; do
			cp /tmp/status /job/last.json
			sleep 4
		done
		wait $long
		status >/job/end.json
		sleep 1`)
	helper := m.uid(t, "ann-sandbox")
	for _, check := range []struct {
		file, transport, program, grant string
		uid                             uint32
	}{
		{"unix.json", "unix", "paplay", "playback", helper},
		{"both.json", "unix", "paplay", "owner", m.uid(t, "ann")},
		{"tcp.json", "tcp", "", "playback", helper},
	} {
		st := m.status(t, check.file)
		found := false
		for _, c := range st.Connections {
			found = found || c.Claims == "paplay" && c.UID == check.uid && c.Transport == check.transport && c.Program == check.program && c.Grant == check.grant
		}
		if !found {
			t.Errorf("%s: no %s of uid %d over %s with grant %s in %+v", check.file, check.program, check.uid, check.transport, check.grant, st.Connections)
		}
		if d := st.Default(); d.Name != "alsa:Intel,0" || !d.Open || d.Trouble != "" || d.Rate != rate {
			t.Errorf("%s: device %+v", check.file, d)
		}
	}
	st := m.status(t, "last.json")
	t.Logf("%s (%s), %.1f ms to the ear, %d xruns", st.Default().Description, st.Default().Hardware, st.Default().Latency, st.Default().Xruns)
	if len(st.Streams) != 1 || st.Streams[0].Underruns != 0 {
		t.Errorf("streams at the end: %+v", st.Streams)
	}
	if end := m.status(t, "end.json"); end.Default().Xruns != 0 || end.Refused.Total != 0 {
		t.Errorf("xruns %d, refused %+v", end.Default().Xruns, end.Refused)
	}

	heard, _ := m.hear(t).Trim(quiet)
	exactly(t, "the minute", heard, minute, 0)
	sound.Hear(t, heard, 0, quiet, long)
	// Both channels have the same minute; what is more in the right one came from the others.
	others := sound.Sound{Rate: rate, Ch: [][]float64{make([]float64, heard.Frames())}}
	for i := range others.Ch[0] {
		others.Ch[0][i] = heard.Ch[1][i] - heard.Ch[0][i]
	}
	silences := others.Silences(500*time.Millisecond, -60)
	if len(silences) != 3 {
		t.Fatalf("silences around and between the others' tones: %v", silences)
	}
	const edge = rate / 100 // where a tone from another rate rings before it begins and after its end
	for i, other := range []struct {
		tones []sound.Tone // together with the long one
		which int
		more  int // frames
	}{{[]sound.Tone{long, owners}, 1, 0}, {[]sound.Tone{other, long}, 0, 64}} {
		from, to := silences[i].To, silences[i+1].From
		exactly(t, fmt.Sprintf("other tone %d", i), others.Cut(from, to), 3*time.Second, other.more)
		sound.Hear(t, others.Cut(from+edge, to-edge), 0, quiet, other.tones[other.which])
		sound.Hear(t, heard.Cut(from+edge, to-edge), 1, quiet, other.tones...)
	}
	for _, silence := range silences {
		sound.HearNothing(t, others.Cut(silence.From+edge, silence.To-edge), quiet)
	}
}

// exactly fails t when s is not d long, or up to more frames longer.
func exactly(t *testing.T, what string, s sound.Sound, d time.Duration, more int) {
	t.Helper()
	want := int(d.Seconds() * rate)
	t.Logf("%s: %d frames of %d", what, s.Frames(), want)
	if off := s.Frames() - want; off < 0 || off > more {
		t.Errorf("%s: %+d frames", what, off)
	}
}

// busy has another program hold the card: status says who, and the sound goes nowhere, in time, until the card is free.
func (m *machine) busy(t *testing.T) {
	out := m.script(t, `set -e
		eventually card_closed
		$bob aplay -q -D hw:Intel /srv/bobs.wav & bob=$!
		eventually grep -q owner_pid /proc/asound/Intel/pcm0p/sub0/status
		begin=$(uptime)
		$ann sandbox-audio run paplay /srv/short.wav & run=$!
		eventually playing 1; cp /tmp/status /job/busy.json
		wait $run
		echo $bob $begin $(uptime)
		kill $bob; wait $bob || true
		$ann sandbox-audio run paplay /srv/short.wav
		status >/job/free.json
		sleep 1`)
	var bob int
	var begin, end float64
	if _, err := fmt.Sscan(out, &bob, &begin, &end); err != nil {
		t.Fatal(err, out)
	}
	busy, free := m.status(t, "busy.json").Default(), m.status(t, "free.json").Default()
	t.Logf("%s; run paplay took %.1f s for 2 s", busy.Trouble, end-begin)
	if holder := fmt.Sprintf(`"aplay" (pid %d, user bob)`, bob); busy.Name != "null" || !strings.Contains(busy.Trouble, holder) {
		t.Errorf("device %s, %q does not name %s", busy.Name, busy.Trouble, holder)
	}
	if end-begin < 2 {
		t.Errorf("2 s of sound into silence took %.1f s", end-begin)
	}
	if free.Name != "alsa:Intel,0" || free.Trouble != "" {
		t.Errorf("after aplay: device %+v", free)
	}
	heard, _ := m.hear(t).Trim(quiet)
	ours := heard.Frames() - 2*rate // the recording leaves out the time in which nobody had the card
	sound.Hear(t, heard.Cut(0, ours), 0, quiet, bobs)
	sound.Hear(t, heard.Cut(ours, heard.Frames()), 0, quiet, short)
}

// letGo has another program let the card go under a stream that plays: its sound is there within a second or so, where it is by then.
func (m *machine) letGo(t *testing.T) {
	out := m.script(t, `set -e
		sub=/proc/asound/Intel/pcm0p/sub0/status
		eventually card_closed
		$bob aplay -q -D hw:Intel /srv/bobs.wav & bob=$!
		eventually grep -q owner_pid $sub
		$ann sandbox-audio run paplay /srv/owner.wav & run=$!
		eventually playing 1
		kill $bob; wait $bob || true
		let_go=$(uptime)
		eventually grep -q 'state: RUNNING' $sub
		echo $let_go $(uptime)
		wait $run
		status >/job/let-go.json
		sleep 1`)
	var free, had float64
	if _, err := fmt.Sscan(out, &free, &had); err != nil {
		t.Fatal(err, out)
	}
	t.Logf("the card was had %.2f s after it was free", had-free)
	if had-free > 1.3 {
		t.Error("that is late")
	}
	if d := m.status(t, "let-go.json").Default(); d.Name != "alsa:Intel,0" || d.Trouble != "" {
		t.Errorf("device %+v", d)
	}
	heard, _ := m.hear(t).Trim(quiet)
	ours := heard.Cut(heard.Frames()-rate*6/5, heard.Frames())
	sound.Hear(t, ours, 0, quiet)
	sound.Hear(t, ours, 1, quiet, owners)
}

// idle waits for the card to be closed after the last program, and for the daemon to leave after a minute.
func (m *machine) idle(t *testing.T) {
	out := m.script(t, `
		$ann sandbox-audio run paplay /srv/short.wav || exit
		last=$(uptime)
		eventually card_closed
		closed=$(uptime)
		keeper=$(pgrep -o -u ann sandbox-audio)
		tail --pid=$keeper -f /dev/null
		left=$(uptime)
		echo $last $closed $left
		pgrep -l -u ann sandbox-audio
		ss -Hlx src unix:/run/sandbox-audio/ann/native
		ss -Hlt 'sport = 4713'`)
	var last, closed, left float64
	if _, err := fmt.Sscan(out, &last, &closed, &left); err != nil || len(strings.Fields(out)) != 3 {
		t.Fatal(err, out)
	}
	t.Logf("the card was closed %.1f s and the daemon left %.1f s after the last program", closed-last, left-last)
	if closed-last < 4.5 || closed-last > 6.5 || left-last < 59 || left-last > 64 {
		t.Error("that is not after five seconds and a minute")
	}
	m.hear(t)
}
