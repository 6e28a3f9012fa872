package machine_test

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/e2e/sound"
)

func (m *machine) uid(t *testing.T, name string) (uid uint32) {
	t.Helper()
	if _, err := fmt.Sscan(m.script(t, "id -u "+name), &uid); err != nil {
		t.Fatal(err)
	}
	return uid
}

// setup runs setup twice as the owner, who becomes root through sudo: the second time changes nothing.
func (m *machine) setup(t *testing.T) {
	m.script(t, `$ann sandbox-audio setup`)
	once := m.script(t, "system")
	m.script(t, `$ann sandbox-audio setup`)
	same(t, "the second setup", once, m.script(t, "system"))
	for _, want := range []string{"\nann-sandbox:", "/etc/sudoers.d/sandbox-audio-", "/home/ann-sandbox drwx------", "/run/sandbox-audio/ann drwxr-xr-x"} {
		if !strings.Contains(once, want) {
			t.Errorf("no %q in\n%s", want, once)
		}
	}
	if groups := m.script(t, "id -Gn ann-sandbox"); groups != "ann-sandbox\n" {
		t.Error("the helper is in the groups", groups)
	}
	m.script(t, "! setpriv --reuid=ann-sandbox --regid=ann-sandbox --init-groups cat /dev/snd/pcmC0D0p")
}

// statuses are the exit statuses of run.
func (m *machine) statuses(t *testing.T) {
	out := m.script(t, `
		try() { name=$1; shift; "$@" </dev/null >/tmp/said 2>&1; echo $name $?; }
		try fine $ann sandbox-audio run true
		try own $ann sandbox-audio run sh -c 'exit 37'
		try unexecutable $ann sandbox-audio run /etc/passwd
		try absent $ann sandbox-audio run no-such-program
		started() { grep -q started /tmp/program; }
		$ann sandbox-audio run sh -c 'echo started; exec sleep 600' >/tmp/program 2>&1 & run=$!
		eventually started
		kill $run
		wait $run
		echo SIGTERM $?
		# Ctrl-C, typed at a terminal.
		>/tmp/program
		{ eventually started; printf '\003'; eventually test -e /tmp/interrupted; } |
			{ script -qefc "$ann sandbox-audio run sh -c 'echo started; exec sleep 600'" /tmp/program >/dev/null 2>&1; echo Ctrl-C $?; touch /tmp/interrupted; }
		pgrep -l -u ann-sandbox || true`)
	got, want := map[string]int{}, map[string]int{"fine": 0, "own": 37, "unexecutable": 126, "absent": 127, "SIGTERM": 143, "Ctrl-C": 130}
	for line := range strings.Lines(out) {
		var name string
		var status int
		if _, err := fmt.Sscan(line, &name, &status); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		got[name] = status
	}
	if !maps.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
}

// teardown leaves the system as it was before setup, byte for byte.
func (m *machine) teardown(t *testing.T, before string) {
	m.script(t, "$ann sandbox-audio teardown --purge")
	same(t, "teardown", before, m.script(t, "system"))
}

// root is the owner where root needs no other: the daemon serves as a user of its own.
func (m *machine) root(t *testing.T, before string) {
	m.script(t, `set -e
		root="env -i HOME=/root USER=root LOGNAME=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		$root sandbox-audio setup
		$root sandbox-audio run paplay /srv/short.wav
		$root sandbox-audio status --json >/job/root.json
		ps -o user:20= -C sandbox-audio >/job/keeper-and-worker
		sleep 1
		$root sandbox-audio teardown --purge
		! pgrep -l sandbox-audio`)
	if b, err := os.ReadFile(m.Shared("keeper-and-worker")); string(b) != "sandbox-audio\nsandbox-audio\n" || err != nil {
		t.Errorf("the daemon's processes belong to %q, %v", b, err)
	}
	heard, _ := m.hear(t).Trim(quiet)
	exactly(t, "root's helper", heard, 2*time.Second, 0)
	sound.Hear(t, heard, 0, quiet, short)
	if d := m.status(t, "root.json").Default(); d.Name != "alsa:Intel,0" || d.Xruns != 0 {
		t.Errorf("device %+v", d)
	}
	if p := m.status(t, "root.json").Priority; p.Kind != "realtime" || p.By != "RLIMIT_RTPRIO" {
		t.Errorf("priority %+v", p)
	}
	same(t, "root's setup and teardown", before, m.script(t, "system"))
}

// limits holds the programs of root's helper by a control group, there being no systemd: the kernel ends what takes too
// much memory, starts no process too many, and the group goes with the last program.
func (m *machine) limits(t *testing.T, before string) {
	m.script(t, `set -e
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		root="env -i HOME=/root USER=root LOGNAME=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		mkdir -p /root/.config/sandbox-audio
		printf 'memory = "96M"\nprocesses = 80\ncpu_percent = 30\n' >/root/.config/sandbox-audio/config.toml
		$root sandbox-audio setup
		status=0; $root sandbox-audio run sh -c 'tail /dev/zero; echo $?' >/job/hog || status=$?
		echo "status $status" >>/job/hog
		$root sandbox-audio run cat /proc/self/cgroup >/job/group
		$root sandbox-audio run sh -c 'for i in $(seq 200); do sleep 30 & done 2>/dev/null; :' || :
		cat /sys/fs/cgroup/sandbox-audio/root-sandbox/cpu.max >/job/cpu
		cat /sys/fs/cgroup/sandbox-audio/root-sandbox/pids.peak /sys/fs/cgroup/sandbox-audio/root-sandbox/pids.current >/job/pids || :
		pkill -u root-sandbox sleep
		$root sandbox-audio run true
		! ls -d /sys/fs/cgroup/sandbox-audio
		$root sandbox-audio teardown --purge
		rm -r /root/.config/sandbox-audio
		umount /sys/fs/cgroup`)
	for name, want := range map[string]string{"hog": "137\nstatus 0\n", "group": "0::/sandbox-audio/root-sandbox\n", "cpu": "30000 100000\n"} {
		if b, err := os.ReadFile(m.Shared(name)); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	b, err := os.ReadFile(m.Shared("pids"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(n); err != nil || n > 80 || n < 40 {
			t.Errorf("the bomb had %d processes, %v", n, err)
		}
	}
	same(t, "limits", before, m.script(t, "system"))
}

// same fails t with the lines that are in only one of the two.
func same(t *testing.T, what, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	old, now := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(before) {
		old[line] = true
	}
	for line := range strings.Lines(after) {
		if now[line] = true; !old[line] {
			t.Errorf("%s left: %s", what, line)
		}
	}
	for line := range old {
		if !now[line] {
			t.Errorf("%s took away: %s", what, line)
		}
	}
	if !t.Failed() {
		t.Errorf("%s changed the order of\n%s\nto\n%s", what, before, after)
	}
}
