package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/pcm"
)

// wavSource is a microphone that hears a file: 16-bit or float PCM of one or two channels at any rate, round and round in real time, from its
// beginning at each Open.
type wavSource struct {
	ticking
	path  string
	file  *os.File
	spec  pcm.Spec
	begin int64 // of the samples in the file…
	size  int64 // …and how many bytes they are, whole frames
	at    int64 // where among them to read on
	bytes [8 << 10]byte
}

// leastWav is how long a file must be to be played round and round without a system call for every few frames.
const leastWav = 100 * time.Millisecond

func (d *wavSource) Name() string        { return "wav:" + d.path }
func (d *wavSource) Description() string { return "WAV file " + filepath.Base(d.path) }

func (d *wavSource) Open() (Config, error) {
	if !d.open {
		if err := d.openFile(); err != nil {
			return Config{}, fmt.Errorf("open %s: %w", d.path, err)
		}
	}
	return d.start(int(d.spec.Rate), pcm.DefaultMap(int(d.spec.Channels)), d.spec.Format)
}

func (d *wavSource) openFile() error {
	file, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO is not waited for, but refused
	if err != nil {
		return errors.Unwrap(err)
	}
	if info, e := file.Stat(); e != nil || !info.Mode().IsRegular() {
		err = errors.Join(e, errors.New("not a regular file"))
	} else {
		err = d.parse(io.NewSectionReader(file, 0, info.Size()))
	}
	if err != nil {
		file.Close()
		return err
	}
	d.file, d.at = file, 0
	return nil
}

// parse finds format and samples in a RIFF file ("Multimedia Programming Interface and Data Specifications 1.0", 1991; WAVE_FORMAT_EXTENSIBLE
// has the format's number again in its sub-format).
func (d *wavSource) parse(file *io.SectionReader) error {
	var head [12]byte
	if _, err := file.ReadAt(head[:], 0); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return errors.New("not a WAV file")
	}
	d.spec = pcm.Spec{Format: pcm.FormatInvalid}
	for at := int64(len(head)); ; {
		var chunk [8]byte
		if _, err := file.ReadAt(chunk[:], at); err != nil {
			return errors.New("a WAV file without samples")
		}
		at += int64(len(chunk))
		size := int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch string(chunk[:4]) {
		case "fmt ":
			var f [26]byte
			if n, _ := file.ReadAt(f[:min(size, int64(len(f)))], at); n < 16 {
				return errors.New("a WAV file without a format")
			}
			d.spec = wavSpec(f)
		case "data":
			if err := d.spec.Check(); err != nil || d.spec.Channels > 2 {
				return errors.New("the samples are not 16-bit or 32-bit float PCM of one or two channels; convert it: ffmpeg -i FILE -ac 1 -c:a pcm_s16le OTHER.wav")
			}
			frame := int64(d.spec.FrameSize())
			d.begin, d.size = at, min(size, file.Size()-at)/frame*frame
			if d.spec.Duration(d.size) < leastWav {
				return fmt.Errorf("it holds less than %v of sound", leastWav)
			}
			return nil
		}
		at += size + size%2
	}
}

func wavSpec(f [26]byte) pcm.Spec {
	const integer, float, extensible = 1, 3, 0xFFFE
	kind, bits := binary.LittleEndian.Uint16(f[0:]), binary.LittleEndian.Uint16(f[14:])
	if kind == extensible {
		kind = binary.LittleEndian.Uint16(f[24:])
	}
	s := pcm.Spec{Format: pcm.FormatInvalid, Channels: uint8(min(binary.LittleEndian.Uint16(f[2:]), 255)), Rate: binary.LittleEndian.Uint32(f[4:])}
	switch {
	case kind == integer && bits == 16:
		s.Format = pcm.S16LE
	case kind == float && bits == 32:
		s.Format = pcm.Float32LE
	}
	return s
}

func (d *wavSource) Read(frames []float32) (int, error) {
	if !d.open {
		return 0, errClosed
	}
	n, err := d.due(len(frames) / int(d.spec.Channels))
	for rest := frames[:n*int(d.spec.Channels)]; len(rest) > 0; {
		b := d.bytes[:min(len(rest)*d.spec.Format.Size(), len(d.bytes), int(d.size-d.at))]
		if _, err := d.file.ReadAt(b, d.begin+d.at); err != nil {
			return 0, fmt.Errorf("read %s: %w: %w", d.path, ErrGone, err)
		}
		k := len(b) / d.spec.Format.Size()
		pcm.Decode(rest[:k], b, d.spec.Format)
		rest = rest[k:]
		d.at = (d.at + int64(len(b))) % d.size
	}
	return n, err
}

func (d *wavSource) Close() error {
	if !d.open {
		return nil
	}
	d.ticking.Close()
	return d.file.Close()
}
