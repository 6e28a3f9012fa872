package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

// host is a loop moved by hand: its clock, what side goroutines posted, and what was logged.
type host struct {
	loop.Hand
	posted chan func()
	said   []string
}

func newHost() *host { return &host{posted: make(chan func(), 8)} }

func (h *host) open(folder string) *Memory {
	return Open(folder, h, func(f func()) { h.posted <- f }, func(format string, args ...any) { h.said = append(h.said, fmt.Sprintf(format, args...)) })
}

// finish waits for a save that is under way.
func (h *host) finish(t *testing.T) {
	t.Helper()
	select {
	case f := <-h.posted:
		f()
	case <-time.After(time.Minute):
		t.Fatal("nothing was saved")
	}
}

var (
	half = Level{Volume: []pcm.Volume{0x8000, 0x8000}, Map: pcm.StereoMap}
	mute = Level{Muted: true}
	left = Level{Volume: []pcm.Volume{0x10000, 0}, Map: pcm.StereoMap}
)

// same compares a level of a memory with the one it should be.
func same(t *testing.T, l *Levels, key string, want Level) {
	t.Helper()
	if got, ok := l.Get(key); !ok || !got.equal(want) {
		t.Errorf("%s is %v %v, not %v", key, got, ok, want)
	}
}

func TestSurvives(t *testing.T) {
	folder, h := t.TempDir(), newHost()
	now := time.Now()
	m := h.open(folder)
	m.Levels(1000).Set("a", half)
	m.Levels(1000).Set("b", mute)
	m.Levels(1001).Set("a", left)
	m.Devices().Set("card", half)
	m.SetDefaultSink("card")
	m.SetDefaultSource("mic")
	m.SetMicrophone(1001, Permission{Allow, now.Add(time.Hour)})
	m.SetMicrophone(1002, Permission{Access: Ask})
	m.Close()

	if st, err := os.Stat(filepath.Join(folder, fileName)); err != nil || st.Mode() != 0o600 {
		t.Errorf("the file's mode is %v (%v)", st.Mode(), err)
	}
	m = h.open(folder)
	same(t, m.Levels(1000), "a", half)
	same(t, m.Levels(1000), "b", mute)
	same(t, m.Levels(1001), "a", left)
	same(t, m.Devices(), "card", half)
	if _, ok := m.Levels(1001).Get("b"); ok {
		t.Error("one user has the level of another")
	}
	if sink, source := m.Defaults(); sink != "card" || source != "mic" {
		t.Errorf("default devices %q and %q", sink, source)
	}
	for at, want := range map[time.Time]Access{now: Allow, now.Add(59 * time.Minute): Allow, now.Add(61 * time.Minute): ""} {
		if got := m.Microphone(1001, at).Access; got != want {
			t.Errorf("microphone after %v: %q, not %q", at.Sub(now), got, want)
		}
	}
	if got := m.Microphone(1002, now.AddDate(9, 0, 0)).Access; got != Ask {
		t.Errorf("a permission for good is %q after years", got)
	}
	if len(h.said) > 0 {
		t.Errorf("said %q", h.said)
	}
}

// A uid that was given to a new account brings nothing along, least of all the microphone.
func TestNewAccount(t *testing.T) {
	folder, h := t.TempDir(), newHost()
	names := map[uint32]string{1: "ann", 2: "bob"}
	defer func(f func(uint32) string) { accountName = f }(accountName)
	accountName = func(uid uint32) string { return names[uid] }
	m := h.open(folder)
	for uid := range uint32(4) {
		m.Levels(uid).Set("a", half)
		m.SetMicrophone(uid, Permission{Access: Allow})
	}
	m.Close()
	names = map[uint32]string{1: "ann", 2: "eve", 3: "new"}
	m = h.open(folder)
	for uid, known := range []bool{true, true, false, false} { // 0 is no account before and after
		if _, ok := m.Levels(uint32(uid)).Get("a"); ok != known || (m.Microphone(uint32(uid), time.Now()).Access == Allow) != known {
			t.Errorf("uid %d: known is %v", uid, !known)
		}
	}
	if len(h.said) != 2 {
		t.Errorf("said %q", h.said)
	}
}

