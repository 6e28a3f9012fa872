package native

import (
	"fmt"
	"time"
)

// Timeval is an instant as seconds and microseconds since 1970. Clients measure the way to the server with it: a latency reply
// echoes the client's and adds the server's, both of CLOCK_REALTIME.
type Timeval struct{ Sec, Usec uint32 }

// TimevalOf is t on the wire.
func TimevalOf(t time.Time) Timeval {
	return Timeval{Sec: uint32(t.Unix()), Usec: uint32(t.Nanosecond() / 1000)}
}

// Volume is loudness as PulseAudio counts it: VolumeNorm is 100 %, the gain is the cube of the fraction (pulse/volume.c).
type Volume uint32

const (
	VolumeMuted   Volume = 0
	VolumeNorm    Volume = 0x10000
	VolumeMax     Volume = 0x7FFFFFFF // above it no volume is valid
	VolumeInvalid Volume = 0xFFFFFFFF
)

// CVolume is a volume for each channel.
type CVolume []Volume

// NormVolume is 100 % on n channels.
func NormVolume(n int) CVolume {
	v := make(CVolume, n)
	for i := range v {
		v[i] = VolumeNorm
	}
	return v
}

// Check tells what is wrong with v as the volume of a stream or device of channels channels; one volume fits any number.
func (v CVolume) Check(channels int) error {
	if len(v) == 0 || len(v) != 1 && len(v) != channels {
		return fmt.Errorf("%d volumes for %d channels: %w", len(v), channels, ErrInvalid)
	}
	for _, x := range v {
		if x > VolumeMax {
			return fmt.Errorf("volume %#x is above the protocol's highest: %w", uint32(x), ErrInvalid)
		}
	}
	return nil
}

// BufferAttr is a playback stream's buffer metrics in bytes of the client's format; Invalid lets the server choose.
type BufferAttr struct {
	MaxLength uint32 // what the queue holds at most
	TLength   uint32 // how full the server tries to keep it
	Prebuf    uint32 // how full it must be before playback begins; 0: begin at once
	MinReq    uint32 // the least that is asked for at a time
}

func (a *BufferAttr) fields(c *Coder) {
	c.U32(&a.MaxLength)
	c.U32(&a.TLength)
	c.U32(&a.Prebuf)
	c.U32(&a.MinReq)
}

// RecordAttr is a record stream's buffer metrics in bytes of the client's format; Invalid lets the server choose.
type RecordAttr struct {
	MaxLength uint32
	FragSize  uint32 // how much is sent at a time
}

func (a *RecordAttr) fields(c *Coder) {
	c.U32(&a.MaxLength)
	c.U32(&a.FragSize)
}
