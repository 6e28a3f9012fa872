package device

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"
)

// fakeMixer is a card's control node in memory.
type fakeMixer struct {
	all    []element
	tlv    map[uint32][]uint32
	values map[uint32][]int
	fail   error
	writes []string
	closed int
}

func (m *fakeMixer) elements() ([]element, error) { return m.all, nil }
func (m *fakeMixer) close()                       { m.closed++ }

func (m *fakeMixer) read(e element) ([]int, error) { return slices.Clone(m.values[e.id.numid]), m.fail }

func (m *fakeMixer) write(e element, values []int) error {
	if m.fail == nil {
		m.writes = append(m.writes, fmt.Sprint(e.name, values))
		m.values[e.id.numid] = slices.Clone(values)
	}
	return m.fail
}

func (m *fakeMixer) scale(e element) (scale, error) {
	return parseScale(m.tlv[e.id.numid], e.low, e.high)
}

func (m *fakeMixer) add(e element, tlv []uint32, values ...int) {
	e.id.numid = uint32(len(m.all) + 1)
	e.access |= accessRead
	e.count = len(values)
	m.all = append(m.all, e)
	if m.tlv == nil {
		m.tlv, m.values = map[uint32][]uint32{}, map[uint32][]int{}
	}
	m.tlv[e.id.numid], m.values[e.id.numid] = tlv, values
}

func (m *fakeMixer) volume(name string, high int, tlv []uint32, values ...int) {
	m.add(element{name: name, kind: alsa.SNDRV_CTL_ELEM_TYPE_INTEGER, id: elementID{iface: ifaceMixer}, access: accessWrite, high: high}, tlv, values...)
}

func (m *fakeMixer) toggle(name string, values ...int) {
	m.add(element{name: name, kind: alsa.SNDRV_CTL_ELEM_TYPE_BOOLEAN, id: elementID{iface: ifaceMixer}, access: accessWrite, high: 1}, nil, values...)
}

func (m *fakeMixer) jack(name string, value int) {
	m.add(element{name: name, kind: alsa.SNDRV_CTL_ELEM_TYPE_BOOLEAN, id: elementID{iface: ifaceCard}, high: 1}, nil, value)
}

func (m *fakeMixer) choice(name string, items []string, values ...int) {
	m.add(element{name: name, kind: alsa.SNDRV_CTL_ELEM_TYPE_ENUMERATED, id: elementID{iface: ifaceMixer}, access: accessWrite, items: items}, nil, values...)
}

func (m *fakeMixer) at(name string) []int {
	for _, e := range m.all {
		if e.name == name {
			return m.values[e.id.numid]
		}
	}
	return nil
}

func (m *fakeMixer) turn(name string, values ...int) {
	for _, e := range m.all {
		if e.name == name {
			m.values[e.id.numid] = values
		}
	}
}

var (
	hdaScale = words(1, 8, -7400, 100)
	acMaster = words(1, 8, -9450, 150)
	acPCM    = words(1, 8, -3450, 150)
)

// laptopMixer is what HDA shows of a laptop: Master over the levels of the loudspeakers and the headphones, and jacks.
func laptopMixer() *fakeMixer {
	m := new(fakeMixer)
	m.volume("Headphone Playback Volume", 74, hdaScale, 74, 74)
	m.toggle("Headphone Playback Switch", 0, 0)
	m.volume("Speaker Playback Volume", 74, hdaScale, 74, 74)
	m.toggle("Speaker Playback Switch", 1, 1)
	m.volume("Mic Boost Volume", 3, words(1, 8, 0, 1000), 0, 0)
	m.volume("Capture Volume", 63, words(1, 8, -1725, 75), 23, 23)
	m.toggle("Capture Switch", 1, 1)
	m.toggle("IEC958 Playback Switch", 0)
	m.volume("Master Playback Volume", 74, hdaScale, 74)
	m.toggle("Master Playback Switch", 1)
	m.jack("Mic Jack", 0)
	m.jack("Internal Mic Phantom Jack", 1)
	m.jack("Headphone Jack", 0)
	m.jack("Speaker Phantom Jack", 1)
	m.jack("HDMI/DP,pcm=3 Jack", 0)
	m.jack("HDMI/DP,pcm=7 Jack", 1)
	return m
}

