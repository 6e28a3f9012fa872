package session

import (
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/policy"
)

// What one user may have at a time; README has them in one table with those of packages native and audiod. Past a limit the
// request is answered with an error and nothing else is touched: what the user has goes on, and so does everybody else.
const (
	maxStreams  = 64       // streams that play or record
	maxBuffered = 64 << 20 // bytes in the queues of his streams: 4 MiB each is the most that one may ask for
	ownersTimes = 8        // the owner's streams, and their bytes, are so many times those of a helper
	maxSamples  = 64       // in his cache
	maxSampled  = 2 << 20  // bytes of them all
	maxRequests = 4000     // requests at once, not counting the owner's; they come back at
	requestRate = 2000     // a second
	maxEvents   = 1024     // of subscriptions, that one client has not read
	maxDrains   = 16       // drains of one stream that wait for their answer
)

// streamsOf is how many streams a user may have, and the bytes of their queues.
func streamsOf(grant policy.Grant) (streams, bytes int) {
	if grant == policy.Owner {
		return ownersTimes * maxStreams, ownersTimes * maxBuffered
	}
	return maxStreams, maxBuffered
}

// What else costs a helper's budget of requests, so that nothing he can make the server do is free. Far more of it than any program does is needed
// to be noticed.
const (
	each       = time.Second / requestRate // how long one takes to come back
	aRead      = each / 8                  // taking from his connection what has come there
	aSound     = each / 32                 // a packet of sound
	anEvent    = each / 16                 // that one of his clients is told
	soundBytes = 256 << 10                 // of sound are a request
	replyBytes = 4 << 10                   // of an answer are one more
	connecting = 8                         // requests
	resting    = maxRequests / 10          // requests that come back before he is listened to again
)

// bucket holds the requests a user may make just now.
type bucket struct {
	filled time.Duration // when it was full, or will be
}

// take takes n requests, and reports whether there was one. Where there was none, having asked counts.
func (b *bucket) take(clock loop.Clock, n int) bool {
	if b.empty(clock) > 0 {
		b.spend(clock, each)
		return false
	}
	b.spend(clock, time.Duration(n)*each)
	return true
}

func (b *bucket) spend(clock loop.Clock, much time.Duration) {
	b.filled = max(b.filled, clock.Now()) + much
}

// empty is how long it will have not one request in it.
func (b *bucket) empty(clock loop.Clock) time.Duration {
	return max(0, b.filled-clock.Now()-(maxRequests-1)*each)
}

// spend has the client's user pay for what is not a request; the owner does not.
func (c *Session) spend(much time.Duration) {
	if c.grant != policy.Owner {
		c.user.requests.spend(c.server.clock, much)
	}
}

// Rest is asked before the client is read from. 0 means that it may be; else its user has spent more than he may, and all his connections are left alone
// for so long: the answer to one who sends without end is not as many errors.
func (c *Session) Rest() time.Duration {
	if c.grant == policy.Owner {
		return 0
	}
	if wait := c.user.requests.empty(c.server.clock); wait > 0 {
		return wait + resting*each
	}
	c.spend(aRead)
	return 0
}
