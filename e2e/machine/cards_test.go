package machine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
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
	t.Parallel()
	dir := t.TempDir()
	tone := filepath.Join(dir, "tone.wav")
	if err := sound.Sines(rate, minute, []sound.Tone{long}, []sound.Tone{long}).WriteWAV(tone); err != nil {
		t.Fatal(err)
	}
	game := filepath.Join(dir, "game.wav")
	if err := sound.Sines(rate, 3*time.Second, nil, []sound.Tone{owners}).WriteWAV(game); err != nil {
		t.Fatal(err)
	}
	marked := filepath.Join(dir, "marked.wav")
	if err := (sound.Sound{Rate: rate, Ch: [][]float64{sound.Sine(rate, 1, 30*time.Second, long.Freq, long.DB).Ch[0], numbers(30 * rate)}}).WriteWAV(marked); err != nil {
		t.Fatal(err)
	}
	m := &machine{Guest: vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA, vm.USB}, Files: map[string]string{
		"/usr/local/bin/sandbox-audio": rig.Binary(t), "/srv/lib.sh": "testdata/lib.sh", "/srv/tone.wav": tone, "/srv/game.wav": game, "/srv/marked.wav": marked}}), heard: wavHead}
	m.script(t, `set -e
		useradd --create-home --groups audio ann
		mkdir -p /run/ann; chown ann /run/ann
		$ann sandbox-audio daemon --listen unix:/run/ann/native --state none </dev/null >/tmp/daemon 2>&1 &
		eventually grep -q 'ready on' /tmp/daemon`)
	t.Run("volume", m.volume)
	t.Run("calm", m.calm)
	t.Run("reserved", m.reserved)
	t.Run("wired", m.wired)
	t.Run("crossed", m.crossed)
	t.Run("patience", m.patience)
	t.Run("plugged", m.plugged)
	t.Run("remembered", m.remembered)
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

// patience plays a film, whose program is content with a buffer of two seconds, and in its midst a game, which wants 20 ms: alone the film wakes the
// daemon a few times a second, and nothing of either is lost or spoiled as that changes.
func (m *machine) patience(t *testing.T) {
	m.script(t, `set -e
		eventually card_closed # what was learnt as the worker was stopped is forgotten then
		worker=$(pgrep -f daemon-worker)
		wakes() { cat /proc/$worker/task/*/status | awk '/^voluntary/ { n += $2 } END { print n }'; }
		measure() { local from=$(uptime) n=$(wakes); sleep 3; echo $1 $from $n $(uptime) $(wakes) >>/job/wakes; status >/job/$1.json; }
		status() { $ann sandbox-audio status --server unix:/run/ann/native --json; }
		$ann paplay --server=unix:/run/ann/native --device=alsa_output.Intel.0 /srv/tone.wav & film=$!
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status; sleep 2
		measure alone
		(tail -c +45 /srv/game.wav; sleep 1) | $ann pacat --server=unix:/run/ann/native --device=alsa_output.Intel.0 --rate=48000 --latency-msec=20 & game=$!
		two() { status >/tmp/status; [ "$(grep -c '"state": "playing"' /tmp/status)" = 2 ]; }
		eventually two
		sleep 0.5
		status >/job/both.json
		wait $game
		sleep 1
		measure again
		kill $film; wait $film || true
		sleep 1`)
	wakes, err := os.ReadFile(m.Shared("wakes"))
	if err != nil || bytes.Count(wakes, []byte("\n")) != 2 {
		t.Fatalf("%s %v", wakes, err)
	}
	for line := range strings.Lines(string(wakes)) {
		var when string
		var begin, end, before, after float64
		if _, err := fmt.Sscan(line, &when, &begin, &before, &end, &after); err != nil {
			t.Fatal(err)
		}
		rate := (after - before) / (end - begin)
		t.Logf("%s the film has the worker wake %.1f times a second", when, rate)
		if rate > 10 {
			t.Error("that is not seldom")
		}
	}
	xruns := m.status(t, "alone.json").Default().Xruns
	heard, _ := m.hear(t).Trim(quiet)
	sound.Hear(t, heard, 0, quiet, long)
	both := sound.Sound{Rate: rate, Ch: [][]float64{make([]float64, heard.Frames())}}
	for i := range both.Ch[0] {
		both.Ch[0][i] = heard.Ch[1][i] - heard.Ch[0][i]
	}
	alone, _ := both.Trim(quiet)
	exactly(t, "the game", alone, 3*time.Second, 0)
	sound.Hear(t, alone, 0, quiet, owners)
	for _, c := range []struct {
		file     string
		from, to float64 // ms ahead of the ear
	}{{"alone.json", 100, 420}, {"both.json", 5, 90}, {"again.json", 100, 420}} {
		if d := m.status(t, c.file).Default(); d.Latency < c.from || d.Latency > c.to || d.Xruns != xruns {
			t.Errorf("%s: %.1f ms ahead, %d xruns", c.file, d.Latency, d.Xruns)
		}
	}
}