// Many changes make one file, a change during the writing makes another, and no change none.
func TestSavesInAMoment(t *testing.T) {
	folder, h := t.TempDir(), newHost()
	m := h.open(folder)
	if h.Timers() != 0 {
		t.Error("a memory that nobody changes wakes the loop")
	}
	for range 100 {
		m.Levels(1).Set("a", half)
		m.Levels(1).Set("a", left)
	}
	h.Advance(saveDelay - 1)
	if _, err := os.Stat(filepath.Join(folder, fileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("saved already (%v)", err)
	}
	h.Advance(1)
	m.Levels(1).Set("a", mute)
	h.finish(t)
	same(t, h.open(folder).Levels(1), "a", left)
	h.Advance(saveDelay)
	h.finish(t)
	same(t, h.open(folder).Levels(1), "a", mute)
	m.Levels(1).Set("a", mute)
	m.Levels(1).Delete("b")
	if h.Timers() != 0 {
		t.Error("what changes nothing is saved")
	}
	if !m.Levels(1).Delete("a") {
		t.Error("a is not there")
	}
	h.Advance(saveDelay)
	h.finish(t)
	if keys := h.open(folder).Levels(1).Keys(); len(keys) > 0 {
		t.Errorf("%q is there after it was deleted", keys)
	}
	m.Levels(1).Set("late", half)
	h.Advance(saveDelay)
	m.Levels(1).Set("later", half) // Close finds a save under way and one to come
	m.Close()
	if keys := h.open(folder).Levels(1).Keys(); !slices.Equal(keys, []string{"late", "later"}) {
		t.Errorf("%q were there at the end", keys)
	}
	h.finish(t) // the result that comes after the end is nobody's business
	if h.Timers() != 0 {
		t.Error("something happens after the end")
	}
}

func TestDiskRefuses(t *testing.T) {
	folder, h := filepath.Join(t.TempDir(), "gone"), newHost()
	m := h.open(folder)
	m.Levels(1).Set("a", half)
	for range 2 {
		h.Advance(retryDelay)
		h.finish(t)
	}
	if len(h.said) != 1 || !strings.Contains(h.said[0], "cannot be saved") {
		t.Errorf("said %q", h.said)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	h.Advance(retryDelay)
	h.finish(t)
	same(t, h.open(folder).Levels(1), "a", half)
}

func TestOldestGo(t *testing.T) {
	folder, h := t.TempDir(), newHost()
	m := h.open(folder)
	l := m.Levels(1)
	for i := range maxLevels {
		l.Set(fmt.Sprint(i), half)
	}
	l.Get("0")
	l.Set("new", half)
	m.Close()
	l = h.open(folder).Levels(1)
	if len(l.all) != maxLevels || l.find("0") < 0 || l.find("1") >= 0 || l.find("new") < 0 {
		t.Errorf("%d levels: %q", len(l.all), l.Keys())
	}
}

func TestBrokenFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"cut off":            `{"users":{"1":{"levels":[{"key":"a"`,
		"user below 0":       `{"users":{"-1":{}}}`,
		"volume too high":    `{"devices":[{"key":"a","volume":[4294967295],"map":"mono"}]}`,
		"volume without map": `{"devices":[{"key":"a","volume":[1]}]}`,
		"too many channels":  `{"devices":[{"key":"a","volume":[` + strings.Repeat("1,", 99) + `1],"map":"mono"}]}`,
		"unknown map":        `{"devices":[{"key":"a","volume":[1],"map":"moon"}]}`,
		"no key":             `{"devices":[{"key":"","muted":true}]}`,
		"long key":           `{"devices":[{"key":"` + strings.Repeat("a", maxKey+1) + `"}]}`,
		"key twice":          `{"users":{"1":{"levels":[{"key":"a"},{"key":"a"}]}}}`,
		"access":             `{"users":{"1":{"microphone":{"access":"yes"}}}}`,
		"large":              strings.Repeat(" ", maxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			folder, h := t.TempDir(), newHost()
			path := filepath.Join(folder, fileName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m := h.open(folder)
			if len(h.said) != 1 || !strings.Contains(h.said[0], "makes no sense") {
				t.Errorf("said %q", h.said)
			}
			if aside, err := os.ReadFile(path + ".broken"); err != nil || string(aside) != text {
				t.Errorf("set aside: %d bytes, %v", len(aside), err)
			}
			m.Levels(1).Set("a", half)
			m.Close()
			same(t, h.open(folder).Levels(1), "a", half)
		})
	}
}

