package bench_test

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// BenchmarkConnect is connections one after the other, each with authentication and a name.
func BenchmarkConnect(b *testing.B) {
	all := servers(b, begin(b))
	for b.Loop() {
		for _, transport := range []string{"unix", "tcp"} {
			rates := make([][]float64, len(all))
			for range rounds() {
				for i, s := range all {
					o := order{Do: "connect", Address: s.unix, For: 2 * time.Second}
					if transport == "tcp" {
						o.Address = s.tcp
					}
					rates[i] = append(rates[i], s.load.do(o).PerSecond)
					time.Sleep(300 * time.Millisecond) // for what is left to be tidied up
				}
			}
			var figures []figure
			for _, r := range rates {
				figures = append(figures, figure{mean(r), ""})
			}
			tell(b, "connections per second, one at a time", transport, transport+"-connects/s", "%.0f", true, figures...)
		}
	}
}

// BenchmarkIdle is what a server does with nothing to play. All are asked at once: who is idle disturbs nobody.
func BenchmarkIdle(b *testing.B) {
	all := servers(b, begin(b))
	for b.Loop() {
		for _, of := range []string{"no client", "32 corked streams"} {
			if of != "no client" {
				for _, s := range all {
					s.load.do(order{Do: "play", Streams: 32, Rate: 44100, TLength: 100 * time.Millisecond, Corked: true})
				}
			}
			time.Sleep(8 * time.Second) // idle sinks are suspended after 5
			var before []usage
			for _, s := range all {
				before = append(before, usageOf(b, s.pids))
			}
			const counted = 5 * time.Second
			time.Sleep(counted)
			var switches, pss []figure
			for i, s := range all {
				now := usageOf(b, s.pids)
				switches = append(switches, figure{float64(now.switches-before[i].switches) / counted.Seconds(), ""})
				pss = append(pss, figure{now.pss, ""})
			}
			name := strings.ReplaceAll(of, " ", "-")
			tell(b, "idle wake-ups per second", of, name+"-wakeups/s", "%.1f", false, switches...)
			tell(b, "PSS, MB", "idle, "+of, name+"-pss-MB", "%.1f", false, pss...)
		}
	}
}

// BenchmarkStart is from a server's start to when its address takes connections, and to when it answers what its default sink is.
func BenchmarkStart(b *testing.B) {
	owner := begin(b)
	pulse, pipewire := rig.PulseAudio(b, owner), rig.PipeWire(b, owner)
	starts := []func() (listening, answering float64){
		func() (float64, float64) { return startOurs(b, owner) },
		func() (float64, float64) { return startPeer(b, pulse) },
		func() (float64, float64) { return startPeer(b, pipewire) },
	}
	listening, answering := make([][]float64, len(starts)), make([][]float64, len(starts))
	for b.Loop() {
		for range 5 {
			for i, start := range starts {
				l, a := start()
				listening[i], answering[i] = append(listening[i], l), append(answering[i], a)
			}
		}
	}
	tell(b, "start, ms", "to listening", "listening-ms", "%.1f", false, of(listening, 50)...)
	tell(b, "start, ms", "to an answer about its sink", "answering-ms", "%.1f", false, of(answering, 50)...)
}

func startOurs(b *testing.B, owner need.User) (listening, answering float64) {
	address := "unix:" + rig.Folder(b, owner) + "/native"
	ctx, cancel := context.WithCancel(b.Context())
	cmd := owner.Command(ctx, nil, rig.Binary(b), "daemon", "--listen", address, "--device", "null", "--state", "none", "--allow", "root")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer cancel()
	return arrival(address).since(b, began)
}

func startPeer(b *testing.B, p *rig.Peer) (listening, answering float64) {
	p.Stop()
	come := make(chan arrived)
	go func() { come <- arrival(p.Unix) }()
	p.Start()
	return (<-come).since(b, p.Began)
}

// arrived is when a server took a connection, and when it knew its default sink; zero where it did not.
type arrived struct{ listening, answering time.Time }

func arrival(address string) (at arrived) {
	for deadline := time.Now().Add(20 * time.Second); at.answering.IsZero() && time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		c, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
		if err != nil {
			continue
		}
		c.Close()
		if at.listening.IsZero() {
			at.listening = time.Now()
		}
		if knowsSink(address) {
			at.answering = time.Now()
		}
	}
	return at
}

// knowsSink gives the server half a second: PipeWire's leaves those who come too early without an answer.
func knowsSink(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	c, err := native.Dial(ctx, address, "bench")
	if err != nil {
		return false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return c.Call(native.OpGetSinkInfo, &native.ByIndexOrName{Index: native.Invalid, Name: "@DEFAULT_SINK@"}, new(native.SinkInfo)) == nil
}

func (at arrived) since(b *testing.B, began time.Time) (listening, answering float64) {
	if at.answering.IsZero() {
		b.Fatal("a server does not answer")
	}
	return float64(at.listening.Sub(began)) / 1e6, float64(at.answering.Sub(began)) / 1e6
}
