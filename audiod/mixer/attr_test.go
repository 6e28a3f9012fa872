package mixer

import (
	"math/rand/v2"
	"testing"
	"time"

	"sandbox-audio/audiod/pcm"
)

// pulseAttr is what PulseAudio's fix_playback_buffer_attr and pa_memblockq_new compute, step by step, in its own units: microseconds and bytes.
// Only the share of the device, where it is adjusted and minreq is small, is ours.
func pulseAttr(a BufferAttr, spec pcm.Spec, mode LatencyMode, grant func(usec int64) int64) BufferAttr {
	frame, rate := int64(spec.FrameSize()), int64(spec.Rate)
	toUsec := func(bytes int64) int64 { return bytes / frame * 1e6 / rate }
	toBytes := func(usec int64) int64 { return (usec*rate + 1e6 - 1) / 1e6 * frame }
	up := func(n int64) int64 { return (n + frame - 1) / frame * frame }

	maxlength, tlength, prebuf, minreq := int64(a.MaxLength), int64(a.TLength), int64(a.Prebuf), int64(a.MinReq)
	if maxlength == Whatever || maxlength > 4<<20 {
		maxlength = 4 << 20
	}
	if maxlength <= 0 {
		maxlength = frame
	}
	if tlength == Whatever {
		tlength = toBytes(2e6)
	}
	if tlength <= 0 {
		tlength = frame
	}
	tlength = min(tlength, maxlength)
	if minreq == Whatever {
		minreq = min(toBytes(20e3), tlength/4-tlength/4%frame)
	}
	if minreq <= 0 {
		minreq = frame
	}
	if tlength < minreq+frame {
		tlength = minreq + frame
	}
	original, minreqUsec := toUsec(tlength), toUsec(minreq)
	usec, sink := original, int64(0)
	switch {
	case mode == EarlyRequests:
		sink = minreqUsec
	case usec >= 3*minreqUsec && mode == AdjustLatency:
		sink = (usec - minreqUsec) / 2
	case usec > 2*minreqUsec && mode == AdjustLatency:
		sink = (usec - 2*minreqUsec) / 2
	case usec > 2*minreqUsec:
		sink = usec - 2*minreqUsec
	}
	configured := grant(sink)
	if mode == AdjustLatency && usec >= configured {
		usec -= configured
	}
	if usec < configured+2*minreqUsec && (mode != AdjustLatency || configured > sink) {
		usec = configured + 2*minreqUsec
	}
	if toBytes(original) != toBytes(usec) {
		tlength = toBytes(usec)
	}
	if tlength <= minreq {
		tlength = 2*minreq + frame
	}
	if most := tlength + frame - minreq; prebuf == Whatever || prebuf > most {
		prebuf = most
	}
	// pa_memblockq_set_maxlength, _tlength, _minreq and _prebuf
	maxlength = max(up(maxlength), frame)
	tlength = min(up(tlength), maxlength)
	minreq = max(min(minreq/frame*frame, tlength), frame)
	prebuf = min(up(prebuf), tlength+frame-minreq)
	return BufferAttr{uint32(maxlength), uint32(tlength), uint32(prebuf), uint32(minreq)}
}

func TestAttributesArePulseAudios(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 5))
	pick := func(most int) uint32 {
		switch rnd.IntN(4) {
		case 0:
			return Whatever
		case 1:
			return uint32(rnd.IntN(200))
		}
		return uint32(rnd.IntN(most))
	}
	specs := []pcm.Spec{stereo16(48000), stereo16(44100), {Format: pcm.U8, Channels: 1, Rate: 8000}, {Format: pcm.S24LE, Channels: 6, Rate: 96000}, {Format: pcm.Float32LE, Channels: 8, Rate: 192000}}
	for range 200_000 {
		asked := BufferAttr{MaxLength: pick(5 << 20), TLength: pick(400_000), Prebuf: pick(400_000), MinReq: pick(40_000)}
		spec, mode := specs[rnd.IntN(len(specs))], LatencyMode(rnd.IntN(3))
		lowest, highest := int64(rnd.IntN(40_000)), int64(40_000+rnd.IntN(100_000))
		granted := func(usec int64) int64 { return min(max(usec, lowest), highest) }
		want := pulseAttr(asked, spec, mode, granted)
		got, latency := asked.fix(spec, mode, func(wish time.Duration) time.Duration {
			return time.Duration(granted(wish.Microseconds())) * time.Microsecond
		})
		if got != want {
			t.Fatalf("%v, mode %d, asked for %+v: %+v (latency %v), PulseAudio says %+v", spec, mode, asked, got, latency, want)
		}
	}
}
