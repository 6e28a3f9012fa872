package audiod

import (
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/realtime"
	"sandbox-audio/audiod/session"
)

// The loop's thread plays in time although others keep the processors busy, where its user may have that:
//
//	worker: pins the loop to a thread ─ its id ─► keeper: package realtime ─ grant ─► the loop stays pinned; or is not worth it, and it is let go
//
// A realtime thread comes before everything on its processor, so it must not run on and on, whatever clients have it do:
//
//	at the end of each turn    it has used more than its allowance: it becomes ordinary by itself, and asks again after a while
//	SIGXCPU, within a turn     realtime.Bound
//
// Only this thread is raised; the garbage collector's and those that log or write files stay ordinary.
type priority struct {
	loop   *loop.Loop
	log    func(format string, args ...any)
	keeper *keeperLink
	thread int // the loop's, as long as it is pinned
	grant  realtime.Grant
	busy   allowance
	spent  time.Duration // of the processor by the thread, when last looked
	again  *loop.Timer
}

const (
	shareOfTime = 2                     // a realtime thread may have one part in so many
	mostAtOnce  = 20 * time.Millisecond // and so much beyond that: twice as long until it is used up, and still less than until SIGXCPU
	calmTime    = 10 * time.Second      // before it is raised again
)

// hurries tells whether something that o names has to be played in time.
func (o *Options) hurries() bool {
	all := slices.Concat(o.Devices, o.Sources)
	return len(all) == 0 || slices.ContainsFunc(all, func(spec string) bool { return spec != "null" && !strings.HasPrefix(spec, "wav:") })
}

// The Go runtime lets only so many threads at a time run Go code, as many as there are processors. An ordinary thread keeps its place also while other
// programs keep it off the processor; there must be one left for the loop's then.
const places = 3 // beside those

// newPriority pins the loop to the thread that it is called on.
func newPriority(l *loop.Loop, keeper *keeperLink, log func(format string, args ...any)) *priority {
	runtime.GOMAXPROCS(runtime.NumCPU() + places)
	p := &priority{loop: l, log: log, keeper: keeper, thread: l.Pin(), grant: realtime.Grant{Kind: realtime.Ordinary, Why: "the keeper has not answered yet"}}
	p.again = l.NewTimer(p.ask)
	keeper.granted = p.granted
	l.AtTurnEnd(p.turnEnd)
	return p
}

// ask has the keeper raise the thread.
func (p *priority) ask() {
	err := realtime.Bound()
	if err == nil {
		err = p.keeper.send(errand{raiseThread, int32(p.thread)})
	}
	if err != nil {
		p.granted(realtime.Grant{Kind: realtime.Ordinary, Why: err.Error()})
	}
}

func (p *priority) granted(g realtime.Grant) {
	if p.grant = g; g.Kind == realtime.Ordinary {
		p.loop.Unpin()
		return
	}
	p.busy, p.spent = newAllowance(p.loop.Now()), threadTime()
}

// turnEnd makes the thread ordinary when it has used more than it may.
func (p *priority) turnEnd() {
	if p.grant.Kind != realtime.Realtime {
		return
	}
	if realtime.Overran() {
		p.lower("it did not come to rest")
		return
	}
	spent := threadTime()
	used := spent - p.spent
	if p.spent = spent; !p.busy.use(p.loop.Now(), used) {
		realtime.GiveUp()
		p.lower("it was busy for more than half of the time")
	}
}

func (p *priority) lower(why string) {
	p.grant = realtime.Grant{Kind: realtime.Ordinary, Why: why}
	p.log("the sound's thread is not realtime any more: %s; it is raised again in %v", why, calmTime)
	p.again.Set(p.loop.Now() + calmTime)
}

// allowance is time that comes in evenly, is kept up to a limit, and is spent.
type allowance struct {
	left time.Duration
	at   time.Duration // when it was that much
}

func newAllowance(now time.Duration) allowance { return allowance{mostAtOnce, now} }

// use takes used from what there is at now, and reports whether there was as much.
func (a *allowance) use(now, used time.Duration) bool {
	a.left = min(mostAtOnce, a.left+(now-a.at)/shareOfTime) - used
	a.at = now
	return a.left >= 0
}

// threadTime is how long the calling thread has had a processor.
func threadTime() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// status is the session.Priority: as the kernel has it, since RealtimeKit takes back what it gave when the machine hangs.
func (p *priority) status() session.Priority {
	g := p.grant
	if g.Kind != realtime.Ordinary {
		if kind, _, err := realtime.Of(p.thread); err == nil && kind != g.Kind {
			g = realtime.Grant{Kind: kind, Why: "it was " + string(g.Kind) + ", and somebody took that back"}
		}
	}
	return session.Priority{Kind: string(g.Kind), Level: g.Level, By: g.By, Why: g.Why, Advice: g.Advice}
}
