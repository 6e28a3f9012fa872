package machine_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// desktop is a session bus of ann's, and what scripts ask of who has the card.
const desktop = `
	eventually card_closed
	desk="$ann env HOME=/run/ann XDG_RUNTIME_DIR=/run/ann DBUS_SESSION_BUS_ADDRESS=unix:path=/run/ann/bus"
	$desk dbus-daemon --session --fork --address=unix:path=/run/ann/bus --print-pid >/tmp/bus
	n=$(readlink /proc/asound/Intel); n=${n#card}
	status() { $desk sandbox-audio status --server=unix:/run/ann/second >/tmp/status && grep -q -e "$1" /tmp/status; }
	running() { grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status; }
	owner() { pid=$(sed -n 's/^owner_pid *: //p' /proc/asound/Intel/pcm0p/sub0/status); [ -z "$pid" ] || cat /proc/$(sed -n 's/^Tgid:\t//p' /proc/$pid/status)/comm; }
	owned() { [ "$(owner)" = "$1" ]; }
`

// reserved has a second daemon of ann's, with a session bus, agree with a PulseAudio of hers on who has the card: whoever has it keeps it from the other of
// the same rank, gives it up to one of a higher, and what plays goes on in time.
func (m *machine) reserved(t *testing.T) {
	out := m.script(t, "set -e"+desktop+`
		pulse() { $desk pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 -L 'module-alsa-card device_id=Intel' </dev/null >/tmp/pulse 2>&1; }
		ask() { $desk dbus-send --session --print-reply --dest=org.freedesktop.ReserveDevice1.Audio$n /org/freedesktop/ReserveDevice1/Audio$n org.freedesktop.ReserveDevice1.RequestRelease int32:$1; }

		pulse &
		eventually owned pulseaudio
		$desk sandbox-audio daemon --listen unix:/run/ann/second --device alsa:Intel --state none </dev/null >/tmp/second 2>&1 & second=$!
		eventually grep -q 'ready on' /tmp/second
		cat /dev/zero | $ann pacat --server=unix:/run/ann/second --rate=48000 >/dev/null 2>&1 &
		eventually status 'reserved by "PulseAudio Sound Server"'
		pkill pulseaudio
		eventually status 'alsa:Intel,0 .* playing'
		echo after PulseAudio: $(owner)

		! pulse || { echo "PulseAudio has a card that is ours"; exit 1; }
		running
		ask 0 >/tmp/asked; echo of the same rank: $(tail -n 1 /tmp/asked)
		ask 1000 >/tmp/asked; card_closed; echo of a higher: $(tail -n 1 /tmp/asked)
		eventually status 'not the device asked for: .* it is reserved by "dbus-send" (process'
		pkill pacat; sleep 2
		$ann paplay --server=unix:/run/ann/second /srv/tone.wav & play=$!
		eventually status 'alsa:Intel,0 .* playing'
		kill $play; wait $play || true
		eventually card_closed
		! ask 0 2>/tmp/asked; grep -q ServiceUnknown /tmp/asked
		kill $second; wait $second || true
		kill $(cat /tmp/bus)
		amixer -q -c Intel sset Master 100% unmute`)
	want := "after PulseAudio: sandbox-audio\nof the same rank: boolean false\nof a higher: boolean true\n"
	if !strings.HasSuffix(out, want) {
		t.Errorf("%s\nwant %s\n%s", out, want, m.Run(t, "cat /tmp/second /tmp/pulse").Output)
	}
	m.hear(t)
}

