package bridge

import (
	"testing"
	"time"

	"sandbox-audio/audiod/device"
)

// A device turns out to be far from the ear, of which the server said nothing when it made the stream, and near again later: sound goes on whole at its card,
// and the ear's distance is known.
func TestFarAway(t *testing.T) {
	d := newDesktop(t, device.Config{})
	sink := d.bridged("test")
	l := d.play(sink)
	near := func(what string) {
		t.Helper()
		if latency := sink.State().Latency; latency <= 0 || latency > 150*time.Millisecond {
			t.Errorf("%s: %v from the mixer to the ear", what, latency)
		}
	}
	d.during(l, 2*time.Second)
	near("at first")
	xruns := sink.State().Xruns
	d.further = 400 * time.Millisecond
	d.during(l, 2*time.Second)
	before := sink.State().Xruns
	ear := d.during(l, 3*time.Second)
	if latency := sink.State().Latency; latency < d.further || latency > d.further+200*time.Millisecond {
		t.Errorf("far away: %v from the mixer to the ear", latency)
	}
	if n := sink.State().Xruns; n != before || ear.frames < 3*47000 || len(ear.breaks) > 0 {
		t.Errorf("far away: %d xruns after the first %d, %d frames in three seconds, breaks: %.10q", n-before, before-xruns, ear.frames, ear.breaks)
	}
	d.further = 0
	d.during(l, 12*time.Second)
	near("near again")
	if ear := d.during(l, time.Second); ear.frames < 47000 || len(ear.breaks) > 0 {
		t.Errorf("near again: %d frames in a second, breaks: %.10q", ear.frames, ear.breaks)
	}
}

// A stream that begins at a distant device is told of where it is from the first, and does not run dry.
func TestBeginsFarAway(t *testing.T) {
	d := newDesktop(t, device.Config{})
	d.further = 400 * time.Millisecond
	sink := d.bridged("test")
	l := d.play(sink)
	ear := d.during(l, 5*time.Second)
	if st := sink.State(); st.Latency < d.further || st.Latency > d.further+200*time.Millisecond || st.Xruns > 0 || ear.frames < 48000*45/10 || len(ear.breaks) > 0 {
		t.Errorf("%+v, %d frames in five seconds, breaks: %.10q", st, ear.frames, ear.breaks)
	}
}