// ac97Mixer is what QEMU's AC97 shows.
func ac97Mixer() *fakeMixer {
	m := new(fakeMixer)
	m.toggle("Master Playback Switch", 1)
	m.volume("Master Playback Volume", 63, acMaster, 63, 63)
	m.toggle("PCM Playback Switch", 1)
	m.volume("PCM Playback Volume", 31, acPCM, 23, 23)
	m.choice("Capture Source", []string{"Mic", "CD", "Video", "Aux", "Line", "Mix", "Mix Mono", "Phone"}, 0, 0)
	m.toggle("Capture Switch", 1)
	m.volume("Capture Volume", 15, words(1, 8, 0, 150), 0, 0)
	return m
}

func usbMixer() *fakeMixer {
	m := new(fakeMixer)
	m.volume("Mic Playback Volume", 31, words(1, 8, -2300, 100), 0)
	m.toggle("Audio Output Volume Control Playback Switch", 1)
	m.volume("Audio Output Volume Control Playback Volume", 256, words(4, 8, -12799, 800), 241, 241)
	return m
}

// rawMixer has no dB, as some drivers.
func rawMixer() *fakeMixer {
	m := new(fakeMixer)
	m.volume("Master Playback Volume", 100, nil, 30)
	m.toggle("Master Playback Switch", 1)
	return m
}

func names(p path) string {
	var s []string
	for _, v := range p.volumes {
		s = append(s, v.name)
	}
	for _, e := range p.switches {
		s = append(s, e.name)
	}
	return strings.NewReplacer("Playback ", "", "Volume", "V", "Switch", "S").Replace(strings.Join(s, ", "))
}

func TestPaths(t *testing.T) {
	user := laptopMixer()
	user.all[8].name = "PCM Playback Volume"
	headphonesOnly := new(fakeMixer)
	headphonesOnly.volume("Headphone Playback Volume", 74, hdaScale, 74, 74)
	readOnly := laptopMixer()
	for i := range readOnly.all {
		readOnly.all[i].access &^= accessWrite
	}
	for name, c := range map[string]struct {
		mixer         *fakeMixer
		play, capture string
	}{
		"laptop":          {laptopMixer(), "Master V, Master S", "Capture V, Capture S"},
		"AC97":            {ac97Mixer(), "Master V, PCM V, Master S, PCM S", "Capture V, Capture S"},
		"USB":             {usbMixer(), "Audio Output V Control V, Audio Output V Control S", ""},
		"without dB":      {rawMixer(), "Master S", ""},
		"headphones only": {headphonesOnly, "Headphone V", ""},
		"not writable":    {readOnly, "", ""},
		"nothing":         {new(fakeMixer), "", ""},
	} {
		play, capture := findPath(c.mixer.all, playing, c.mixer.scale), findPath(c.mixer.all, capturing, c.mixer.scale)
		if names(play) != c.play || names(capture) != c.capture {
			t.Errorf("%s: %q and %q", name, names(play), names(capture))
		}
	}
}

