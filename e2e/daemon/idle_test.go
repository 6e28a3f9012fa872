package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

func init() { roles["holder"] = holder }

// holder keeps 32 corked streams, filled, until its standard input ends.
func holder(args []string) {
	c, err := dial(args[0])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	b := hello()
	m := creation()
	m.Corked, m.Attr.TLength = true, 17640
	for i := range 32 {
		b = native.AppendPacket(b, 35, native.OpCreatePlaybackStream, uint32(10+i), m)
		b = native.AppendHeader(b, native.Header{Length: 17640, Channel: uint32(i)})
		b = append(b, make([]byte, 17640)...)
	}
	if _, err := c.Write(b); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("holding")
	var end [1]byte
	os.Stdin.Read(end[:])
}

// switches counts how often the threads of pid have gone to sleep of themselves: each wake-up ends in one.
func switches(t *testing.T, pid int) (n int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads of %d (%v)", pid, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				k, _ := strconv.Atoi(strings.TrimSpace(v))
				n += k
			}
		}
	}
	return n
}

// With nothing to play, with no client or with 32 corked streams, neither process wakes up. The Go runtime looks around for a while after
// each piece of work, so the test waits until a second has passed without a wake-up, and then counts three more.
func TestIdleCostsNothing(t *testing.T) {
	owner := need.NewUser(t)
	d := rig.Start(t, owner)
	worker := d.Status(t).PID
	quiet := func(when string) {
		t.Helper()
		count := func() int { return switches(t, worker) + switches(t, d.Keeper) }
		last := -1
		need.Eventually(t, 2*time.Minute, func() string {
			if now := count(); now != last {
				last = now
				time.Sleep(time.Second) // what is waited for is that nothing happens in it
				return fmt.Sprintf("%s the daemon wakes up again and again", when)
			}
			return ""
		})
		before := count()
		time.Sleep(3 * time.Second)
		if n := count() - before; n != 0 {
			t.Errorf("%s: %d wake-ups in 3 seconds", when, n)
		}
	}
	quiet("with no client")

	c := owner.Command(t.Context(), nil, self(t), "role", "holder", d.Unix)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer stdin.Close()
	need.Eventually(t, time.Minute, func() string {
		if n := len(d.Status(t).Streams); n != 32 {
			return fmt.Sprintf("%d of 32 streams", n)
		}
		return ""
	})
	if st := d.Status(t); st.Default().Open {
		t.Error("corked streams hold the device")
	}
	quiet("with 32 corked streams")
}
