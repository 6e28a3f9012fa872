package mixer

import "sandbox-audio/audiod/pcm"

// backlog holds a source output's bytes between the mixer and the socket: a ring of whole frames in the client's own format.
//
//	read ────────► write
//	 next to send   next to come
//
// It grows for a client that does not read; at maxlength, or when the user's budget is spent, it loses its oldest frames.
type backlog struct {
	ring        []byte
	frame       int     // bytes of one
	max         int     // bytes, whole frames
	budget      *Budget // pays for the ring; nil: without limit
	read, write int64   // bytes since the stream began
}

func (b *backlog) length() int { return int(b.write - b.read) }

// push encodes whole frames onto the end.
func (b *backlog) push(src []float32, f pcm.Format) {
	size := f.Size()
	room := b.reserve(min(b.length()+len(src)*size, b.max))
	if skip := len(src)*size - room; skip > 0 {
		b.write += int64(skip)
		src = src[skip/size:]
	}
	b.read = max(b.read, b.write+int64(len(src)*size-room))
	for len(src) > 0 {
		at := int(b.write % int64(len(b.ring)))
		part := b.ring[at:min(len(b.ring), at+len(src)*size)]
		pcm.Encode(part, src[:len(part)/size], f)
		src = src[len(part)/size:]
		b.write += int64(len(part))
	}
}

// reserve grows the ring to hold n bytes, no more than max, as far as the budget allows. It returns how many may be held now.
func (b *backlog) reserve(n int) int {
	if n <= len(b.ring) {
		return min(b.max, len(b.ring))
	}
	size := min(b.max, (max(n, 2*len(b.ring))+b.frame-1)/b.frame*b.frame)
	if b.budget != nil && !b.budget.Take(size-len(b.ring)) {
		return len(b.ring)
	}
	ring := make([]byte, size)
	for at := b.read; at < b.write; {
		from, to := b.ring[at%int64(len(b.ring)):], ring[at%int64(size):]
		at += int64(copy(to[:min(int64(len(to)), b.write-at)], from))
	}
	b.ring = ring
	return size
}

// free lets the ring go.
func (b *backlog) free() {
	if b.budget != nil {
		b.budget.Give(len(b.ring))
	}
	b.ring = nil
}

// appendNext moves the oldest n bytes, which must be there, to the end of dst.
func (b *backlog) appendNext(dst []byte, n int) []byte {
	for n > 0 {
		at := int(b.read % int64(len(b.ring)))
		part := b.ring[at:min(len(b.ring), at+n)]
		dst = append(dst, part...)
		b.read += int64(len(part))
		n -= len(part)
	}
	return dst
}

func (b *backlog) flush() { b.read = b.write }

// limit sets how many bytes may wait. What is too much is lost now.
func (b *backlog) limit(most int) {
	b.max = most
	b.read = max(b.read, b.write-int64(most))
}
