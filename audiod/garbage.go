package audiod

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"sandbox-audio/audiod/loop"
)

// garbage has memory collected when that is worth it, and at best while nothing sounds:
//
//	turn's end ─► has the heap grown by enough? ─► a side goroutine collects ─► what is left is what it grows from
//
// The Go runtime would do so at least every two minutes. It collects on ordinary threads, and for moments of that every other one waits for them,
// however high its priority: beside programs that keep the processor busy, up to two seconds.
type garbage struct {
	loop     *loop.Loop
	sounding func() bool
	heap     [1]metrics.Sample
	left     uint64 // bytes on the heap after the last collection; more than it can have while one goes on
	looked   time.Duration
	sounded  bool // then
}

const (
	muchGarbage   = 8 << 20   // bytes, which are collected at any time
	someGarbage   = 512 << 10 // which are when the last device has been closed
	garbagePeriod = 100 * time.Millisecond
)

// newGarbage takes collecting over from the runtime. sounding reports whether a device is open.
func newGarbage(l *loop.Loop, sounding func() bool) *garbage {
	g := &garbage{loop: l, sounding: sounding, heap: [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	debug.SetGCPercent(-1)
	g.left = g.size()
	l.AtTurnEnd(g.turnEnd)
	return g
}

// size is the bytes on the heap, whether in use or garbage.
func (g *garbage) size() uint64 {
	metrics.Read(g.heap[:])
	return g.heap[0].Value.Uint64()
}

func (g *garbage) turnEnd() {
	now, sounds, enough := g.loop.Now(), g.sounding(), uint64(muchGarbage)
	if g.sounded && !sounds {
		enough = someGarbage
	} else if now-g.looked < garbagePeriod {
		return
	}
	g.looked, g.sounded = now, sounds
	if g.size() < g.left+enough {
		return
	}
	g.left = math.MaxUint64 - muchGarbage
	go func() {
		runtime.GC()
		g.loop.Post(func() { g.left = g.size() })
	}()
}
