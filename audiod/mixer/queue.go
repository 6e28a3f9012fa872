package mixer

// queue holds a sink input's bytes between the socket and the mixer: a ring in the client's own format, with PulseAudio's
// indexes and accounting (pulsecore/memblockq.c).
//
//	read ──────────► write ► … end
//	 next to play    next     one past the last byte written; seeking back puts write before it, seeking ahead leaves a hole
//
// The ring is as large as tlength asks and grows towards maxlength only for a client that writes ahead of what it was asked for.
type queue struct {
	ring    []byte
	base    int  // bytes of one frame
	silence byte // fills holes

	read, write, end int64 // bytes since the stream began

	budget   *Budget // pays for the ring; nil: without limit
	attr     BufferAttr
	missing  int64 // bytes to ask the client for; tlength = missing + asked for + queued
	least    int64 // missing bytes that are worth asking for
	inPrebuf bool  // waits for prebuf bytes before it plays (on)
}

// newQueue makes a queue whose indexes begin at start, or returns ErrBudget.
func newQueue(attr BufferAttr, mode LatencyMode, base int, silence byte, start int64, budget *Budget) (*queue, error) {
	q := &queue{base: base, silence: silence, read: start, write: start, end: start, budget: budget, attr: attr, missing: int64(attr.TLength), least: attr.least(mode), inPrebuf: attr.Prebuf > 0}
	size := min(int(attr.TLength)+int(attr.MinReq), int(attr.MaxLength))
	size = (size + base - 1) / base * base
	if !q.pay(size) {
		return nil, ErrBudget
	}
	q.ring = make([]byte, size)
	return q, nil
}

// pay takes n bytes of the budget, or reports false.
func (q *queue) pay(n int) bool { return q.budget == nil || q.budget.Take(n) }

// free lets the ring go.
func (q *queue) free() {
	if q.budget != nil {
		q.budget.Give(len(q.ring))
	}
	q.ring = nil
}

// length is what counts as queued; the bytes between a write index that went back and end are not.
func (q *queue) length() int64 { return max(0, q.write-q.read) }

// readable reports whether the stream can play now: false while it prebuffers or, unless prebuf is 0, has run empty.
func (q *queue) readable() bool {
	if q.inPrebuf {
		return q.length() >= int64(q.attr.Prebuf)
	}
	return q.attr.Prebuf == 0 || q.length() >= int64(q.base)
}

// popMissing is the number of bytes to ask the client for now, 0 when it is not worth a message yet. They count as asked for. Who is late, so that
// less than a minreq is left, is asked for all there is to ask for.
func (q *queue) popMissing() int {
	if q.missing <= 0 || q.missing < q.least && !q.prebuffering() && q.length() >= int64(q.attr.MinReq) {
		return 0
	}
	n := int(q.missing)
	q.missing = 0
	return n
}

func (q *queue) prebuffering() bool { return q.inPrebuf && q.length() < int64(q.attr.Prebuf) }

// push writes p at the write index and reports whether all of it found room. What does not is dropped, and the index advances
// over it, so that what follows keeps its place in time.
func (q *queue) push(p []byte) (fits bool) {
	at := q.write
	q.write += int64(len(p))
	if late := q.read - at; late > 0 { // its time has passed
		if late >= int64(len(p)) {
			return true
		}
		p, at = p[late:], q.read
	}
	q.end = max(q.end, q.read)
	ahead, limit := at-q.read, int64(q.attr.MaxLength)
	if ahead >= limit {
		return false
	}
	room := min(limit, int64(q.reserve(int(min(ahead+int64(len(p)), limit))))) - ahead
	if room <= 0 { // the budget is spent
		return false
	}
	fits = int64(len(p)) <= room
	if !fits {
		p = p[:room]
	}
	if at > q.end {
		q.fill(q.end, int(at-q.end))
	}
	i := int(at % int64(len(q.ring)))
	n := copy(q.ring[i:], p)
	copy(q.ring, p[n:])
	q.end = max(q.end, at+int64(len(p)))
	return fits
}

// fill writes n bytes of silence from index at on.
func (q *queue) fill(at int64, n int) {
	i := int(at % int64(len(q.ring)))
	for n > 0 {
		part := q.ring[i:min(len(q.ring), i+n)]
		for j := range part {
			part[j] = q.silence
		}
		n, i = n-len(part), 0
	}
}

// reserve grows the ring to hold n bytes after the read index, as far as the budget allows, and returns what it holds; n is at most
// maxlength and a frame.
func (q *queue) reserve(n int) int {
	if n <= len(q.ring) {
		return len(q.ring)
	}
	size := min(max(n, 2*len(q.ring)), max(n, int(q.attr.MaxLength)))
	size = (size + q.base - 1) / q.base * q.base
	if !q.pay(size - len(q.ring)) {
		return len(q.ring)
	}
	ring := make([]byte, size)
	for at := q.read; at < q.end; {
		from, to := q.ring[at%int64(len(q.ring)):], ring[at%int64(size):]
		n := copy(to[:min(int64(len(to)), q.end-at)], from)
		at += int64(n)
	}
	q.ring = ring
	return size
}

// peek is the next bytes to play, whole frames, at most n of them, and less where the ring wraps; empty when there is none.
func (q *queue) peek(n int) []byte {
	if q.attr.Prebuf > 0 && q.write <= q.read {
		return nil
	}
	i := int(q.read % int64(len(q.ring)))
	n = min(n, int(max(0, q.end-q.read)), len(q.ring)-i)
	return q.ring[i : i+n/q.base*q.base]
}

// drop advances the read index by n bytes, played or passed over.
func (q *queue) drop(n int) {
	q.read += int64(n)
	q.missing += int64(n)
}

// Seek modes of the protocol (pa_seek_mode_t).
const (
	SeekRelative = iota
	SeekAbsolute
	SeekRelativeOnRead
	SeekRelativeEnd
)

// seek moves the write index. Where it would leave the part of time that the queue can hold by more than maxlength it stops there:
// what is written then is dropped just the same, and no index can overflow.
func (q *queue) seek(offset int64, mode int) {
	before := q.write
	from := q.write
	switch mode {
	case SeekAbsolute:
		from = 0
	case SeekRelativeOnRead:
		from = q.read
	case SeekRelativeEnd:
		from = max(q.end, q.read)
	}
	const far = int64(1) << 62
	target := from + min(max(offset, -far), far)
	limit := int64(q.attr.MaxLength)
	q.write = min(max(target, q.read-limit), q.read+limit)
	q.write -= (q.write - q.read) % int64(q.base)
	if mode != SeekRelative { // clients cannot account for the other modes, so what was asked for is reckoned anew
		q.missing -= q.write - before
	}
}

// flush drops what is queued, and asks for it again.
func (q *queue) flush() {
	q.missing += q.write - q.read
	q.write, q.end = q.read, q.read
	q.forcePrebuf()
}

func (q *queue) forcePrebuf() { q.inPrebuf = q.attr.Prebuf > 0 }

// setAttr applies new attributes to a live queue.
func (q *queue) setAttr(attr BufferAttr, mode LatencyMode) {
	q.least = attr.least(mode)
	q.missing += int64(attr.TLength) - int64(q.attr.TLength)
	q.attr = attr
	if attr.Prebuf == 0 {
		q.inPrebuf = false
	}
}
