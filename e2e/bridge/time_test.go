package bridge_test

import (
	"fmt"
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
	pactl("load-module", "module-null-sink", "sink_name=other", "rate=44100")
	defer awake(t, peer, owner, "other")()
	const left, right = 0, 1
	here, there := lend(t, owner, peer.Unix, "out.monitor"), lend(t, owner, peer.Unix, "other.monitor")
	direct, through := speak(t, owner, peer.Unix, "direct", left), speak(t, helper, d.Unix, "through", right)

	second := func(what string, e *ear) {
		t.Helper()
		before := [2]int{len(e.heard(left)), len(e.heard(right))}
		need.Eventually(t, 20*time.Second, func() string {
			for ch, n := range before {
				if got := len(e.heard(ch)) - n; got < 200 {
					return fmt.Sprintf("%s: %d blocks of 5 ms are heard in channel %d", what, got, ch)
				}
			}
			return ""
		})
		to := now()
		want, got := e.late(t, direct, left, to-0.8, to), e.late(t, through, right, to-0.8, to)
		t.Logf("%s: heard %.0f ms after the time told directly, %.0f ms through the daemon", what, -1000*want, -1000*got)
		if off := got - want; off < -0.03 || off > 0.03 {
			t.Errorf("%s: the helper is told of a latency that is wrong by %.0f ms", what, 1000*off)
		}
	}
	second("at first", here)
	ours := shows(t, peer, owner, helper).Index
	move := func(sink string) {
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
	if got > want+100*time.Millisecond { // they are moved one after the other, and PipeWire loses what plays into a sink asleep
		t.Errorf("%v are lost, directly %v", got, want)
	}
	for _, l := range []*line{direct.line, through.line, here.line, there.line} {
		l.close()
	}
}

// late is by how much sound comes later by the word of a voice's server than the ear hears it, in a while.
func (e *ear) late(t *testing.T, v *voice, channel int, from, to float64) float64 {
	t.Helper()
	told, heard := v.zero(t, from, to), e.zero(t, from, to)
	var all []float64
	for _, m := range e.heard(channel) {
		if when := heard + m.when; from <= when && when < to {
			all = append(all, told+m.at-when)
		}
	}
	if len(all) < 50 {
		t.Fatalf("%d blocks of 5 ms were heard in %.1f s", len(all), to-from)
	}
	return middle(all)
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
