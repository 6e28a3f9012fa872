package machine_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
	"sandbox-audio/e2e/vm"
)

// TestCards has the daemon drive two cards, by their own mixer controls, and as one of them is pulled out and plugged in again.
func TestCards(t *testing.T) {
	dir := t.TempDir()
	tone := filepath.Join(dir, "tone.wav")
	if err := sound.Sines(rate, minute, []sound.Tone{long}, []sound.Tone{long}).WriteWAV(tone); err != nil {
		t.Fatal(err)
	}
	m := &machine{Guest: vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA, vm.USB}, Timeout: 8 * time.Minute, Files: map[string]string{
		"/usr/local/bin/sandbox-audio": rig.Binary(t), "/srv/lib.sh": "testdata/lib.sh", "/srv/tone.wav": tone}}), heard: wavHead}
	m.script(t, `set -e
		tick
		useradd --create-home --groups audio ann
		mkdir -p /run/ann; chown ann /run/ann
		for program in paplay pactl amixer; do $program --version >/dev/null; done
		cat /srv/tone.wav >/dev/null
		$ann sandbox-audio daemon --listen unix:/run/ann/native --state none </dev/null >/tmp/daemon 2>&1 &
		eventually grep -q 'ready on' /tmp/daemon`)
	t.Run("volume", m.volume)
	t.Run("calm", m.calm)
	t.Run("reserved", m.reserved)
	t.Run("plugged", m.plugged)
	if t.Failed() {
		t.Log(m.Run(t, "cat /tmp/daemon").Output)
	}
}

