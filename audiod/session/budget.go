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

// bucket holds the requests a user may make just now.
type bucket struct {
	filled time.Duration // when it was full, or will be
}

// take takes n, and reports whether there was one.
func (b *bucket) take(clock loop.Clock, n int) bool {
	const each = time.Second / requestRate
	now := clock.Now()
	b.filled = max(b.filled, now)
	if b.filled-now > (maxRequests-1)*each {
		return false
	}
	b.filled += time.Duration(n) * each
	return true
}
