package machine_test

import (
	"strings"
	"testing"
)

// reserved has a second daemon of ann's, with a session bus, agree with a PulseAudio of hers on who has the card: whoever has it keeps it from the other of
// the same rank, gives it up to one of a higher, and what plays goes on in time.
func (m *machine) reserved(t *testing.T) {
	out := m.script(t, `set -e
		eventually card_closed
		desk="$ann env HOME=/run/ann XDG_RUNTIME_DIR=/run/ann DBUS_SESSION_BUS_ADDRESS=unix:path=/run/ann/bus"
		$desk dbus-daemon --session --fork --address=unix:path=/run/ann/bus --print-pid >/tmp/bus
		n=$(readlink /proc/asound/Intel); n=${n#card}
		pulse() { $desk pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 -L 'module-alsa-card device_id=Intel' </dev/null >/tmp/pulse 2>&1; }
		ask() { $desk dbus-send --session --print-reply --dest=org.freedesktop.ReserveDevice1.Audio$n /org/freedesktop/ReserveDevice1/Audio$n org.freedesktop.ReserveDevice1.RequestRelease int32:$1; }
		status() { $desk sandbox-audio status --server=unix:/run/ann/second >/tmp/status && grep -q -e "$1" /tmp/status; }
		running() { grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status; }
		owner() { pid=$(sed -n 's/^owner_pid *: //p' /proc/asound/Intel/pcm0p/sub0/status); cat /proc/$(sed -n 's/^Tgid:\t//p' /proc/$pid/status)/comm; }
		pulseaudio --version >/dev/null; dbus-send --help >/dev/null 2>&1 || true

		pulse &
		held() { [ "$(owner)" != '' ]; }
		eventually held
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
