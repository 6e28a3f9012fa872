package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"
)

// A laptop as /proc/asound shows one: HDMI comes first, the loudspeakers second; and the kernel's stand-ins.
var laptop = []alsa.SoundCard{
	{ID: 0, Name: "HDMI", Description: "HDA-Intel - HDA Intel HDMI", Devices: []alsa.SoundCardDevice{{ID: 3, Description: "HDMI 0", IsPlayback: true}, {ID: 7, Description: "HDMI 1", IsPlayback: true}}},
	{ID: 1, Name: "PCH", Description: "HDA-Intel - HDA Intel PCH", Devices: []alsa.SoundCardDevice{
		{ID: 1, Description: "ALC887-VD Digital", IsPlayback: true}, {ID: 0, Description: "ALC887-VD Analog", IsPlayback: false}, {ID: 0, Description: "ALC887-VD Analog", IsPlayback: true}}},
	{ID: 2, Name: "Webcam", Description: "USB-Audio - C920", Devices: []alsa.SoundCardDevice{{ID: 0, Description: "USB Audio"}}},
	{ID: 4, Name: "Loopback", Description: "Loopback - Loopback", Devices: []alsa.SoundCardDevice{{ID: 0, Description: "Loopback PCM", IsPlayback: true}, {ID: 1, Description: "Loopback PCM", IsPlayback: true}}},
}

func TestChooseCard(t *testing.T) {
	stand := laptop[3:]
	for _, c := range []struct {
		cards   []alsa.SoundCard
		want    string // after "alsa:"
		got     string // address, or a part of the error
		capture bool
	}{
		{laptop, "", "alsa:PCH,0", true},
		{laptop, "Webcam", "alsa:Webcam,0", true},
		{laptop, "PCH,1", "no capture device alsa:PCH,1: there is only alsa:PCH,0 (ALC887-VD Analog), alsa:Webcam,0 (USB Audio)", true},
		{stand, "", "no real sound card: the kernel has no card that captures", true},
		{laptop, "", "alsa:PCH,0", false},
		{laptop[:1], "", "alsa:HDMI,3", false},
		{laptop, "HDMI", "alsa:HDMI,3", false},
		{laptop, "HDMI,7", "alsa:HDMI,7", false},
		{laptop, "1", "alsa:PCH,0", false},
		{laptop, "PCH,1", "alsa:PCH,1", false},
		{laptop, "4,1", "alsa:Loopback,1", false},
		{laptop, "Webcam", "no playback device alsa:Webcam: there is only alsa:HDMI,3 (HDMI 0), ", false},
		{laptop, "PCH,3", "no playback device alsa:PCH,3", false},
		{stand, "", "no real sound card: there is only alsa:Loopback,0 (Loopback PCM), alsa:Loopback,1 (Loopback PCM)", false},
		{laptop[2:3], "", "the kernel has no card that plays", false},
		{nil, "", "the kernel has no card that plays", false},
	} {
		want := address{device: anyDevice, capture: c.capture}
		if c.want != "" {
			var err error
			if want, err = parseAddress(c.want, c.capture); err != nil {
				t.Fatal(err)
			}
		}
		p, err := choose(c.cards, want)
		got := fmt.Sprint(err)
		if err == nil {
			got = p.address().String()
		}
		if !strings.Contains(got, c.got) || err == nil && got != c.got {
			t.Errorf("alsa:%s gave %q, want %q", c.want, got, c.got)
		}
	}
}

// fakeProc is a /proc with one process, "evil\nname" of uid 4711, whose second thread 43 has card 1's playback node open.
func fakeProc(t *testing.T, ownerPID string) string {
	t.Helper()
	proc := t.TempDir()
	for path, content := range map[string]string{
		"asound/card1/pcm0p/sub0/status": "state: RUNNING\nowner_pid   : " + ownerPID + "\ntrigger_time: 1.2\n",
		"asound/card1/pcm1p/sub0/status": "closed\n",
		"42/status":                      "Name:\tevil\nTgid:\t42\nUid:\t4711\t4711\t4711\t4711\n",
		"43/status":                      "Name:\tsound\nTgid:\t42\nUid:\t4711\t4711\t4711\t4711\n",
		"42/comm":                        "evil\nname\n",
	} {
		full := filepath.Join(proc, path)
		os.MkdirAll(filepath.Dir(full), 0o755)
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.MkdirAll(filepath.Join(proc, "42/fd"), 0o755)
	if err := os.Symlink("/dev/snd/pcmC1D0p", filepath.Join(proc, "42/fd/9")); err != nil {
		t.Fatal(err)
	}
	return proc
}

func TestFindHolder(t *testing.T) {
	analog := endpoint{laptop[1], laptop[1].Devices[2]}
	digital := endpoint{laptop[1], laptop[1].Devices[0]}
	for _, pid := range []string{"43", "0", "x"} { // by thread; hidden in another pid namespace, found by its descriptor
		h, ok := findHolder(fakeProc(t, pid), analog)
		if !ok || h != (holder{42, "evil\nname", "4711"}) {
			t.Errorf("owner_pid %s: %+v, %v", pid, h, ok)
		}
		if s := h.String(); s != `"evil\nname" (pid 42, uid 4711)` {
			t.Error(s)
		}
	}
	if h, ok := findHolder(fakeProc(t, "43"), digital); ok {
		t.Errorf("nobody holds the digital output, but %+v", h)
	}
}

func TestExplain(t *testing.T) {
	p := endpoint{laptop[1], laptop[1].Devices[2]}
	for errno, want := range map[error]string{
		unix.EBUSY:  "fuser -v /dev/snd/pcmC1D0p",
		unix.EACCES: "usermod -aG ",
		unix.ENODEV: "alsa:PCH,0",
	} {
		err := explain(p, fmt.Errorf("failed to open for query: %w", &os.PathError{Op: "open", Path: p.node(), Err: errno}))
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "query") {
			t.Error(err)
		}
	}
	for program, want := range map[string]string{"pipewire": "pactl suspend-sink", "mpv": "sudo kill 42"} {
		if a := (holder{42, program, "4711"}).advice(p); !strings.Contains(a, want) {
			t.Error(a)
		}
	}
}

// The size of its argument is part of a request's number: if ours differed from the kernel's, memory would be overwritten.
func TestKernelStructSizes(t *testing.T) {
	size := func(request uintptr) uintptr { return request >> 16 & (1<<14 - 1) }
	for name, sizes := range map[string][2]uintptr{
		"xferi":    {unsafe.Sizeof(xferi{}), size(alsa.SNDRV_PCM_IOCTL_WRITEI_FRAMES)},
		"status":   {unsafe.Sizeof(pcmStatus{}), size(alsa.SNDRV_PCM_IOCTL_STATUS)},
		"swParams": {unsafe.Sizeof(swParams{}), size(alsa.SNDRV_PCM_IOCTL_SW_PARAMS)},
		"hwParams": {unsafe.Sizeof(hwParams{}), size(alsa.SNDRV_PCM_IOCTL_HW_PARAMS)},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s has %d bytes, the request %d", name, sizes[0], sizes[1])
		}
	}
}

func TestEveryRealCard(t *testing.T) {
	if got := strings.Join(bestOf(laptop, false), " "); got != "alsa:PCH,0 alsa:HDMI,3" {
		t.Errorf("auto stands for %q", got)
	}
	if got := strings.Join(bestOf(laptop, true), " "); got != "alsa:PCH,0 alsa:Webcam,0" {
		t.Error("the best to record with:", got)
	}
	if got := bestOf(laptop[2:], false); got != nil {
		t.Errorf("without a real card auto stands for %q", got)
	}
}