// Whatever is wanted, the hardware is set to the next step above, and not further above than the finest step on the way.
func TestSplit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		mixer      *fakeMixer
		finest     centibel
		floor, top centibel
		sameForAll bool
	}{
		"laptop": {laptopMixer(), 100, -7400, 0, true},
		"AC97":   {ac97Mixer(), 150, -9450 - 3450, 1200, false},
		"USB":    {usbMixer(), 54, -12799, 800, false},
	} {
		p := findPath(c.mixer.all, playing, c.mixer.scale)
		for range 2000 {
			want := []centibel{centibel(random.IntN(15000) - 13000), centibel(random.IntN(15000) - 13000)}
			values, got := p.split(want)
			if again := p.gains(values, 2); !slices.Equal(again, got) {
				t.Fatalf("%s: values %v are %v, promised %v", name, values, again, got)
			}
			if c.sameForAll {
				want[0] = max(want[0], want[1])
				want[1] = want[0]
			}
			for i := range want {
				if least := max(c.floor, min(want[i], c.top)); got[i] < least || got[i] > least+c.finest {
					t.Fatalf("%s: wanted %v, got %v", name, want, got)
				}
			}
		}
		if _, got := p.split([]centibel{noSound, noSound}); got[0] != c.floor {
			t.Errorf("%s: silence is %v", name, got)
		}
	}
	// Six channels, and volumes for two.
	p := findPath(ac97Mixer().all, playing, ac97Mixer().scale)
	if values, got := p.split([]centibel{-3000, -2000, -1000, -1000, -1000, -1000}); got[0] != -900 || got[5] != -900 || len(values[0]) != 2 {
		t.Errorf("six channels over two: %v, %v", values, got)
	}
	if values, got := p.split([]centibel{-1500}); len(got) != 1 || got[0] != -1500 || values[0][0] != values[0][1] {
		t.Errorf("one channel over two: %v, %v", values, got)
	}
}

// bench has hardware whose side goroutine is moved by hand.
type bench struct {
	*fakeMixer
	*hardware
	level  *level
	calls  []bool // of changed
	jobs   []func()
	logged []string
}

func newBench(t *testing.T, m *fakeMixer) *bench {
	t.Helper()
	b := &bench{fakeMixer: m}
	p := &plugged{SoundCard: laptop[1]}
	if err := p.read(m); err != nil {
		t.Fatal(err)
	}
	b.hardware, b.level = p.hardware, p.levels[0]
	b.aside = func(work, done func()) { b.jobs = append(b.jobs, work, done) }
	b.log = func(format string, args ...any) { b.logged = append(b.logged, fmt.Sprintf(format, args...)) }
	b.changed = func(others turned) { b.calls = append(b.calls, b.level.among(others)) }
	return b
}

// step lets half a job be done: what happens aside, or what follows on the loop.
func (b *bench) step() {
	job := b.jobs[0]
	b.jobs = b.jobs[1:]
	job()
}

func (b *bench) run() {
	for len(b.jobs) > 0 {
		b.step()
	}
}

func TestLevel(t *testing.T) {
	b := newBench(t, ac97Mixer())
	if gain, muted := b.level.get(2); gain[0] != 1 || gain[1] != 1 || muted {
		t.Fatal("at first", gain, muted)
	}
	b.level.set([]float32{0.25, 0.5}, false) // -12.04 and -6.02 dB
	b.run()
	if m, p := b.at("Master Playback Volume"), b.at("PCM Playback Volume"); !slices.Equal(m, []int{55, 59}) || !slices.Equal(p, []int{23, 23}) {
		t.Error("Master", m, "PCM", p)
	}
	gain, _ := b.level.get(2)
	if want := []float32{float32(centibel(-1200).linear()), float32(centibel(-600).linear())}; !slices.Equal(gain, want) {
		t.Error(gain, want)
	}
	if !slices.Equal(b.calls, []bool{false}) {
		t.Error("told of its own change:", b.calls)
	}
	b.level.set([]float32{2, 2}, false) // +6.02 dB: the next step is +7.5
	b.run()
	if gain, _ := b.level.get(2); gain[0] != float32(centibel(750).linear()) {
		t.Error("amplified", gain)
	}
	b.level.set([]float32{2, 2}, true)
	b.run()
	if m, p := b.at("Master Playback Switch"), b.at("PCM Playback Switch"); m[0] != 0 || p[0] != 1 {
		t.Error("muted: ", m, p)
	}
	b.turn("PCM Playback Switch", 0)
	b.level.hardware.refresh()
	b.run()
	b.level.set([]float32{2, 2}, false)
	b.run()
	if m, p := b.at("Master Playback Switch"), b.at("PCM Playback Switch"); m[0] != 1 || p[0] != 1 {
		t.Error("unmuted: ", m, p)
	}
}

