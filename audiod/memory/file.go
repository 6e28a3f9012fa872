package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/loop"
	"sandbox-audio/audiod/pcm"
)

const (
	fileName = "volumes.json"
	maxFile  = 16 << 20 // bytes
)

// Open makes a memory that is kept in a folder of this process's user. What is there is read at once, a file that makes no sense is set
// aside, and where nothing can be read nothing is kept: log is told. post has a function called on clock's loop.
func Open(folder string, clock loop.Clock, post func(func()), log func(format string, args ...any)) *Memory {
	m := New()
	m.clock, m.post, m.log = clock, post, log
	path := filepath.Join(folder, fileName)
	err := m.load(path)
	switch broken := new(brokenError); {
	case errors.As(err, &broken):
		aside := path + ".broken"
		if err := os.Rename(path, aside); err != nil {
			log("%s makes no sense (%v) and cannot be set aside, so volumes are not remembered: %v", path, broken, err)
			return m
		}
		log("%s makes no sense (%v); it is set aside as %s and volumes are remembered anew", path, broken, aside)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		log("volumes are not remembered: %v", err)
		return m
	}
	m.forgetStrangers()
	left, _ := filepath.Glob(filepath.Join(folder, "."+fileName+"*")) // by a write that was cut off
	for _, name := range left {
		os.Remove(name)
	}
	m.path, m.timer = path, clock.NewTimer(m.save)
	return m
}

// Close saves what is not saved yet, and waits for it.
func (m *Memory) Close() {
	if m.path == "" {
		return
	}
	m.timer.Stop()
	m.saves.Wait()
	if m.dirty || m.saving {
		if err := m.file().write(m.path); err != nil {
			m.log("volumes could not be saved: %v", err)
		}
	}
	m.path = ""
}

// changed has everything saved in a moment.
func (m *Memory) changed() {
	if m.path == "" || m.dirty {
		return
	}
	m.dirty = true
	if !m.saving {
		m.timer.Set(m.clock.Now() + saveDelay)
	}
}

func (m *Memory) save() {
	m.dirty, m.saving = false, true
	file, path := m.file(), m.path
	m.saves.Go(func() {
		err := file.write(path)
		m.post(func() { m.saved(err) })
	})
}

func (m *Memory) saved(err error) {
	if m.path == "" { // closed meanwhile
		return
	}
	m.saving = false
	wait := saveDelay
	if err != nil {
		if !m.complained {
			m.log("volumes cannot be saved: %v; this is tried again each minute", err)
		}
		m.dirty, wait = true, retryDelay
	}
	m.complained = err != nil
	if m.dirty {
		m.timer.Set(m.clock.Now() + wait)
	}
}

// file is the memory as it is written.
type file struct {
	DefaultSink   string         `json:"default_sink,omitempty"`
	DefaultSource string         `json:"default_source,omitempty"`
	Devices       []fileLevel    `json:"devices,omitempty"` // here and below: the one asked for last comes last
	Users         map[uint32]his `json:"users,omitempty"`   // by uid
}

type his struct {
	Name       string      `json:"name,omitempty"` // of the account; a uid may be given anew
	Microphone *microphone `json:"microphone,omitempty"`
	Levels     []fileLevel `json:"levels,omitempty"`
}

type microphone struct {
	Access Access    `json:"access"`
	Until  time.Time `json:"until,omitzero"`
}

type fileLevel struct {
	Key    string       `json:"key"`
	Volume []pcm.Volume `json:"volume,omitempty"` // 65536 is full
	Map    string       `json:"map,omitempty"`
	Muted  bool         `json:"muted,omitempty"`

	m pcm.ChannelMap // Map, when writing
}

// file is a copy that the loop does not change.
func (m *Memory) file() *file {
	f := &file{DefaultSink: m.sink, DefaultSource: m.source, Devices: m.devices.file(), Users: make(map[uint32]his, len(m.users))}
	for uid, u := range m.users {
		h := his{Levels: u.levels.file()}
		if u.microphone.Access != "" {
			h.Microphone = &microphone{u.microphone.Access, u.microphone.Until}
		}
		if h.Microphone != nil || len(h.Levels) > 0 {
			f.Users[uid] = h
		}
	}
	return f
}