// wired does the same with a WirePlumber and its PipeWire. That of a desktop, whose rank is lower, gives the card up and is refused it while it is in use, and
// takes it when it is free; one of a higher rank keeps it. One that starts while the card is in use does not ask for it: it waits until it is closed.
func (m *machine) wired(t *testing.T) {
	out := m.script(t, "set -e"+desktop+`
		/lib/systemd/systemd-udevd --daemon 2>/dev/null
		udevadm trigger --settle /sys/class/sound/card$n # WirePlumber takes no notice of a card that udev has not seen
		conf=/run/ann/.config/wireplumber; mkdir -p $conf/bluetooth.lua.d $conf/main.lua.d
		echo 'bluez_monitor.enabled = false' >$conf/bluetooth.lua.d/51-test.lua # without which it ends where there is no logind
		echo 'device_defaults.properties["default-volume"] = 1.0' >$conf/main.lua.d/51-test.lua
		chown -R ann /run/ann/.config
		wire() {
			$desk env WIREPLUMBER_DEBUG=3:m-default-nodes wireplumber </dev/null >/tmp/wire 2>&1 & wire=$!
			eventually grep -q 'set default node for Audio/Sink: alsa_output' /tmp/wire
		}
		unwire() { kill $wire; wait $wire || true; }
		play() { $ann pacat --server=unix:/run/ann/second --rate=48000 >/dev/null 2>&1; }
		$desk pipewire </dev/null >/tmp/pipewire 2>&1 & pipewire=$!
		eventually test -e /run/ann/pipewire-0
		wire
		$desk pw-play /srv/tone.wav & its=$!
		eventually owned pipewire
		$desk sandbox-audio daemon --listen unix:/run/ann/second --device alsa:Intel --state none </dev/null >/tmp/second 2>&1 & second=$!
		eventually grep -q 'ready on' /tmp/second
		play </dev/zero &
		eventually status 'alsa:Intel,0 .* playing'
		echo of a lower rank: $(owner)
		sleep 1
		owned sandbox-audio
		pkill pacat
		eventually owned pipewire
		echo free again: $(owner)
		kill $its; wait $its || true
		unwire

		echo 'alsa_monitor.properties["alsa.reserve.priority"] = 20' >$conf/main.lua.d/52-test.lua
		wire
		before=$(uptime)
		(while :; do tail -c +45 /srv/marked.wav; done) 2>/dev/null | play &
		eventually status 'not the device asked for: .* it is reserved by "WirePlumber"'
		began=$(uptime)
		sleep 2
		unwire
		eventually status 'alsa:Intel,0 .* playing'
		sleep 1
		ends=$(uptime)
		pkill pacat
		echo $before $began $ends $(uptime) >/job/wired
		eventually card_closed
		kill $second $pipewire; wait $second $pipewire || true
		kill $(cat /tmp/bus)
		pkill systemd-udevd
		amixer -q -c Intel sset Master 100% unmute`)
	if want := "of a lower rank: sandbox-audio\nfree again: pipewire\n"; !strings.HasSuffix(out, want) {
		t.Errorf("%s\nwant %s\n%s", out, want, m.Run(t, "cat /tmp/second /tmp/pipewire /tmp/wire").Output)
	}
	// The stream began while the card was another's, and is as far as it would be had that not been.
	var before, began, ends, ended float64
	times, err := os.ReadFile(m.Shared("wired"))
	if _, err2 := fmt.Sscan(string(times), &before, &began, &ends, &ended); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	heard, _ := m.hear(t).Trim(quiet)
	const mark, round = 64, 30
	at := float64(number(heard.Cut(heard.Frames()-mark, heard.Frames()))+mark) / rate
	if at < mark/rate {
		t.Fatal("where the stream ended cannot be told")
	}
	for at < ends-began-0.5 { // it goes round
		at += round
	}
	t.Logf("the stream ended at %.2f s, of at least %.2f and at most %.2f", at, ends-began, ended-before)
	if at > ended-before+0.5 {
		t.Error("it did not keep time")
	}
}

// crossed has a PulseAudio of ann's start under a stream that a daemon which chooses for itself plays on the card: the stream crosses over, and PulseAudio
// gets the card.
func (m *machine) crossed(t *testing.T) {
	out := m.script(t, "set -e"+desktop+`
		/lib/systemd/systemd-udevd --daemon 2>/dev/null
		udevadm trigger --settle /sys/class/sound/card$n
		$desk sandbox-audio daemon --listen unix:/run/ann/second --state none </dev/null >/tmp/second 2>&1 & second=$!
		eventually grep -q 'ready on' /tmp/second
		$ann paplay --server=unix:/run/ann/second --device=alsa_output.Intel.0 /srv/tone.wav & play=$!
		eventually status 'alsa:Intel,0 .* playing'
		echo before: $(owner)
		$desk pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 -L module-udev-detect -L module-native-protocol-unix </dev/null >/tmp/pulse 2>&1 & pulse=$!
		theirs() { $desk pactl --server=unix:/run/ann/pulse/native "$@"; }
		sinks() { theirs list short sinks >/tmp/sinks 2>/dev/null; sink=$(sed -n 's/^[0-9]*\t\(alsa_output\.pci[^\t]*\)\t.*/\1/p' /tmp/sinks); [ "$sink" ]; }
		eventually sinks
		theirs set-default-sink "$sink"
		eventually owned pulseaudio
		echo after: $(owner)
		eventually status 'pulse:owner .* playing'
		sleep 2
		kill $play; wait $play || true
		sleep 1 # of silence, so that all before it is in the recording
		kill $pulse; wait $pulse || true
		kill $second; wait $second || true
		kill $(cat /tmp/bus)
		pkill systemd-udevd
		amixer -q -c Intel sset Master 100% unmute`)
	if want := "before: sandbox-audio\nafter: pulseaudio\n"; !strings.HasSuffix(out, want) {
		t.Errorf("%s\nwant %s\n%s", out, want, m.Run(t, "cat /tmp/second /tmp/pulse").Output)
	}
	heard, _ := m.hear(t).Trim(quiet)
	tones, _ := heard.Cut(heard.Frames()-rate, heard.Frames()).Tones(0, 1)
	if len(tones) != 1 || tones[0].Freq < long.Freq-0.1 || tones[0].Freq > long.Freq+0.1 {
		t.Errorf("in the end %v is heard, want %v", tones, long)
	}
}