func TestMuteWithoutASwitch(t *testing.T) {
	m := new(fakeMixer)
	m.volume("PCM Playback Volume", 31, acPCM, 23, 23)
	b := newBench(t, m)
	b.level.set([]float32{1, 1}, true)
	if _, muted := b.level.get(2); !muted {
		t.Error("forgotten")
	}
}

// Others turn the knobs too: what they did is told, what the daemon did is not taken for theirs, however the two cross.
func TestWhoTurnedIt(t *testing.T) {
	b := newBench(t, laptopMixer())
	b.refresh() // the event of somebody else's change
	b.turn("Master Playback Volume", 60)
	b.run()
	if gain, _ := b.level.get(2); !slices.Equal(b.calls, []bool{true}) || gain[0] != float32(centibel(-1400).linear()) {
		t.Fatal(b.calls, gain)
	}
	b.calls = nil
	b.level.set([]float32{0.1, 0.1}, false)
	b.refresh() // the event of this
	b.run()
	if !slices.Equal(b.calls, []bool{false}) || b.at("Master Playback Volume")[0] != 54 {
		t.Fatal(b.calls)
	}
	// A volume is set while the one before is on its way, and the slider went on.
	b.calls, b.writes = nil, nil
	b.level.set([]float32{0.2, 0.2}, false)
	b.level.set([]float32{0.3, 0.3}, false)
	b.level.set([]float32{0.4, 0.4}, false)
	b.run()
	if got := strings.Join(b.writes, " "); got != "Master Playback Volume[61] Master Playback Volume[67]" {
		t.Error(got)
	}
	// While somebody else's change is read, one of ours is waiting: ours has the last word.
	b.calls = nil
	b.refresh()
	b.turn("Master Playback Volume", 10)
	b.step()
	b.level.set([]float32{0.5, 0.5}, false)
	b.run()
	if b.at("Master Playback Volume")[0] != 68 || slices.Contains(b.calls, true) {
		t.Error(b.at("Master Playback Volume"), b.calls)
	}
	// What is no part of this volume does not concern it.
	b.calls = nil
	b.turn("Capture Volume", 3, 3)
	b.refresh()
	b.run()
	if !slices.Equal(b.calls, []bool{false}) {
		t.Error(b.calls)
	}
	// The same again costs nothing.
	b.level.set([]float32{0.5, 0.5}, false)
	if len(b.jobs) != 0 {
		t.Error("written twice")
	}
}

func TestHardwareThatFails(t *testing.T) {
	b := newBench(t, laptopMixer())
	before := maps.Clone(b.seen)
	b.fail = errors.New("the cable is off")
	b.level.set([]float32{0.1, 0.1}, false)
	b.run()
	if len(b.logged) != 1 || !strings.Contains(b.logged[0], "the cable is off") || !maps.EqualFunc(before, b.seen, slices.Equal) {
		t.Error(b.logged, b.seen)
	}
	b.fail, b.logged = unix.ENODEV, nil
	b.level.set([]float32{0.1, 0.1}, false)
	b.step()
	b.hardware.close()
	if b.fakeMixer.closed != 0 {
		t.Error("closed under the side goroutine's hands")
	}
	b.run()
	if b.fakeMixer.closed != 1 || len(b.logged) != 0 {
		t.Error(b.fakeMixer.closed, b.logged)
	}
	b.refresh()
	if len(b.jobs) != 0 {
		t.Error("works on what is closed")
	}
}