// numbers is noise, which tells each of its frames from all others.
func numbers(n int) []float64 {
	r, v := rand.New(rand.NewPCG(1, 2)), make([]float64, n)
	for i := range v {
		v[i] = float64(int16(r.Uint32())/4) / 32768
	}
	return v
}

// number is which of the numbers the right channel of s begins with, -1 where it has none.
func number(s sound.Sound) int {
	bytes16 := func(v []float64) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, uint16(int16(math.Round(x*32768))))
		}
		return b
	}
	if at := bytes.Index(bytes16(numbers(30*rate)), bytes16(s.Ch[1])); at >= 0 {
		return at / 2
	}
	return -1
}

// plugged pulls out the card that a stream plays on, then the other one, and plugs both in again: the stream goes on where there is another, in silence
// that keeps time where there is none, and returns.
func (m *machine) plugged(t *testing.T) {
	const usb = 1 // the second card
	m.script(t, `set -e
		(while :; do tail -c +45 /srv/marked.wav; done) 2>/dev/null |
			$ann pacat --server=unix:/run/ann/native --rate=48000 --device=alsa_output.Audio.0 >/dev/null 2>&1 &
		eventually grep -q RUNNING /proc/asound/Audio/pcm0p/sub0/status
		eventually card_closed
		sleep 2`)
	m.hear(t)
	if err := m.Unplug(usb); err != nil {
		t.Fatal(err)
	}
	m.script(t, `set -e
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status
		! $ann pactl --server=unix:/run/ann/native list short sinks | grep Audio
		sleep 2`)
	before := m.recorded(t, usb)
	m.script(t, `set -e
		number=$(readlink /proc/asound/Intel)
		basename $(readlink -f /sys/class/sound/$number/device) >/tmp/pci
		cat /tmp/pci >/sys/bus/pci/drivers/snd_hda_intel/unbind
		silent() { $ann sandbox-audio status --server unix:/run/ann/native --json | grep -q '"name": "null"'; }
		eventually silent
		sleep 3`)
	meanwhile := m.hear(t)
	m.script(t, `set -e
		cat /tmp/pci >/sys/bus/pci/drivers/snd_hda_intel/bind
		eventually test -e /proc/asound/Intel/pcm0p
		sleep 0.5
		chgrp audio /dev/snd/*; chmod 660 /dev/snd/*C*
		amixer -q -c Intel sset Master 100% unmute
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status
		sleep 2`)
	m.Monitor(t, "device_add", map[string]any{"driver": "usb-audio", "id": "card1-usb", "bus": "xhci.0", "audiodev": "card1"})
	t.Log("opened within s of being allowed:", m.script(t, `set -e
		eventually test -e /proc/asound/Audio/pcm0p
		sleep 0.5 # udev gives the rights a moment after the node is there
		chgrp audio /dev/snd/*C1*; chmod 660 /dev/snd/*C1*
		allowed=$(uptime)
		eventually grep -q RUNNING /proc/asound/Audio/pcm0p/sub0/status
		echo $allowed $(uptime)
		eventually card_closed
		sleep 2
		pkill pacat
		sleep 1`))
	bare := m.hear(t)
	// What the first card played last, and the other first but for the while in which it comes up, are so many frames of the stream apart.
	left, _ := before.Trim(quiet)
	taken, _ := meanwhile.Trim(quiet)
	const up, mark = rate / 20, 64
	from, to := number(left.Cut(left.Frames()-mark, left.Frames()))+mark, number(taken.Cut(up, up+mark))-up
	t.Logf("the stream left a card at frame %d and went on at %d on the other", from, to)
	if from < mark || to < 0 || to < from-rate/20 || to > from+rate/4 {
		t.Errorf("it did not keep time, or cannot be told: from %d to %d", from, to)
	}
	left, _ = meanwhile.Trim(quiet)
	taken, _ = bare.Trim(quiet)
	from, to = number(left.Cut(left.Frames()-mark, left.Frames()))+mark, number(taken.Cut(taken.Frames()/2, taken.Frames()/2+mark))-taken.Frames()/2
	t.Logf("there was no card at all from frame %d to %d", from, to)
	if from < mark || to < from+3*rate {
		t.Errorf("three seconds without a card did not pass, or cannot be told: from %d to %d", from, to)
	}
	// QEMU's USB card begins anew at a volume of 240 of 255, and is turned to what it had before.
	for _, heard := range []struct {
		when  string
		sound sound.Sound
		level float64
	}{{"before", before, long.DB}, {"meanwhile, on the other card,", meanwhile, long.DB}, {"on that card again", bare, long.DB}, {"after", m.recorded(t, usb), long.DB}} {
		if steady(heard.sound, heard.level) < 0 {
			t.Errorf("%s there is not a second of the tone:%s", heard.when, levels(heard.sound))
		}
	}
}

