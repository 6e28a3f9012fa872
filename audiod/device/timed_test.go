package device_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

func sink(t *testing.T, spec string, clock loop.Clock) device.Sink {
	t.Helper()
	s, err := device.New(spec, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNullConforms(t *testing.T) {
	clock := new(loop.Hand)
	devicetest.Conformance(t, devicetest.Bench{
		Make: func(t *testing.T) device.Sink { return sink(t, "null", clock) },
		Now:  clock.Now,
		Pass: clock.Advance,
	})
}

func TestWavConforms(t *testing.T) {
	clock := new(loop.Hand)
	devicetest.Conformance(t, devicetest.Bench{
		Make:  func(t *testing.T) device.Sink { return sink(t, "wav:"+filepath.Join(t.TempDir(), "a.wav"), clock) },
		Now:   clock.Now,
		Pass:  clock.Advance,
		Heard: func(t *testing.T, s device.Sink) []float32 { return readWav(t, wavPath(s)) },
		Grain: 1.0 / 32768,
		Vanish: func(t *testing.T, s device.Sink) {
			info, err := os.Stat(wavPath(s))
			if err != nil {
				t.Fatal(err)
			}
			limitFiles(t, uint64(info.Size())+10)
		},
	})
}

func wavPath(s device.Sink) string { return strings.TrimPrefix(s.Name(), "wav:") }

// limitFiles lets no file grow beyond n bytes until the test ends: the nearest thing to a full disk.
func limitFiles(t *testing.T, n uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_FSIZE, &old) })
}

// readWav decodes a WAV file by its header, and insists that the header is exactly right.
func readWav(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 44 {
		t.Fatal("no header in", len(b), "bytes")
	}
	want := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00\x80\xbb\x00\x00\x00\xee\x02\x00\x04\x00\x10\x00data\x00\x00\x00\x00")
	binary.LittleEndian.PutUint32(want[4:], uint32(len(b)-8))
	binary.LittleEndian.PutUint32(want[40:], uint32(len(b)-44))
	if !bytes.Equal(b[:44], want) {
		t.Fatalf("%d bytes with the header %q, want %q", len(b), b[:44], want)
	}
	s := make([]float32, (len(b)-44)/2)
	pcm.Decode(s, b[44:], pcm.S16LE)
	return s
}

func TestWavIsValidAfterEachWrite(t *testing.T) {
	clock := new(loop.Hand)
	s := sink(t, "wav:"+filepath.Join(t.TempDir(), "a.wav"), clock)
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		if got := len(readWav(t, wavPath(s))); got != i*2*480 {
			t.Fatal("after write", i, "samples", got)
		}
		clock.Advance(10 * time.Millisecond)
		if n, err := s.Write(make([]float32, 2*480)); n != 480 || err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestWavContinuesItsOwnAndRefusesOthers(t *testing.T) {
	clock := new(loop.Hand)
	dir := t.TempDir()
	path := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	play := func(p string) error {
		s := sink(t, "wav:"+p, clock)
		_, err := s.Open()
		if err == nil {
			_, err = s.Write([]float32{0.5, -0.5})
			s.Close()
		}
		return err
	}
	for range 3 {
		if err := play(filepath.Join(dir, "mine.wav")); err != nil {
			t.Fatal(err)
		}
	}
	if s := readWav(t, filepath.Join(dir, "mine.wav")); len(s) != 6 || s[4] != 0.5 || s[5] != -0.5 {
		t.Fatal("three openings left", s)
	}
	if info, _ := os.Stat(filepath.Join(dir, "mine.wav")); info.Mode() != 0o600 {
		t.Error("made with mode", info.Mode())
	}

	// A crash between samples and header leaves half a frame behind the header's end.
	b, _ := os.ReadFile(filepath.Join(dir, "mine.wav"))
	torn := path("torn.wav", string(b)+"\x01\x02")
	if err := play(torn); err != nil {
		t.Fatal(err)
	}
	if s := readWav(t, torn); len(s) != 8 || s[6] != 0.5 {
		t.Fatal("continued after a crash:", s)
	}
	// Or a header that promises more than there is.
	short := path("short.wav", string(b[:48]))
	if err := play(short); err != nil {
		t.Fatal(err)
	}
	if s := readWav(t, short); len(s) != 4 {
		t.Fatal("continued after a loss:", s)
	}
	if err := play(path("empty.wav", "")); err != nil {
		t.Error("an empty file:", err)
	}

	mono := bytes.Clone(b)
	mono[22] = 1
	os.Symlink(filepath.Join(dir, "mine.wav"), filepath.Join(dir, "link.wav"))
	unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)
	for _, p := range []string{path("letter.txt", "Dear Anna,"), path("mono.wav", string(mono)), filepath.Join(dir, "link.wav"), filepath.Join(dir, "fifo"), dir, "/dev/full", filepath.Join(dir, "none", "a.wav")} {
		if err := play(p); err == nil || errors.Is(err, device.ErrGone) {
			t.Errorf("%s was taken: %v", p, err)
		} else {
			t.Log(err)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "letter.txt")); string(b) != "Dear Anna," {
		t.Errorf("a refused file was changed to %q", b)
	}
}

