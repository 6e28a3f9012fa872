package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/pcm"
)

// wav writes what is played to a file: 48 kHz, stereo, 16 bit, in real time. Every frame taken goes to the file at once, samples first and then
// the sizes in the header, so that a reader finds a valid file at any moment. It is a plain file write into the page cache, no more.
//
// Opening continues a file that is such a WAV already, so that neither an idle spell nor a restart of the daemon loses sound, and
// refuses a file that holds anything else. The file is for its owner only (0600): it may hold anyone's conversation. A symbolic link is
// not followed, or whoever may write to the folder could have any file of ours overwritten.
type wav struct {
	timed
	path   string
	fd     int
	size   int64 // bytes of samples in the file
	header [wavHeader]byte
	bytes  [timedBuffer * wavFrame]byte
}

const (
	wavHeader = 44
	wavFrame  = 4
	// The RIFF size is 32 bits and counts all but the first 8 bytes.
	wavMax = (1<<32 - 1 - (wavHeader - 8)) / wavFrame * wavFrame
)

func (d *wav) Name() string        { return "wav:" + d.path }
func (d *wav) Description() string { return "WAV file " + filepath.Base(d.path) }

func (d *wav) Open() (Config, error) {
	if d.open {
		return d.timed.Open()
	}
	if err := d.openFile(); err != nil {
		return Config{}, fmt.Errorf("open %s: %w", d.path, err)
	}
	c, err := d.timed.Open()
	c.Bits, c.Hardware = pcm.S16LE.Bits(), fmt.Sprintf("s16le 2ch %dHz", timedRate)
	return c, err
}

func (d *wav) openFile() error {
	// O_NONBLOCK, so that a FIFO is refused below and not waited for.
	fd, err := unix.Open(d.path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return errors.New("it is a symbolic link, which is not followed: name the file itself")
	}
	if err != nil {
		return err
	}
	if err := d.adopt(fd); err != nil {
		unix.Close(fd)
		return err
	}
	d.fd = fd
	return nil
}

// adopt checks what fd is, finds its end and makes the header valid.
func (d *wav) adopt(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("not a regular file")
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("another process is writing it (see: fuser %s): %w", d.path, err)
	}
	d.size = 0
	d.setHeader()
	if st.Size > 0 {
		var found [wavHeader]byte
		n, err := unix.Pread(fd, found[:], 0)
		if err != nil {
			return err
		}
		size := int64(binary.LittleEndian.Uint32(found[40:]))
		copy(found[4:8], d.header[4:8])
		copy(found[40:44], d.header[40:44])
		if n < wavHeader || found != d.header {
			return fmt.Errorf("it exists and is not a %d Hz stereo 16-bit WAV file to continue: name another, or remove it", timedRate)
		}
		d.size = min(size, st.Size-wavHeader, wavMax) / wavFrame * wavFrame
	}
	return d.putHeader(fd)
}

// setHeader fills in the canonical 44 bytes of a PCM WAV file ("Multimedia Programming Interface and Data Specifications 1.0", 1991).
func (d *wav) setHeader() {
	h := append(d.header[:0], "RIFF....WAVEfmt "...)
	h = binary.LittleEndian.AppendUint32(h, 16) // bytes of fmt
	h = binary.LittleEndian.AppendUint16(h, 1)  // PCM
	h = binary.LittleEndian.AppendUint16(h, 2)  // channels
	h = binary.LittleEndian.AppendUint32(h, timedRate)
	h = binary.LittleEndian.AppendUint32(h, timedRate*wavFrame)
	h = binary.LittleEndian.AppendUint16(h, wavFrame)
	h = binary.LittleEndian.AppendUint16(h, 16) // bits
	copy(h[len(h):wavHeader], "data")
}

func (d *wav) putHeader(fd int) error {
	binary.LittleEndian.PutUint32(d.header[4:], uint32(wavHeader-8+d.size))
	binary.LittleEndian.PutUint32(d.header[40:], uint32(d.size))
	_, err := pwriteAll(fd, d.header[:], 0)
	return err
}

func (d *wav) Write(frames []float32) (int, error) {
	n, err := d.room(len(frames))
	if err != nil {
		return 0, err
	}
	if d.size == wavMax {
		return 0, fmt.Errorf("%s is 4 GiB long, the most a WAV file can be: %w", d.path, ErrGone)
	}
	n = int(min(int64(n), (wavMax-d.size)/wavFrame))
	for rest := frames[:n*2]; len(rest) > 0 && err == nil; {
		k := min(len(rest), len(d.bytes)/2)
		pcm.Encode(d.bytes[:k*2], rest[:k], pcm.S16LE)
		k, err = pwriteAll(d.fd, d.bytes[:k*2], wavHeader+d.size)
		d.size += int64(k / wavFrame * wavFrame)
		rest = rest[k/2:]
	}
	if e := d.putHeader(d.fd); err == nil {
		err = e
	}
	if err != nil {
		return 0, fmt.Errorf("write %s: %w: %w", d.path, ErrGone, err)
	}
	d.took(n)
	return n, nil
}

func (d *wav) Close() error {
	if !d.open {
		return nil
	}
	d.timed.Close()
	return unix.Close(d.fd)
}

// pwriteAll writes b at off, and returns how much of it when there is an error.
func pwriteAll(fd int, b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pwrite(fd, b[done:], off+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}
