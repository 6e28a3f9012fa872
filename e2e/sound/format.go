package sound

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"sync"
)

// Formats are the names, as pacat takes them, of the sample formats that Encode and Decode know.
var Formats = []string{"u8", "alaw", "ulaw", "s16le", "s16be", "s24le", "s24be", "s24-32le", "s24-32be", "s32le", "s32be", "float32le", "float32be"}

// codec is one sample format: its bytes, and from and to ±1.
type codec struct {
	size int
	put  func(b []byte, v float64)
	get  func(b []byte) float64
}

var codecs = map[string]codec{
	"u8":        {1, func(b []byte, v float64) { b[0] = byte(integer(v, 7) + 128) }, func(b []byte) float64 { return float64(int(b[0])-128) / 128 }},
	"alaw":      {1, func(b []byte, v float64) { b[0] = toALaw()[integer(v, 15)+1<<15] }, func(b []byte) float64 { return alaw(b[0]) }},
	"ulaw":      {1, func(b []byte, v float64) { b[0] = toULaw()[integer(v, 15)+1<<15] }, func(b []byte) float64 { return ulaw(b[0]) }},
	"s16le":     whole(2, 16, binary.LittleEndian),
	"s16be":     whole(2, 16, binary.BigEndian),
	"s24le":     whole(3, 24, binary.LittleEndian),
	"s24be":     whole(3, 24, binary.BigEndian),
	"s24-32le":  whole(4, 24, binary.LittleEndian),
	"s24-32be":  whole(4, 24, binary.BigEndian),
	"s32le":     whole(4, 32, binary.LittleEndian),
	"s32be":     whole(4, 32, binary.BigEndian),
	"float32le": floating(binary.LittleEndian),
	"float32be": floating(binary.BigEndian),
}

// integer is v in a signed whole number of bits+1 bits.
func integer(v float64, bits int) int64 {
	top := float64(int64(1) << bits)
	return int64(min(top-1, max(-top, math.Round(v*top))))
}

// whole is a signed whole number in the low bits of size bytes.
func whole(size, bits int, order binary.ByteOrder) codec {
	little := order == binary.ByteOrder(binary.LittleEndian)
	at := func(i int) int {
		if little {
			return i
		}
		return size - 1 - i
	}
	return codec{size, func(b []byte, v float64) {
		n := integer(v, bits-1)
		for i := range size {
			b[at(i)] = byte(n >> (8 * i))
		}
	}, func(b []byte) float64 {
		var n uint64
		for i := range size {
			n |= uint64(b[at(i)]) << (8 * i)
		}
		return float64(int64(n<<(64-bits))>>(64-bits)) / float64(int64(1)<<(bits-1))
	}}
}

func floating(order binary.ByteOrder) codec {
	return codec{4, func(b []byte, v float64) { order.PutUint32(b, math.Float32bits(float32(v))) },
		func(b []byte) float64 { return float64(math.Float32frombits(order.Uint32(b))) }}
}

// alaw is the value of a code of ITU-T G.711, A-law.
func alaw(code byte) float64 {
	code ^= 0x55
	segment, step := int(code>>4&7), int(code&15)
	v := step<<4 + 8
	if segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		v = -v
	}
	return float64(v) / 32768
}

// ulaw is the value of a code of ITU-T G.711, µ-law.
func ulaw(code byte) float64 {
	code = ^code
	v := (int(code&15)<<3+0x84)<<(code>>4&7) - 0x84
	if code&0x80 != 0 {
		v = -v
	}
	return float64(v) / 32768
}

// toALaw and toULaw are the codes closest to each value of 16 bits.
var (
	toALaw = sync.OnceValue(func() []byte { return nearest(alaw) })
	toULaw = sync.OnceValue(func() []byte { return nearest(ulaw) })
)

