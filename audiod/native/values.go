package native

import (
	"encoding/binary"
	"fmt"
	"time"

	"sandbox-audio/audiod/pcm"
)

// Timeval is an instant as seconds and microseconds since 1970. Clients measure the way to the server with it: a latency reply
// echoes the client's and adds the server's, both of CLOCK_REALTIME.
type Timeval struct{ Sec, Usec uint32 }

// TimevalOf is t on the wire.
func TimevalOf(t time.Time) Timeval {
	return Timeval{Sec: uint32(t.Unix()), Usec: uint32(t.Nanosecond() / 1000)}
}

// CVolume is a volume for each channel.
type CVolume []pcm.Volume

// NormVolume is 100 % on n channels.
func NormVolume(n int) CVolume {
	v := make(CVolume, n)
	for i := range v {
		v[i] = pcm.VolumeNorm
	}
	return v
}

// Check tells what is wrong with v as the volume of a stream or device of channels channels; one volume fits any number.
func (v CVolume) Check(channels int) error {
	if len(v) == 0 || len(v) != 1 && len(v) != channels {
		return fmt.Errorf("%d volumes for %d channels: %w", len(v), channels, ErrInvalid)
	}
	for _, x := range v {
		if !x.Valid() {
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

// Timeval codes an instant.
func (c *Coder) Timeval(p *Timeval) {
	u := uint64(p.Sec)<<32 | uint64(p.Usec)
	c.long(tagTimeval, &u, "time")
	p.Sec, p.Usec = uint32(u>>32), uint32(u)
}

// Spec codes a sample spec without judging it: the format API sends format 0xFF, no channels and rate 0. See pcm.Spec.Check.
func (c *Coder) Spec(p *pcm.Spec) {
	if b := c.value(tagSpec, 6, "sample spec"); b != nil {
		*p = pcm.Spec{Format: pcm.Format(b[0]), Channels: b[1], Rate: binary.BigEndian.Uint32(b[2:])}
	} else if c.writing && c.err == nil {
		c.buf = binary.BigEndian.AppendUint32(append(c.buf, byte(p.Format), p.Channels), p.Rate)
	}
}

// Map codes a channel map of up to MaxChannels positions without judging them. See pcm.ChannelMap.Check.
func (c *Coder) Map(p *pcm.ChannelMap) {
	n := c.channels(tagMap, len(*p), "channel map")
	if c.writing && c.err == nil {
		for _, position := range *p {
			c.buf = append(c.buf, byte(position))
		}
	} else if b := c.take(n, "channel map"); b != nil {
		m := make(pcm.ChannelMap, n)
		for i := range m {
			m[i] = pcm.Position(b[i])
		}
		*p = m
	}
}

// CVolume codes a volume for each of up to MaxChannels channels, none included. See CVolume.Check.
func (c *Coder) CVolume(p *CVolume) {
	n := c.channels(tagCVolume, len(*p), "volumes")
	if c.writing && c.err == nil {
		for _, v := range *p {
			c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v))
		}
	} else if b := c.take(4*n, "volumes"); b != nil {
		v := make(CVolume, n)
		for i := range v {
			v[i] = pcm.Volume(binary.BigEndian.Uint32(b[4*i:]))
		}
		*p = v
	}
}

// channels codes tag and the number of channels that follow it.
func (c *Coder) channels(tag byte, n int, what string) int {
	if b := c.value(tag, 1, what); b != nil {
		n = int(b[0])
	}
	if c.err == nil && n > MaxChannels {
		c.fail(ErrProtocol, "%s of %d channels, %d are allowed", what, n, MaxChannels)
	}
	if c.writing && c.err == nil {
		c.buf = append(c.buf, byte(n))
	}
	return n
}

// Volume codes one volume.
func (c *Coder) Volume(p *pcm.Volume) { c.word(tagVolume, (*uint32)(p), "volume") }