func (l *Levels) file() []fileLevel {
	all := make([]fileLevel, len(l.all))
	for i, e := range l.all {
		all[i] = fileLevel{Key: e.key, Volume: e.level.Volume, Muted: e.level.Muted, m: e.level.Map}
	}
	return all
}

func (f *file) write(path string) error {
	text, err := f.encode()
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, text, 0o600, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
}

func (f *file) encode() ([]byte, error) {
	name := func(levels []fileLevel) {
		for i := range levels {
			if m := levels[i].m; len(m) > 0 {
				levels[i].Map = m.String()
			}
		}
	}
	name(f.Devices)
	for uid, h := range f.Users {
		name(h.Levels)
		h.Name = accountName(uid)
		f.Users[uid] = h
	}
	return json.MarshalIndent(f, "", " ")
}

// brokenError is what is wrong with a file that could be read.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

func (m *Memory) load(path string) error {
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return &brokenError{errors.New("it is a symbolic link")}
	} else if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return &brokenError{fmt.Errorf("it is no file of at most %d bytes", maxFile)}
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return err
	}
	if err := m.decode(text); err != nil {
		return &brokenError{err}
	}
	return nil
}

// decode takes over a file's text, all or nothing.
func (m *Memory) decode(text []byte) error {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	m.sink, m.source = f.DefaultSink, f.DefaultSource
	m.devices.take(f.Devices)
	for uid, h := range f.Users {
		u := m.user(uid)
		u.name = h.Name
		u.levels.take(h.Levels)
		if h.Microphone != nil {
			u.microphone = Permission{h.Microphone.Access, h.Microphone.Until}
		}
	}
	return nil
}

// accountName is the login name of uid, "" where /etc/passwd has none.
var accountName = func(uid uint32) string {
	if u, err := osuser.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		return u.Username
	}
	return ""
}

// forgetStrangers drops what belonged to an account that was removed and whose uid another one has now.
func (m *Memory) forgetStrangers() {
	for uid, u := range m.users {
		if name := accountName(uid); name != u.name {
			m.log("uid %d, once %q, is %q now: what was remembered of it is forgotten", uid, u.name, name)
			delete(m.users, uid)
		}
	}
}

// check reads the maps and wants everything to be what Set would have taken.
func (f *file) check() error {
	if bounded(f.DefaultSink) != f.DefaultSink || bounded(f.DefaultSource) != f.DefaultSource {
		return errors.New("the name of a default device is too long")
	}
	if err := checkLevels(f.Devices); err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	for uid, h := range f.Users {
		if err := checkLevels(h.Levels); err != nil {
			return fmt.Errorf("user %d: %w", uid, err)
		}
		if m := h.Microphone; m != nil && m.Access != Deny && m.Access != Ask && m.Access != Allow {
			return fmt.Errorf("user %d: microphone: access %q is none of deny, ask and allow", uid, m.Access)
		}
	}
	return nil
}

func checkLevels(levels []fileLevel) (err error) {
	seen := map[string]bool{}
	for i := range levels {
		l := &levels[i]
		if l.Map != "" {
			if l.m, err = pcm.ParseChannelMap(l.Map); err != nil {
				return fmt.Errorf("%.80q: %w", l.Key, err)
			}
		}
		if err := l.level().check(); err != nil {
			return fmt.Errorf("%.80q: %w", l.Key, err)
		}
		if l.Key == "" || bounded(l.Key) != l.Key || seen[l.Key] {
			return fmt.Errorf("%.80q: the key is empty, too long, or there twice", l.Key)
		}
		seen[l.Key] = true
	}
	return nil
}

func (f *fileLevel) level() Level { return Level{Volume: f.Volume, Map: f.m, Muted: f.Muted} }

func (l *Levels) take(levels []fileLevel) {
	levels = levels[max(0, len(levels)-maxLevels):]
	l.all = slices.Grow(l.all, len(levels))
	for i := range levels {
		l.all = append(l.all, entry{levels[i].Key, levels[i].level()})
	}
}