// What stands in the file's place is never followed or waited for.
func TestStrangeFiles(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte(`{"default_sink":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string) error{
		"link":   func(path string) error { return os.Symlink(elsewhere, path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			folder, h := t.TempDir(), newHost()
			if err := make(filepath.Join(folder, fileName)); err != nil {
				t.Fatal(err)
			}
			m := h.open(folder)
			if sink, _ := m.Defaults(); sink != "" || len(h.said) != 1 {
				t.Errorf("default sink %q, said %q", sink, h.said)
			}
			m.SetDefaultSink("y")
			m.Close()
			if sink, _ := h.open(folder).Defaults(); sink != "y" {
				t.Errorf("default sink %q", sink)
			}
		})
	}
	if text, _ := os.ReadFile(elsewhere); string(text) != `{"default_sink":"x"}` {
		t.Errorf("written through the link: %s", text)
	}
}

// A write that was cut off leaves nothing for good.
func TestLeftovers(t *testing.T) {
	folder, h := t.TempDir(), newHost()
	if err := os.WriteFile(filepath.Join(folder, "."+fileName+"123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := h.open(folder)
	m.SetDefaultSink("x")
	m.Close()
	if all, _ := os.ReadDir(folder); len(all) != 1 || all[0].Name() != fileName {
		t.Errorf("left: %v", all)
	}
}

// Without a folder everything is remembered until the end.
func TestNowhere(t *testing.T) {
	m := New()
	m.Levels(1).Set("a", half)
	m.SetDefaultSink("x")
	m.SetMicrophone(1, Permission{Access: Deny})
	same(t, m.Levels(1), "a", half)
	m.Close()
}

func TestInvalidLevels(t *testing.T) {
	l := New().Levels(1)
	for _, level := range []Level{
		{Volume: []pcm.Volume{1}},
		{Volume: []pcm.Volume{1}, Map: pcm.StereoMap},
		{Volume: []pcm.Volume{pcm.VolumeInvalid}, Map: pcm.MonoMap},
		{Volume: []pcm.Volume{1}, Map: pcm.ChannelMap{200}},
		{Volume: make([]pcm.Volume, 99), Map: make(pcm.ChannelMap, 99)},
	} {
		if l.Set("a", level); len(l.Keys()) > 0 {
			t.Fatalf("took %v", level)
		}
	}
}

func TestOn(t *testing.T) {
	for _, c := range []struct {
		level Level
		on    pcm.ChannelMap
		want  []pcm.Volume
	}{
		{left, pcm.StereoMap, []pcm.Volume{0x10000, 0}},
		{left, pcm.ChannelMap{pcm.FrontRight, pcm.FrontLeft, pcm.LFE}, []pcm.Volume{0, 0x10000, 0x10000}},
		{left, pcm.MonoMap, []pcm.Volume{0x10000}},
		{mute, pcm.StereoMap, nil},
	} {
		if got := c.level.On(c.on); !slices.Equal(got, c.want) {
			t.Errorf("%v on %v is %v, not %v", c.level, c.on, got, c.want)
		}
	}
}

func TestStreamKey(t *testing.T) {
	all := map[string]string{"media.role": "event", "application.id": "org.x", "application.name": "X", "media.name": "song"}
	get := func(key string) (string, bool) { text, ok := all[key]; return text, ok }
	for _, want := range []struct{ key, without string }{
		{"sink-input-by-media-role:event", "media.role"},
		{"sink-input-by-application-id:org.x", "application.id"},
		{"sink-input-by-application-name:X", "application.name"},
		{"sink-input-by-media-name:song", "media.name"},
		{"sink-input-fallback:", ""},
	} {
		if got := StreamKey("sink-input", get); got != want.key {
			t.Errorf("key %q, not %q", got, want.key)
		}
		delete(all, want.without)
	}
	all["media.name"] = strings.Repeat("ü", 4000)
	if key := StreamKey("source-output", get); len(key) > maxKey || !strings.HasPrefix(all["media.name"], strings.TrimPrefix(key, "source-output-by-media-name:")) {
		t.Errorf("a key of %d bytes", len(key))
	}
}

// What is taken is written so that it is taken again, as it was.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"default_sink":"a","devices":[{"key":"a","volume":[1,2],"map":"front-left,front-right"}],"users":{"7":{"microphone":{"access":"ask"},"levels":[{"key":"b","muted":true}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := New()
		if m.decode(text) != nil {
			return
		}
		own, err := m.file().encode()
		if err != nil {
			t.Fatalf("%s: cannot be written: %v", text, err)
		}
		again := New()
		if err := again.decode(own); err != nil {
			t.Fatalf("%s: written as %s: %v", text, own, err)
		}
		if twice, err := again.file().encode(); err != nil || string(twice) != string(own) {
			t.Errorf("%s\nthen %s (%v)", own, twice, err)
		}
	})
}
