package policy

import (
	"fmt"
	"time"
)

// Refused is one refused connection, as status shows it.
type Refused struct {
	Time      time.Time
	UID       uint32 // NoID when it could not be told
	Transport Transport
	Reason    Reason
}

// Refusals counts refused connections, keeps the newest and logs them so that a flood cannot fill the log: of each kind (same user,
// transport and reason) the first three, then the 10th, the 100th and so on with the number left out; a quiet minute starts anew.
// Connections that are closed for what their clients did are logged likewise. It belongs to the loop and has no lock.
type Refusals struct {
	log    func(format string, args ...any)
	total  uint64
	newest [64]Refused // a ring, total%64 is next
	kinds  map[Refused]*run
}

// run is a series of refusals of one kind.
type run struct {
	n, logged uint64
	last      time.Time
}

// maxKinds bounds what is remembered of users who change their number (a user namespace has 65536 of them).
const maxKinds = 256

// NewRefusals makes an empty record that writes its lines with log.
func NewRefusals(log func(format string, args ...any)) *Refusals {
	return &Refusals{log: log, kinds: map[Refused]*run{}}
}

// Add records err, which Admit or Recheck returned at the given time.
func (r *Refusals) Add(now time.Time, err *Refusal) {
	kind := Refused{UID: err.Peer.UID, Transport: err.Peer.Transport, Reason: err.Reason}
	entry := kind
	entry.Time = now
	r.newest[r.total%uint64(len(r.newest))] = entry
	r.total++

	r.say(kind, now, err, &Refusal{Peer: Peer{UID: kind.UID, Transport: kind.Transport}, Reason: kind.Reason})
}

// Fault logs why the connection of an admitted peer was closed, as sparingly: who may connect may do so over and over. It is no refusal.
func (r *Refusals) Fault(now time.Time, peer Peer, why error) {
	kind := Refused{UID: peer.UID, Transport: peer.Transport, Reason: atFault}
	r.say(kind, now, fmt.Errorf("closed the connection of %v: %w", peer, why),
		fmt.Errorf("closed connections of %v", Peer{UID: kind.UID, Transport: kind.Transport}))
}

// atFault is the kind of those that Fault logs.
const atFault Reason = "at fault"

// say logs one of a kind, or counts it; all stands for those that were counted.
func (r *Refusals) say(kind Refused, now time.Time, one, all error) {
	k := r.run(kind, now)
	if k.n > 0 && now.Sub(k.last) > time.Minute {
		if more := k.n - k.logged; more > 0 {
			r.log("%v: %d more", all, more)
		}
		*k = run{}
	}
	k.n++
	k.last = now
	if k.n <= 3 {
		k.logged = k.n
		r.log("%v", one)
	} else if powerOfTen(k.n) {
		r.log("%v, and %d more since the last line", one, k.n-k.logged-1)
		k.logged = k.n
	}
}

// run finds the series of a kind. When there are too many, the ones that ended go, and if none has, the newcomer shares one with its like.
func (r *Refusals) run(kind Refused, now time.Time) *run {
	if r.kinds[kind] == nil && len(r.kinds) >= maxKinds {
		for other, k := range r.kinds {
			if now.Sub(k.last) > time.Minute {
				delete(r.kinds, other)
			}
		}
		if len(r.kinds) >= maxKinds {
			kind = Refused{UID: NoID, Transport: kind.Transport, Reason: kind.Reason}
		}
	}
	k := r.kinds[kind]
	if k == nil {
		k = new(run)
		r.kinds[kind] = k
	}
	return k
}

func powerOfTen(n uint64) bool {
	for n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// Total is the number of connections refused since the start.
func (r *Refusals) Total() uint64 { return r.total }

// Newest lists up to 64 refused connections, the newest first.
func (r *Refusals) Newest() []Refused {
	n := min(r.total, uint64(len(r.newest)))
	list := make([]Refused, 0, n)
	for i := range n {
		list = append(list, r.newest[(r.total-1-i)%uint64(len(r.newest))])
	}
	return list
}
