package machine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/session"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
	"sandbox-audio/e2e/vm"
)

// loadTime names the variable that says how long each part of TestFullLoad plays, as in SANDBOX_AUDIO_LOAD=5m.
const loadTime = "SANDBOX_AUDIO_LOAD"

// TestFullLoad plays while others keep the processor busy all the time, once with the right to realtime priority and once without. With it the card
// never runs dry, not even when those others are nicer to themselves than to anybody, which without it is too much; nor when the daemon's other threads,
// which are ordinary, have something to do, as to log a stranger. The guest's time is its own, so the host cannot disturb.
func TestFullLoad(t *testing.T) {
	t.Parallel()
	length := 3 * time.Second
	if s := os.Getenv(loadTime); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatalf("%s: %v", loadTime, err)
		}
	}
	tone := filepath.Join(t.TempDir(), "tone.wav")
	if err := sound.Sines(rate, minute, []sound.Tone{long}, []sound.Tone{long}).WriteWAV(tone); err != nil {
		t.Fatal(err)
	}
	m := &machine{Guest: vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA}, Timeout: 12*time.Minute + 20*length, Files: map[string]string{
		"/usr/local/bin/sandbox-audio": rig.Binary(t), "/srv/lib.sh": "testdata/lib.sh", "/srv/tone.wav": tone}}), heard: wavHead}
	m.script(t, `useradd --create-home --groups audio ann`)
	m.Test(t, "sandbox-audio/audiod/realtime", "TestLimits")
	m.Test(t, "sandbox-audio/audiod", "TestNoRealtimeThreadRunsOn")
	t.Run("with realtime priority", func(t *testing.T) {
		for _, l := range m.loaded(t, 10, "realtime", length) {
			if l.xruns > 0 {
				t.Errorf("%v: %d xruns in spite of realtime priority", l, l.xruns)
			}
		}
	})
	t.Run("without", func(t *testing.T) {
		loads := m.loaded(t, 0, "ordinary", length)
		if nicest := loads[len(loads)-1]; nicest.xruns == 0 {
			t.Errorf("%v: no xrun, so nothing is shown by their absence above", nicest)
		}
	})
	if t.Failed() {
		t.Log(m.Run(t, "cat /tmp/daemon").Output)
	}
}

// load is what others do, and what it did to the sound.
type load struct {
	what      string
	nice      int
	length    time.Duration
	xruns     uint64
	underruns [2]uint64 // of the patient stream, and of the other
}

func (l load) String() string { return fmt.Sprintf("%v beside %s", l.length, l.what) }

// loaded has a daemon of ann's play two streams, a patient one and one that wants 20 ms, beside eight programs that do nothing but count.
func (m *machine) loaded(t *testing.T, rtprio int, kind string, length time.Duration) []load {
	loads := []load{{what: "eight that count", length: length}, {what: "eight that count at nice -20", nice: -20, length: 5 * time.Second}}
	m.script(t, fmt.Sprintf(`set -e
		rm -rf /run/ann; mkdir /run/ann; chown ann /run/ann
		prlimit --rtprio=%[1]d:%[1]d $ann sandbox-audio daemon --listen unix:/run/ann/native --state none </dev/null >/tmp/daemon 2>&1 & echo $! >/tmp/pid
		eventually grep -q 'ready on' /tmp/daemon
		pacat() { $ann pacat --server=unix:/run/ann/native --rate=48000 "$@"; }
		(while :; do tail -c +45 /srv/tone.wav; done) 2>/dev/null | pacat --latency-msec=500 >/dev/null 2>&1 &
		eventually grep -q RUNNING /proc/asound/Intel/pcm0p/sub0/status
		pacat --latency-msec=20 </dev/zero >/dev/null 2>&1 &
		sleep 1`, rtprio))
	status := func() session.Status {
		t.Helper()
		m.script(t, `$ann sandbox-audio status --json --server=unix:/run/ann/native >/job/load.json`)
		st := m.status(t, "load.json")
		if len(st.Streams) != 2 || st.Priority.Kind != kind {
			t.Fatalf("priority %+v, streams %+v", st.Priority, st.Streams)
		}
		return st
	}
	status()
	hurried := strings.Fields(m.script(t, `ps -L -o cls=,lwp= -p $(pgrep -f daemon-worker) | sed -n 's/^ *RR //p'`))
	if n := len(hurried); (n == 1) != (kind == "realtime") || n > 1 {
		t.Errorf("%d of the worker's threads are realtime", n)
	}
	if owner := strings.TrimSpace(m.script(t, `sed -n 's/^owner_pid *: //p' /proc/asound/Intel/pcm0p/sub0/status`)); owner == "" || slices.Contains(hurried, owner) {
		t.Errorf("the card was opened by thread %q, for which the sound of all others waited", owner)
	}
	for i := range loads {
		l := &loads[i]
		before := status()
		spent := m.script(t, fmt.Sprintf(`set -e
			busy=
			for n in 1 2 3 4 5 6 7 8; do nice -n %d sh -c 'while :; do :; done' & busy="$busy $!"; done
			spent() { head -1 /proc/stat | { read cpu user nice system idle rest; echo $idle; }; }
			before=$(spent)
			for n in 1 2 3; do ! chrt -r 1 setpriv --reuid 65534 --clear-groups sandbox-audio status --server=unix:/run/ann/native >/dev/null 2>&1; done
			sleep %g
			echo $(($(spent) - before))
			kill $busy; wait $busy || true
			eventually grep -q 'refused uid 65534' /tmp/daemon`, l.nice, l.length.Seconds()))
		after := status()
		l.xruns = after.Default().Xruns - before.Default().Xruns
		for i := range l.underruns {
			l.underruns[i] = after.Streams[i].Underruns - before.Streams[i].Underruns
		}
		p := after.Priority
		t.Logf("%v, priority %s %d by %q: %d xruns; underruns %d of the patient stream, %d of the one at 20 ms; the processor idled for %s ticks of 4 ms", l, p.Kind, p.Level, p.By,
			l.xruns, l.underruns[0], l.underruns[1], strings.TrimSpace(spent))
		if strings.TrimSpace(spent) != "0" {
			t.Errorf("the processor was idle for %s ticks", spent)
		}
	}
	m.script(t, `pkill pacat; eventually card_closed; kill $(cat /tmp/pid)`)
	heard, _ := m.hear(t).Trim(quiet)
	t.Logf("the card played %v, silent %d times within", heard.Duration().Round(time.Millisecond), len(heard.Silences(time.Millisecond, quiet)))
	return loads
}