// volume turns the master volume and finds it in the card's mixer and in what the card plays, and the other way round.
func (m *machine) volume(t *testing.T) {
	out := m.script(t, `set -e
		sink=alsa_output.Intel.0
		pactl() { $ann pactl --server=unix:/run/ann/native "$@"; }
		is() { [ "$(amixer -c Intel cget name="Master Playback $1" | sed -n 's/^ *: values=//p')" = "$2" ]; }
		volume() { pactl get-sink-volume $sink | grep -q -e "$1"; }
		muted() { pactl get-sink-mute $sink | grep -q -e "$1"; }
		pactl set-default-sink $sink
		$ann paplay --server=unix:/run/ann/native /srv/tone.wav & play=$!
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status; sleep 2
		pactl set-sink-volume $sink 43967; eventually is Volume 64,64; sleep 2 # -10.4 dB
		pactl set-sink-mute $sink 1; eventually is Switch off,off; is Volume 64,64; sleep 2
		pactl set-sink-mute $sink 0; eventually is Switch on,on; sleep 2
		amixer -q -c Intel cset name='Master Playback Volume' 54; eventually volume -20.00; sleep 2
		amixer -q -c Intel cset name='Master Playback Switch' off; eventually muted yes; sleep 2
		amixer -q -c Intel cset name='Master Playback Switch' on; eventually muted no; sleep 2
		pactl set-sink-volume $sink 100%; eventually is Volume 74,74; sleep 2
		kill $play; wait $play || true
		pactl list cards
		sleep 1`)
	for _, want := range []string{"analog-output-lineout: Line Out", `alsa.driver_name = "HDA-Intel"`, `alsa.card_name = "QEMU USB Audio"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	// QEMU's card plays its value v of 74, which it tells as steps of 1 dB, as the factor v/74.
	at := func(v float64) float64 { return long.DB + 20*math.Log10(v/74) }
	heard := m.hear(t)
	for _, want := range []float64{at(74), at(64) - 0.4, sound.Silence, at(64) - 0.4, at(54), sound.Silence, at(54), at(74)} {
		from := steady(heard, want)
		if from < 0 {
			t.Fatalf("not a second at %.2f dB in the rest of what the card played: %s", want, levels(heard))
		}
		heard = heard.Cut(from, heard.Frames())
	}
}

// steady is the end of the first second of s at a level; -1 when there is none.
func steady(s sound.Sound, level float64) int {
	const block = rate / 10
	n := 0
	for from := 0; from+block <= s.Frames(); from += block {
		got := s.Cut(from, from+block).Level(0)
		if n++; math.Abs(got-level) > 0.1 && (got > quiet || level > quiet) {
			n = 0
		}
		if n == 10 {
			return from + block
		}
	}
	return -1
}

// levels is how loud each half second of s is.
func levels(s sound.Sound) string {
	var b strings.Builder
	for from := 0; from < s.Frames(); from += rate / 2 {
		fmt.Fprintf(&b, " %.2f", s.Cut(from, from+rate/2).Level(0))
	}
	return b.String()
}

// calm looks whether the card, whose driver can do without, interrupts nobody while it plays, and stops the worker for longer than it has written ahead: what is heard
// then is silence, and not what was played before.
func (m *machine) calm(t *testing.T) {
	m.script(t, `set -e
		interrupts() { awk '/snd_hda_intel/ { print $2 }' /proc/interrupts; }
		$ann paplay --server=unix:/run/ann/native /srv/tone.wav & play=$!
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status; sleep 1
		before=$(interrupts); sleep 2; after=$(interrupts)
		[ $before -gt 0 ] && [ $before = $after ] || { echo "$before interrupts, 2 s later $after"; cat /proc/asound/Intel/pcm0p/sub0/hw_params; exit 1; }
		pkill -STOP -f daemon-worker; sleep 1.5; pkill -CONT -f daemon-worker
		sleep 2
		kill $play; wait $play || true
		sleep 1`)
	heard, _ := m.hear(t).Trim(quiet)
	if gaps := heard.Silences(time.Second, quiet); len(gaps) != 1 {
		t.Errorf("silent in frames %v of %d:%s", gaps, heard.Frames(), levels(heard))
	}
	if rest := heard.Cut(heard.Frames()-rate, heard.Frames()); steady(rest, long.DB) < 0 {
		t.Errorf("it does not go on:%s", levels(heard))
	}
}

// plugged pulls out the card that a stream plays on, and plugs it in again: the stream goes on where there is another, and returns.
func (m *machine) plugged(t *testing.T) {
	const usb = 1 // the second card
	m.script(t, `set -e
		(while :; do tail -c +45 /srv/tone.wav; done) 2>/dev/null |
			$ann pacat --server=unix:/run/ann/native --rate=48000 --device=alsa_output.Audio.0 >/dev/null 2>&1 &
		eventually grep -q RUNNING /proc/asound/Audio/pcm0p/sub0/status
		eventually card_closed
		sleep 2`)
	before := m.recorded(t, usb)
	m.hear(t)
	if err := m.Unplug(usb); err != nil {
		t.Fatal(err)
	}
	m.script(t, `set -e
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status
		! $ann pactl --server=unix:/run/ann/native list short sinks | grep Audio
		sleep 2`)
	m.Monitor(t, "device_add", map[string]any{"driver": "usb-audio", "id": "card1-usb", "bus": "xhci.0", "audiodev": "card1"})
	m.script(t, `set -e
		eventually test -e /proc/asound/Audio/pcm0p
		sleep 0.5 # udev gives the rights a moment after the node is there
		chgrp audio /dev/snd/*C1*; chmod 660 /dev/snd/*C1*
		eventually grep -q RUNNING /proc/asound/Audio/pcm0p/sub0/status
		eventually card_closed
		sleep 2
		pkill pacat
		sleep 1`)
	// QEMU's USB card begins anew at a volume of 240 of 255, which it tells as 0 dB.
	for _, heard := range []struct {
		when  string
		sound sound.Sound
		level float64
	}{{"before", before, long.DB}, {"meanwhile, on the other card,", m.hear(t), long.DB}, {"after", m.recorded(t, usb), long.DB + 20*math.Log10(240./255)}} {
		if steady(heard.sound, heard.level) < 0 {
			t.Errorf("%s there is not a second of the tone:%s", heard.when, levels(heard.sound))
		}
	}
}

// recorded is all that card n has put out since it was plugged in.
func (m *machine) recorded(t *testing.T, n int) sound.Sound {
	t.Helper()
	b, err := os.ReadFile(m.CardWAV(n))
	if err != nil || len(b) < wavHead {
		t.Fatalf("%d bytes recorded, %v", len(b), err)
	}
	s, err := sound.Decode(b[wavHead:len(b)-(len(b)-wavHead)%4], "s16le", rate, 2)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
