package bridge_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// keepsTime has the owner speak at his server and the helper through the daemon, both moved there to another sink, which then sleeps for a while. What
// the helper is told of the time is as true as what the owner is, and it loses no more.
func keepsTime(t *testing.T, peer *rig.Peer, d *rig.Daemon, owner, helper need.User) {
	pactl := func(argv ...string) { must(t, owner, peer.Unix, append([]string{"pactl"}, argv...)...) }
	defer load(t, peer, owner, "module-null-sink", "sink_name=other", "rate=44100")() // PipeWire stumbles where a sink that nobody uses any more goes to sleep
	defer awake(t, peer, owner, "other")()
	const left, right = 0, 1
	here, there := lend(t, owner, peer.Unix, "out.monitor"), lend(t, owner, peer.Unix, "other.monitor")
	direct, through := speak(t, owner, peer.Unix, "direct", left), speak(t, helper, d.Unix, "through", right)

	second := func(what string, e *ear) {
		t.Helper()
		var want, got float64
		begin := e.length()
		need.Eventually(t, time.Minute, func() (lacks string) {
			for _, ch := range []int{left, right} {
				if lacks = e.breaks(ch, begin); lacks != "" {
					return what + ": " + lacks
				}
			}
			to := now()
			if want, lacks = e.late(direct, left, to-steady/2, to); lacks == "" {
				got, lacks = e.late(through, right, to-steady/2, to)
			}
			return lacks
		})
		t.Logf("%s: heard %.0f ms after the time told directly, %.0f ms through the daemon", what, -1000*want, -1000*got)
		if off := got - want; off < -0.03 || off > 0.03 {
			t.Errorf("%s: the helper is told of a latency that is wrong by %.0f ms", what, 1000*off)
		}
	}
	second("at first", here)
	ours := shows(t, peer, owner, helper).Index
	var apart time.Duration // they are moved one after the other
	move := func(sink string) {
		began := time.Now()
		defer func() { apart += time.Since(began) }()
		for _, index := range []int{int(direct.input), ours} {
			pactl("move-sink-input", fmt.Sprint(index), sink)
		}
	}
	move("other")
	second("moved", there)
	if len(direct.moved) > 0 {
		for _, dev := range d.Status(t).Devices {
			if dev.Name == "pulse:"+helper.Name && !strings.HasSuffix(dev.Hardware, " on other") {
				t.Errorf("moved, it plays at %s", dev.Hardware)
			}
		}
	}
	pactl("suspend-sink", "other", "1")
	time.Sleep(300 * time.Millisecond) // of sleep
	d.Status(t)                        // nobody waits for it
	pactl("suspend-sink", "other", "0")
	if peer.Name == "PulseAudio" {
		second("woken", there)
	} else { // PipeWire 0.3.65 does not wake a sink for streams that it has, the owner's neither
		move("out")
		second("moved back", here)
	}

	want, got := lost(left, here, there), lost(right, here, there)
	t.Logf("%v are lost directly, %v through the daemon", want, got)
	if got > want+apart+100*time.Millisecond { // PipeWire loses what plays into a sink asleep
		t.Errorf("%v are lost, directly %v", got, want)
	}

	away, ear, remove := distant(t, peer, owner)
	defer remove()
	defer awake(t, peer, owner, "far")()
	far := lend(t, owner, peer.Unix, ear+".monitor")
	move(away)
	second("far away", far)
	if told := direct.latency(); told < distance {
		t.Errorf("far away the owner is told of %v", told)
	}
	for _, l := range []*line{direct.line, through.line, here.line, there.line, far.line} {
		l.close()
	}
}

// distance is how late, at least, a distant sink is heard.
const distance = 300 * time.Millisecond

// load has the server load a module, until unload is called.
func load(t *testing.T, peer *rig.Peer, owner need.User, argv ...string) (unload func()) {
	t.Helper()
	index := strings.TrimSpace(must(t, owner, peer.Unix, append([]string{"pactl", "load-module"}, argv...)...))
	return func() { must(t, owner, peer.Unix, "pactl", "unload-module", index) }
}

