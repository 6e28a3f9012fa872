package mixer

import (
	"time"

	"sandbox-audio/audiod/pcm"
)

// RecordAttr is a record stream's buffer attributes, in bytes of its own format (the two of pa_buffer_attr that count for recording).
type RecordAttr struct {
	MaxLength uint32 // most bytes kept for a client that does not read; then it loses the oldest
	FragSize  uint32 // most bytes sent at a time
}

const defaultFragment = 2 * time.Second

// fix turns what a client asked for into what it gets, as PulseAudio's fix_record_buffer_attr_pre and _post do. latency is how much the source gathers before it hands it on, as granted; grant is asked once, with the wish.
func (a RecordAttr) fix(spec pcm.Spec, mode LatencyMode, grant func(wish time.Duration) time.Duration) (_ RecordAttr, latency time.Duration) {
	frame := uint32(spec.FrameSize())
	a.MaxLength = max(frame, min(a.MaxLength, maxQueue)/frame*frame)
	if a.FragSize == Whatever {
		a.FragSize = uint32(min(spec.Bytes(defaultFragment), maxQueue))
	}
	a.FragSize = max(frame, a.FragSize)

	wanted := spec.Duration(int64(a.FragSize))
	fragment := wanted
	switch mode {
	case EarlyRequests: // as a card whose fragments are handed through
		latency = grant(wanted)
		fragment = latency
	case AdjustLatency: // half the way is spent in the device and half in the client's queue
		latency = grant(wanted / 2)
		if fragment >= 2*latency {
			fragment -= latency
		} else {
			fragment = latency
		}
	default:
		latency = grant(wanted)
	}
	if fragment != wanted {
		a.FragSize = uint32(spec.Bytes(fragment))
	}
	a.FragSize = min(max(frame, a.FragSize/frame*frame), a.MaxLength)
	return a, latency
}