// remembered turns the master volumes of two cards, ends the daemon, has the cards come up as each other's number and at other volumes, and starts a daemon
// again: each card is as loud as it was, by its id.
func (m *machine) remembered(t *testing.T) {
	const usb = 1
	script := func(text string) string {
		t.Helper()
		return m.script(t, `set -e
			pactl() { $ann pactl --server=unix:/run/ann/kept "$@"; }
			volume() { pactl get-sink-volume alsa_output.$1.0 | sed -n 's/^Volume: *[^:]*: *\([0-9]*\) .*/\1/p'; }
			hardware() { amixer -c Intel cget name='Master Playback Volume' | sed -n 's/^ *: values=//p'; }
			gone() { ! pgrep -u ann sandbox-audio >/dev/null; }
			end() { kill $(pgrep -o -u ann sandbox-audio); eventually gone; }
			begin() {
				$ann sandbox-audio daemon --listen unix:/run/ann/kept --state /run/ann/state </dev/null >/tmp/kept 2>&1 &
				eventually grep -q 'ready on' /tmp/kept
			}
			`+text)
	}
	script(`
		end
		begin
		pactl set-sink-volume alsa_output.Intel.0 43967 # -10.4 dB
		pactl set-sink-volume alsa_output.Audio.0 30000
		turned() { [ "$(hardware)" = 64,64 ]; }
		eventually turned
		end
		[ $(readlink /proc/asound/Intel) = card0 ] && [ $(readlink /proc/asound/Audio) = card1 ]
		basename $(readlink -f /sys/class/sound/card0/device) >/tmp/pci
		cat /tmp/pci >/sys/bus/pci/drivers/snd_hda_intel/unbind`)
	if err := m.Unplug(usb); err != nil {
		t.Fatal(err)
	}
	script(`
		none() { ! test -e /proc/asound/card0 && ! test -e /proc/asound/card1; }
		eventually none`)
	m.Monitor(t, "device_add", map[string]any{"driver": "usb-audio", "id": "card1-usb", "bus": "xhci.0", "audiodev": "card1"})
	out := script(`
		eventually test -e /proc/asound/Audio/pcm0p
		cat /tmp/pci >/sys/bus/pci/drivers/snd_hda_intel/bind
		eventually test -e /proc/asound/Intel/pcm0p
		sleep 0.5
		chgrp audio /dev/snd/*; chmod 660 /dev/snd/*C*
		amixer -q -c Intel sset Master 100% unmute
		echo $(readlink /proc/asound/Intel) $(hardware), $(readlink /proc/asound/Audio)
		begin
		turned() { [ "$(hardware)" != 74,74 ]; }
		eventually turned
		echo Intel $(volume Intel) $(hardware), Audio $(volume Audio)
		end`)
	if want := "card1 74,74, card0\nIntel 43967 64,64, Audio 30000\n"; out != want {
		t.Errorf("%s\nwant %s\n%s", out, want, m.Run(t, "cat /tmp/kept").Output)
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