// distant makes a sink that is heard late and says so, until remove is called, and names it and the one where that can be listened to. PipeWire's is at
// ALSA's null device, and only says so.
func distant(t *testing.T, peer *rig.Peer, owner need.User) (sink, ear string, remove func()) {
	t.Helper()
	if peer.Name == "PulseAudio" { // one at another server, which is the same here
		far := load(t, peer, owner, "module-null-sink", "sink_name=far", "rate=48000")
		tunnel := load(t, peer, owner, "module-tunnel-sink", "sink_name=tunnel", "server="+peer.Unix, "sink=far", "latency_msec=400")
		return "tunnel", "far", func() { tunnel(); far() }
	}
	socket := strings.TrimSuffix(strings.TrimPrefix(peer.Unix, "unix:"), "pulse/native") + "pipewire-0"
	must(t, owner, peer.Unix, "pw-cli", "-r", socket, "create-node", "adapter", `{ factory.name = api.alsa.pcm.sink api.alsa.path = "null" latency.internal.ns = 400000000
		node.name = far media.class = Audio/Sink audio.format = S16LE audio.rate = 48000 audio.position = [ FL FR ] object.linger = true }`)
	return "far", "far", func() { must(t, owner, peer.Unix, "pw-cli", "-r", socket, "destroy", "far") }
}

// steady is the seconds of sound that goes on evenly after which time is told by it. What has been heard is not taken back: far away time stands still until as
// much is heard there, and after a break the daemon's goes on gently.
const steady = 1.4

// breaks is what keeps a channel from having been heard evenly for so long, all of it since begin. A block here and there may be broken.
func (e *ear) breaks(channel int, begin int) (lacks string) {
	const blocks = int(steady * rate / block)
	if got := e.length() - begin; got < blocks {
		return fmt.Sprintf("%d blocks of 5 ms were recorded, of %d", got, blocks)
	}
	from := float64(e.length()-blocks) * block / rate
	var off []float64
	for _, m := range e.heard(channel) {
		if m.when >= from {
			off = append(off, m.at-m.when)
		}
	}
	if len(off) < blocks/2 {
		return fmt.Sprintf("channel %d was heard in %d of %d blocks", channel, len(off), blocks)
	}
	if jump := middle(off[len(off)/2:]) - middle(off[:len(off)/2]); math.Abs(jump) > 0.005 {
		return fmt.Sprintf("channel %d jumps by %.0f ms", channel, 1000*jump)
	}
	return ""
}

// late is by how much sound comes later by the word of a voice's server than the ear hears it, in a while; or what is lacking to tell.
func (e *ear) late(v *voice, channel int, from, to float64) (late float64, lacks string) {
	told, lacks := v.zero(from, to)
	if lacks != "" {
		return 0, lacks
	}
	heard, lacks := e.zero(from, to)
	if lacks != "" {
		return 0, lacks
	}
	var all []float64
	for _, m := range e.heard(channel) {
		if when := heard + m.when; from <= when && when < to {
			all = append(all, told+m.at-when)
		}
	}
	if len(all) < 50 {
		return 0, fmt.Sprintf("%d blocks of 5 ms were heard in %.1f s", len(all), to-from)
	}
	return middle(all), ""
}

// lost is how much of the rising sound no ear heard, from its first to its last.
func lost(channel int, ears ...*ear) time.Duration {
	heard := map[int]bool{} // by the millisecond
	first, last := 1<<30, 0
	for _, e := range ears {
		for _, m := range e.heard(channel) {
			at := int(1000*m.at + 0.5)
			for ms := at - 3; ms <= at+3; ms++ {
				heard[ms] = true
			}
			first, last = min(first, at), max(last, at)
		}
	}
	n := 0
	for ms := first; ms < last; ms++ {
		if !heard[ms] {
			n++
		}
	}
	return time.Duration(n) * time.Millisecond
}