func TestWavIsHeldByOne(t *testing.T) {
	clock := new(loop.Hand)
	p := "wav:" + filepath.Join(t.TempDir(), "a.wav")
	a, b := sink(t, p, clock), sink(t, p, clock)
	if _, err := a.Open(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(); err == nil {
		t.Fatal("two sinks write one file")
	}
	a.Close()
	if _, err := b.Open(); err != nil {
		t.Fatal(err)
	}
	b.Close()
}

func TestWavStopsAtItsLimits(t *testing.T) {
	clock := new(loop.Hand)
	path := filepath.Join(t.TempDir(), "a.wav")
	s := sink(t, "wav:"+path, clock)
	s.Open()
	s.Write(make([]float32, 2*100))
	s.Close()
	// All but 50 frames of 4 GiB; the file is sparse.
	const most = (1<<32 - 1 - 36) / 4 * 4
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt(binary.LittleEndian.AppendUint32(nil, most-200), 40)
	if err := f.Truncate(44 + most - 200); err != nil {
		t.Skip("the file system takes no file of 4 GiB: ", err)
	}
	defer f.Close()
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := s.Write(make([]float32, 2*100)); n != 50 || err != nil {
		t.Fatal("with room for 50 frames it took", n, err)
	}
	if n, err := s.Write(make([]float32, 2)); n != 0 || !errors.Is(err, device.ErrGone) {
		t.Fatal("when full it took", n, err)
	}
	var h [44]byte
	f.ReadAt(h[:], 0)
	if size, _ := f.Stat(); binary.LittleEndian.Uint32(h[40:]) != most || binary.LittleEndian.Uint32(h[4:]) != most+36 || size.Size() != most+44 {
		t.Fatalf("left with header % x and %d bytes", h, size.Size())
	}
}

func TestWavOnAFullDiskStaysValid(t *testing.T) {
	clock := new(loop.Hand)
	s := sink(t, "wav:"+filepath.Join(t.TempDir(), "a.wav"), clock)
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	limitFiles(t, 44+1002)
	if n, err := s.Write(make([]float32, 2*480)); n != 0 || !errors.Is(err, device.ErrGone) || !errors.Is(err, unix.EFBIG) {
		t.Fatal("beyond the limit it took", n, err)
	}
	s.Close()
	b, _ := os.ReadFile(wavPath(s))
	if size := binary.LittleEndian.Uint32(b[40:]); size != 1000 || binary.LittleEndian.Uint32(b[4:]) != 1036 {
		t.Fatalf("header says %d bytes of samples; 1000 fit, file %d", size, len(b))
	}
}

func TestNew(t *testing.T) {
	clock := new(loop.Hand)
	for _, spec := range []string{"", "alsa:", "alsa:,0", "alsa:Intel,", "alsa:Intel,x", "alsa:Intel,-1", "alsa:Intel,0,0", "wav:", "wav", "null:", "auto:x", "pulse", "/dev/dsp"} {
		if s, err := device.New(spec, clock); err == nil {
			t.Errorf("%q gave %s", spec, s.Name())
		}
	}
	if s := sink(t, "alsa:NotThere,3", clock); s.Name() != "alsa:NotThere,3" {
		t.Error(s.Name())
	} else if _, err := s.Open(); err == nil {
		t.Error("opened a card that is not there")
	}
	// auto always gives something, and says so when that is silence; alsa is an error then.
	auto := sink(t, "auto", clock)
	card, err := device.New("alsa", clock)
	switch {
	case err == nil && auto.Name() != card.Name():
		t.Errorf("auto is %s, alsa is %s", auto.Name(), card.Name())
	case err != nil && (auto.Name() != "null" || !strings.HasSuffix(auto.Description(), err.Error())):
		t.Errorf("alsa: %v; auto: %s, %s", err, auto.Name(), auto.Description())
	}
	t.Log("auto:", auto.Name(), "-", auto.Description())
	t.Chdir(t.TempDir())
	wd, _ := os.Getwd()
	if s := sink(t, "wav:x:y.wav", clock); s.Name() != "wav:"+filepath.Join(wd, "x:y.wav") {
		t.Error("name of a relative file:", s.Name())
	}
}

// A late writer hands over more than a buffer at once.
func TestWavTakesWhatIsOwedWhole(t *testing.T) {
	clock := new(loop.Hand)
	s := sink(t, "wav:"+filepath.Join(t.TempDir(), "a.wav"), clock)
	if _, err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := make([]float32, 2*30000)
	for i := range want {
		want[i] = float32(i%32768) / 32768
	}
	s.Write(want[:2])
	clock.Advance(900 * time.Millisecond)
	if n, err := s.Write(want[2:]); n != len(want)/2-1 || err != nil {
		t.Fatal("took", n, err)
	}
	for i, x := range readWav(t, wavPath(s)) {
		if x != want[i] {
			t.Fatalf("sample %d is %v, want %v", i, x, want[i])
		}
	}
}
