package device

import (
	"fmt"
	"strings"
	"testing"
)

func (b *bench) sockets(t *testing.T, capture bool) *ports {
	t.Helper()
	return newPorts(b.hardware, findSockets(b.all, capture))
}

func said(p *ports) string {
	var s []string
	all, active := p.list()
	for _, port := range all {
		name := port.Name
		if name == active {
			name = "*" + name
		}
		s = append(s, name+[...]string{"", "-", "+"}[port.Plug])
	}
	return strings.Join(s, " ")
}

func TestPorts(t *testing.T) {
	b := newBench(t, laptopMixer())
	out, in := b.sockets(t, false), b.sockets(t, true)
	if got := said(out); got != "analog-output-speaker analog-output-headphones- hdmi-output-0- *hdmi-output-1+" {
		t.Error(got)
	}
	p := &plugged{SoundCard: laptop[1]}
	if err := p.read(b.fakeMixer); err != nil {
		t.Fatal(err)
	}
	for e, want := range map[int]string{0: "*analog-output-speaker analog-output-headphones-", 1: ""} { // analog, and a digital one
		if got := said(p.ports[address{"PCH", e, false}]); got != want {
			t.Errorf("device %d: %q", e, got)
		}
	}
	if got := said(in); got != "*analog-input-internal-mic analog-input-mic-" {
		t.Error(got)
	}
	if err := out.use("analog-output-nothing"); err == nil {
		t.Error("a port that is not there is used")
	}
}

func TestPortsFollowThePlug(t *testing.T) {
	b := newBench(t, laptopMixer())
	b.all = b.all[:len(b.all)-2] // without screens
	out := b.sockets(t, false)
	b.changed = func(turned) { out.follow() }
	for _, c := range []struct{ plugged, headphones, speaker int }{{1, 1, 0}, {0, 0, 1}, {1, 1, 0}} {
		b.turn("Headphone Jack", c.plugged)
		b.refresh()
		b.run()
		h, s := b.at("Headphone Playback Switch"), b.at("Speaker Playback Switch")
		if fmt.Sprint(h, s) != fmt.Sprintf("[%[1]d %[1]d] [%[2]d %[2]d]", c.headphones, c.speaker) {
			t.Errorf("plugged in %d: headphones %v, loudspeakers %v", c.plugged, h, s)
		}
	}
	if got := said(out); got != "analog-output-speaker *analog-output-headphones+" {
		t.Error(got)
	}
	if err := out.use("analog-output-speaker"); err != nil {
		t.Error(err)
	}
	b.run()
	if got := said(out); got != "*analog-output-speaker analog-output-headphones+" {
		t.Error("chosen in spite of the plug:", got)
	}
}

func TestPortsOfAnEnumeration(t *testing.T) {
	b := newBench(t, ac97Mixer())
	in := b.sockets(t, true)
	if got := said(in); got != "*analog-input-mic analog-input-linein" {
		t.Fatal(got)
	}
	if err := in.use("analog-input-linein"); err != nil {
		t.Error(err)
	}
	b.run()
	if got := said(in); got != "analog-input-mic *analog-input-linein" || fmt.Sprint(b.at("Capture Source")) != "[4 4]" {
		t.Error(got, b.at("Capture Source"))
	}
	out := b.sockets(t, false)
	if got := said(out); got != "" {
		t.Error(got)
	}
}

func TestPortsThatOnlyInform(t *testing.T) {
	m := new(fakeMixer)
	m.jack("Line Out Phantom Jack", 1)
	m.jack("Front Headphone Jack", 1)
	m.jack("Headset Mic Jack", 1)
	b := newBench(t, m)
	out := b.sockets(t, false)
	if got := said(out); got != "*analog-output-headphones+ analog-output-lineout" {
		t.Error(got)
	}
	if err := out.use("analog-output-lineout"); err == nil {
		t.Error("switched without a switch")
	}
}

func TestUevents(t *testing.T) {
	const good = "add@/devices/pci0000:00/usb1/1-2/1-2:1.0/sound/card2/controlC2\x00ACTION=add\x00DEVPATH=/devices/pci0000:00/usb1/1-2/1-2:1.0/sound/card2/controlC2\x00SUBSYSTEM=sound\x00MAJOR=116\x00MINOR=10\x00DEVNAME=snd/controlC2\x00SEQNUM=1234\x00"
	if subsystem, ok := parseUevent([]byte(good)); subsystem != "sound" || !ok {
		t.Error(subsystem, ok)
	}
	for name, s := range map[string]string{
		"nothing":                "",
		"udev's":                 "libudev\x00\xfe\xed\xca\xfe" + good,
		"not ended":              strings.TrimSuffix(good, "\x00"),
		"head alone":             "add@/devices/x\x00",
		"no path":                "add\x00ACTION=add\x00SUBSYSTEM=sound\x00",
		"another action":         strings.Replace(good, "ACTION=add", "ACTION=remove", 1),
		"another path":           strings.Replace(good, "/card2", "/card3", 1),
		"no key":                 good + "=x\x00",
		"no value":               good + "SUBSYSTEM\x00",
		"twice the same":         good + "SUBSYSTEM=sound\x00",
		"more than the kernel's": good + "X=" + strings.Repeat("x", maxUevent) + "\x00",
	} {
		if subsystem, ok := parseUevent([]byte(s)); ok {
			t.Errorf("%s: %q", name, subsystem)
		}
	}
}
