package mixer

import (
	"time"

	"sandbox-audio/audiod/pcm"
)

// BufferAttr is a playback stream's buffer attributes, in bytes of its own format (pa_buffer_attr).
type BufferAttr struct {
	MaxLength uint32 // most bytes queued; more overflow
	TLength   uint32 // bytes the server tries to keep queued
	Prebuf    uint32 // bytes that must be queued before playback starts
	MinReq    uint32 // least bytes worth asking for
}

// Whatever stands for "what the server likes" in a requested attribute.
const Whatever = 0xFFFFFFFF

const (
	maxQueue       = 4 << 20 // bytes; PulseAudio's MAX_MEMBLOCKQ_LENGTH
	defaultTLength = 2 * time.Second
	defaultMinReq  = 20 * time.Millisecond
	mostHeldBack   = 64 << 10 // bytes; a request no larger is answered into one read
)

// LatencyMode is what a client meant by tlength.
type LatencyMode uint8

const (
	Traditional   LatencyMode = iota // tlength is the queue alone
	AdjustLatency                    // tlength is the whole way to the ear
	EarlyRequests                    // the device runs at minreq, so that requests come as often
)

// fix turns what a client asked for into what it gets, as PulseAudio does: its fix_playback_buffer_attr, and then what its queue makes of
// that (pa_memblockq_new). latency is the device latency that was granted; grant is asked once, with the wish. Where it is to be adjusted and
// minreq is small, PulseAudio keeps two minreqs for the queue beyond what the device takes at once; here one is enough, since the device
// takes less from who is late (Sink.room), and so wakes up less often for the same way to the ear.
func (a BufferAttr) fix(spec pcm.Spec, mode LatencyMode, grant func(wish time.Duration) time.Duration) (_ BufferAttr, latency time.Duration) {
	frame := uint32(spec.FrameSize())
	if a.MaxLength == 0 {
		a.MaxLength = frame
	}
	a.MaxLength = min(a.MaxLength, maxQueue)
	if a.TLength == Whatever {
		a.TLength = bytesUp(spec, defaultTLength)
	}
	if a.TLength == 0 {
		a.TLength = frame
	}
	a.TLength = min(a.TLength, a.MaxLength)
	if a.MinReq == Whatever {
		a.MinReq = min(bytesUp(spec, defaultMinReq), a.TLength/4/frame*frame)
	}
	if a.MinReq == 0 {
		a.MinReq = frame
	}
	a.MinReq = min(a.MinReq, maxQueue)
	a.TLength = max(a.TLength, a.MinReq+frame)

	tlength, minreq := usec(spec, a.TLength), usec(spec, a.MinReq)
	wish := max(0, tlength-2*minreq)
	switch mode {
	case EarlyRequests:
		wish = minreq
	case AdjustLatency:
		wish /= 2
		if tlength >= 3*minreq {
			wish = (tlength - minreq) / 2
		}
	}
	latency = grant(wish)

	wanted := tlength
	if mode == AdjustLatency && tlength >= latency {
		tlength -= latency
	}
	if mode == EarlyRequests || latency > wish {
		tlength = max(tlength, latency+2*minreq)
	}
	if bytesUp(spec, tlength) != bytesUp(spec, wanted) {
		a.TLength = bytesUp(spec, tlength)
	}
	a.Prebuf = min(a.Prebuf, a.TLength+frame-a.MinReq)

	a.MaxLength = max(roundUp(a.MaxLength, frame), frame)
	a.TLength = min(roundUp(a.TLength, frame), a.MaxLength)
	a.MinReq = max(min(a.MinReq/frame*frame, a.TLength), frame)
	a.Prebuf = min(roundUp(a.Prebuf, frame), a.TLength+frame-a.MinReq)
	return a, latency
}

// least is how many bytes are worth asking for: minreq or, of a long buffer, a quarter. A player with two seconds queued need not be woken
// in every cycle, and is not by PulseAudio, whose device is then written that far ahead. Early requests come as often as they were wanted.
func (a BufferAttr) least(mode LatencyMode) int64 {
	if mode == EarlyRequests {
		return int64(a.MinReq)
	}
	return max(int64(a.MinReq), min(int64(a.TLength/4), mostHeldBack))
}

func roundUp(n, frame uint32) uint32 { return (n + frame - 1) / frame * frame }

// usec is pa_bytes_to_usec.
func usec(spec pcm.Spec, bytes uint32) time.Duration {
	return time.Duration(int64(bytes)/int64(spec.FrameSize())*1e6/int64(spec.Rate)) * time.Microsecond
}

// bytesUp is pa_usec_to_bytes_round_up.
func bytesUp(spec pcm.Spec, d time.Duration) uint32 {
	frames := (int64(d/time.Microsecond)*int64(spec.Rate) + 1e6 - 1) / 1e6
	return uint32(min(frames*int64(spec.FrameSize()), maxQueue))
}
