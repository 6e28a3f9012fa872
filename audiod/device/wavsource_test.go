package device_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

var playInto = flag.String("into", "", "sound `card` whose sound comes out of -card, for TestALSALoopback")

func source(t *testing.T, spec string, clock loop.Clock) device.Source {
	t.Helper()
	s, err := device.NewSource(spec, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSilenceConforms(t *testing.T) {
	clock := new(loop.Hand)
	devicetest.SourceConformance(t, devicetest.SourceBench{
		Make: func(t *testing.T) device.Source { return source(t, "null", clock) },
		Now:  clock.Now,
		Pass: clock.Advance,
		Said: func(device.Source, int64, int) float32 { return 0 },
	})
}

// wavFile is a WAV file of the given kind (1: integer, 3: float, 0xFFFE with the kind after it), with a chunk of something else before the samples.
func wavFile(kind, bits, channels uint16, rate uint32, samples []byte, more ...byte) []byte {
	f := binary.LittleEndian.AppendUint16(nil, kind)
	f = binary.LittleEndian.AppendUint16(f, channels)
	f = binary.LittleEndian.AppendUint32(f, rate)
	f = binary.LittleEndian.AppendUint32(f, rate*uint32(channels)*uint32(bits/8))
	f = binary.LittleEndian.AppendUint16(f, channels*bits/8)
	f = binary.LittleEndian.AppendUint16(f, bits)
	f = append(f, more...)
	b := []byte("RIFF\xff\xff\xff\xffWAVE")
	for _, c := range []struct {
		name string
		data []byte
	}{{"fmt ", f}, {"LIST", []byte("odd")}, {"data", samples}} {
		b = binary.LittleEndian.AppendUint32(append(b, c.name...), uint32(len(c.data)))
		b = append(b, c.data...)
		if len(c.data)%2 == 1 {
			b = append(b, 0)
		}
	}
	return b
}

func pathOf(t *testing.T, content []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "a.wav")
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWavSourceConforms(t *testing.T) {
	clock := new(loop.Hand)
	for _, spec := range []pcm.Spec{{Format: pcm.S16LE, Channels: 1, Rate: 44100}, {Format: pcm.Float32LE, Channels: 2, Rate: 48000}, {Format: pcm.S16LE, Channels: 2, Rate: 8000}} {
		channels := int(spec.Channels)
		samples := make([]float32, 12347*channels) // the file is played several times over
		for i := range samples {
			samples[i] = float32(math.Sin(float64(i)*float64(i)/1e6)) * 0.9
		}
		data := make([]byte, len(samples)*spec.Format.Size())
		pcm.Encode(data, samples, spec.Format)
		kind := uint16(1)
		if spec.Format == pcm.Float32LE {
			kind = 3
		}
		t.Run(spec.String(), func(t *testing.T) {
			devicetest.SourceConformance(t, devicetest.SourceBench{
				Make: func(t *testing.T) device.Source {
					return source(t, "wav:"+pathOf(t, wavFile(kind, uint16(spec.Format.Size()*8), uint16(channels), spec.Rate, data)), clock)
				},
				Now:   clock.Now,
				Pass:  clock.Advance,
				Said:  func(_ device.Source, n int64, c int) float32 { return samples[(int(n)*channels+c)%len(samples)] },
				Grain: 1. / 32768,
				Vanish: func(t *testing.T, s device.Source) {
					if err := os.Truncate(strings.TrimPrefix(s.Name(), "wav:"), 100); err != nil {
						t.Fatal(err)
					}
				},
			})
		})
	}
}

func TestWavSourceReadsWhatOthersWrite(t *testing.T) {
	clock := new(loop.Hand)
	second := make([]byte, 48000*4)
	extensible := func(kind byte) []byte {
		return append([]byte{22, 0, 32, 0, 3, 0, 0, 0, kind, 0}, make([]byte, 14)...)
	}
	for name, c := range map[string]struct {
		content []byte
		problem string // part of the error; empty where there is none
	}{
		"extensible float":            {wavFile(0xFFFE, 32, 1, 48000, second, extensible(3)...), ""},
		"extensible 16 bit":           {wavFile(0xFFFE, 16, 2, 96000, second, extensible(1)...), ""},
		"cut short":                   {wavFile(1, 16, 2, 48000, second)[:100_000], ""},
		"24 bit":                      {wavFile(1, 24, 2, 48000, second), "ffmpeg"},
		"six channels":                {wavFile(1, 16, 6, 48000, second), "ffmpeg"},
		"no channels":                 {wavFile(1, 16, 0, 48000, second), "ffmpeg"},
		"no rate":                     {wavFile(1, 16, 2, 0, second), "ffmpeg"},
		"65537 channels":              {wavFile(1, 16, 257, 48000, second), "ffmpeg"},
		"A-law":                       {wavFile(6, 8, 1, 8000, second), "ffmpeg"},
		"next to nothing":             {wavFile(1, 16, 2, 48000, second[:4000]), "less than 100ms"},
		"no samples":                  {wavFile(1, 16, 2, 48000, nil)[:50], "without samples"},
		"a format too short":          {[]byte("RIFF....WAVEfmt \x04\x00\x00\x00\x01\x00\x02\x00data"), "without a format"},
		"a chunk as long as can be":   {[]byte("RIFF....WAVEjunk\xff\xff\xff\xff"), "without samples"},
		"samples before their format": {[]byte("RIFF....WAVEdata\x04\x00\x00\x00\x01\x00\x02\x00fmt "), "ffmpeg"},
		"MP3":                         {[]byte("ID3\x03\x00\x00\x00\x00\x00\x00and so on, for a while"), "not a WAV file"},
		"nothing":                     {nil, "not a WAV file"},
	} {
		s := source(t, "wav:"+pathOf(t, c.content), clock)
		_, err := s.Open()
		if err == nil != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", name, err, c.problem)
		}
		s.Close()
	}
	if _, err := source(t, "wav:"+t.TempDir(), clock).Open(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error("a folder:", err)
	}
}

func TestSourceNames(t *testing.T) {
	clock := new(loop.Hand)
	for spec, want := range map[string]string{
		"null": "null", "wav:/tmp/a.wav": "wav:/tmp/a.wav", "alsa:Webcam": "alsa:Webcam", "alsa:Webcam,1": "alsa:Webcam,1",
	} {
		if s := source(t, spec, clock); s.Name() != want {
			t.Errorf("%s is called %s", spec, s.Name())
		}
	}
	for _, spec := range []string{"", "auto", "wav:", "null:", "alsa:", "alsa:Webcam,x", "mic"} {
		if _, err := device.NewSource(spec, clock); err == nil {
			t.Errorf("%q is a source", spec)
		}
	}
	s := source(t, "alsa:Nowhere", clock)
	if _, err := s.Open(); err == nil || !strings.Contains(err.Error(), "capture device alsa:Nowhere") && !strings.Contains(err.Error(), "no sound card") {
		t.Error(err)
	}
}

// What is played into one end of a loopback card comes out of the other, each frame once.
func TestALSALoopback(t *testing.T) {
	clock, _ := realCard(t)
	if *playInto == "" {
		t.Skip("no -into given: nothing can be said to -card")
	}
	in := source(t, "alsa:"+*cardFlag, clock)
	out := sink(t, "alsa:"+*playInto, clock)
	c, err := out.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ci, err := in.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if c.Rate != ci.Rate || len(c.Channels) != len(ci.Channels) {
		t.Fatalf("the ends run at %+v and %+v", c, ci)
	}
	channels := len(c.Channels)
	noise, frames := noise(4*c.Rate*channels), make([]float32, c.Buffer*channels)
	var written int
	var heard []float32
	begin := clock.Now()
	last, longest := begin, time.Duration(0)
	for clock.Now()-begin < 3*time.Second { // there is noise for longer: who runs out of it runs the card dry
		now := clock.Now()
		last, longest = now, max(longest, now-last)
		q, err := out.Queued()
		if err != nil {
			t.Fatal(err)
		}
		if free := c.Buffer/2 - q; free > 0 {
			rest := noise[min(len(noise), written*channels):]
			n, err := out.Write(rest[:min(len(rest), free*channels)])
			if err != nil {
				t.Fatal(err)
			}
			written += n
		}
		n, err := in.Read(frames)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, frames[:n*channels]...)
		time.Sleep(10 * time.Millisecond)
	}
	for len(heard) > 0 && heard[0] == 0 {
		heard = heard[1:]
	}
	if x := out.Stats().Xruns + in.Stats().Xruns; x > 0 && longest > 80*time.Millisecond {
		t.Skipf("%d xruns, but this machine kept the test waiting for %v: nothing can be said of the card", x, longest)
	} else if x > 0 {
		t.Errorf("%d xruns, and the test was never later than %v", x, longest)
	}
	first := -1
	for i := 0; i+8 <= len(noise) && len(heard) >= 8 && first < 0; i++ {
		if slices.Equal(noise[i:i+8], heard[:8]) {
			first = i
		}
	}
	if first < 0 || len(heard) < 2*c.Rate*channels || first+len(heard) > len(noise) {
		t.Fatalf("%d samples were heard in 3 s, from %d of %d on", len(heard), first, len(noise))
	}
	for i, v := range heard {
		if v != noise[first+i] {
			t.Fatalf("sample %d of %d is %v, %v was played", i, len(heard), v, noise[first+i])
		}
	}
	t.Logf("%d samples as they were played, the longest wait %v", len(heard), longest)
}

func TestALSACaptureConforms(t *testing.T) {
	clock, _ := realCard(t)
	make := func(t *testing.T) device.Source { return source(t, "alsa:"+*cardFlag, clock) }
	s := make(t)
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s: %+v", s.Name(), s.Description(), c)
	other := make(t)
	if _, err := other.Open(); err == nil { // this card captures for several at once
		other.Close()
	} else if !strings.Contains(err.Error(), fmt.Sprintf("(pid %d, ", os.Getpid())) {
		t.Errorf("the error does not name this process, which holds the card: %v", err)
	}
	s.Close()
	devicetest.SourceConformance(t, devicetest.SourceBench{Make: make, Now: clock.Now, Pass: time.Sleep, Jitter: *cardsJitter})
}