func nearest(value func(byte) float64) []byte {
	var values [256]float64
	for code := range values {
		values[code] = value(byte(code))
	}
	codes := make([]byte, 1<<16)
	for i := range codes {
		v, best := float64(i-1<<15)/(1<<15), 0
		for code := range values {
			if math.Abs(values[code]-v) < math.Abs(values[best]-v) {
				best = code
			}
		}
		codes[i] = byte(best)
	}
	return codes
}

// Encode is s interleaved, in one of Formats.
func (s Sound) Encode(format string) ([]byte, error) {
	c, ok := codecs[format]
	if !ok {
		return nil, fmt.Errorf("no sample format is called %q", format)
	}
	b := make([]byte, c.size*len(s.Ch)*s.Frames())
	for n, ch := range s.Ch {
		for i, v := range ch {
			c.put(b[c.size*(i*len(s.Ch)+n):][:c.size], v)
		}
	}
	return b, nil
}

// Decode is the sound of interleaved samples in one of Formats. What is left of a last frame is ignored.
func Decode(b []byte, format string, rate, channels int) (Sound, error) {
	c, ok := codecs[format]
	if !ok || channels < 1 || rate < 1 {
		return Sound{}, fmt.Errorf("%q with %d channels at %d Hz is no sample spec", format, channels, rate)
	}
	s := Sound{Rate: rate, Ch: make([][]float64, channels)}
	frames := len(b) / (c.size * channels)
	for n := range s.Ch {
		s.Ch[n] = make([]float64, frames)
		for i := range s.Ch[n] {
			s.Ch[n][i] = c.get(b[c.size*(i*channels+n):][:c.size])
		}
	}
	return s, nil
}

// ReadWAV reads a WAV file, also one that is still being written: sizes in its headers that reach beyond the file, or
// are not filled in yet, mean its end.
func ReadWAV(path string) (Sound, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Sound{}, err
	}
	s, err := parseWAV(b)
	if err != nil {
		return Sound{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func parseWAV(b []byte) (Sound, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return Sound{}, fmt.Errorf("not a WAV file (%d bytes)", len(b))
	}
	le := binary.LittleEndian
	var form []byte
	for b = b[12:]; len(b) >= 8; {
		id, size := string(b[:4]), int(le.Uint32(b[4:]))
		b = b[8:]
		if id == "data" {
			if size == 0 || size > len(b) {
				size = len(b)
			}
			if len(form) < 16 {
				return Sound{}, fmt.Errorf("sound before its format")
			}
			tag, bits := le.Uint16(form), le.Uint16(form[14:])
			if tag == 0xFFFE && len(form) >= 26 { // WAVE_FORMAT_EXTENSIBLE
				tag = le.Uint16(form[24:])
			}
			format, ok := map[[2]uint16]string{{1, 8}: "u8", {1, 16}: "s16le", {1, 24}: "s24le", {1, 32}: "s32le", {3, 32}: "float32le"}[[2]uint16{tag, bits}]
			if !ok {
				return Sound{}, fmt.Errorf("WAV format %d of %d bits is not read here", tag, bits)
			}
			return Decode(b[:size], format, int(le.Uint32(form[4:])), int(le.Uint16(form[2:])))
		}
		if size > len(b) {
			break
		}
		if id == "fmt " {
			form = b[:size]
		}
		b = b[min(len(b), size+size&1):]
	}
	return Sound{}, fmt.Errorf("no sound in it")
}

// WriteWAV writes s as a WAV file of 16 bits.
func (s Sound) WriteWAV(path string) error {
	data, err := s.Encode("s16le")
	if err != nil {
		return err
	}
	le, n := binary.LittleEndian, len(s.Ch)
	b := le.AppendUint32([]byte("RIFF"), uint32(36+len(data)))
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), uint16(n))
	b = le.AppendUint32(le.AppendUint32(b, uint32(s.Rate)), uint32(s.Rate*n*2))
	b = le.AppendUint16(le.AppendUint16(b, uint16(n*2)), 16)
	b = le.AppendUint32(append(b, "data"...), uint32(len(data)))
	return os.WriteFile(path, append(b, data...), 0o644)
}
