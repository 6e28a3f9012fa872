// Package memory is what the daemon knows again after a restart: how loud each user's programs were, how loud the devices, which of them
// are the default ones, and who may use the microphone until when.
//
//	Open: file ─► values ◄─ Get, Set: the loop ─► changed ─ a moment later ─► a copy ─► side goroutine: encode, write, rename
//
// Programs are told apart by what they say of themselves, but only among those of one user: users are told apart by the kernel's uid.
package memory

import (
	"slices"
	"sync"
	"time"

	"sandbox-audio/audiod/loop"
)

const (
	saveDelay  = 2 * time.Second // from a change to the disk, so that a slider that is drawn costs one file
	retryDelay = time.Minute     // after the disk has refused
	maxLevels  = 256             // of one user, and of devices; the one that was not asked for the longest goes
)

// Memory holds all that is remembered. All its methods belong to the loop's goroutine.
type Memory struct {
	path string // of the file; "" keeps nothing
	post func(func())
	log  func(format string, args ...any)

	devices       Levels
	sink, source  string
	users         map[uint32]*user
	timer         *loop.Timer
	clock         loop.Clock
	dirty, saving bool // something is to be saved; a side goroutine is at it
	complained    bool
	saves         sync.WaitGroup
}

type user struct {
	name       string // of the account, in the file that was read
	levels     Levels
	microphone Permission
}

// Access is an answer to who asks for the microphone.
type Access string

const (
	Deny  Access = "deny"
	Ask   Access = "ask" // the owner, each time
	Allow Access = "allow"
)

// Permission is what the owner has said about a user's use of the microphone, until a time; the zero time is for good. Access is "" when he
// has said nothing.
type Permission struct {
	Access Access
	Until  time.Time
}

// New makes a memory that forgets everything with the process.
func New() *Memory {
	m := &Memory{users: map[uint32]*user{}}
	m.devices.memory = m
	return m
}

// Devices is the levels of sinks and sources, by name.
func (m *Memory) Devices() *Levels { return &m.devices }

// Levels is the levels of one user's programs, by StreamKey, and of whatever else is his.
func (m *Memory) Levels(uid uint32) *Levels { return &m.user(uid).levels }

func (m *Memory) user(uid uint32) *user {
	u := m.users[uid] // as many as there are users with a grant
	if u == nil {
		u = &user{levels: Levels{memory: m}}
		m.users[uid] = u
	}
	return u
}

// Defaults is the names of the sink and the source that the owner chose, "" where he did not.
func (m *Memory) Defaults() (sink, source string) { return m.sink, m.source }

// SetDefaultSink and SetDefaultSource remember a choice by name.
func (m *Memory) SetDefaultSink(name string)   { m.choose(&m.sink, name) }
func (m *Memory) SetDefaultSource(name string) { m.choose(&m.source, name) }

func (m *Memory) choose(p *string, name string) {
	if name = bounded(name); *p != name {
		*p = name
		m.changed()
	}
}

// Microphone is what the owner said about uid, as far as it still holds at now.
func (m *Memory) Microphone(uid uint32, now time.Time) Permission {
	if u := m.users[uid]; u != nil && (u.microphone.Until.IsZero() || now.Before(u.microphone.Until)) {
		return u.microphone
	}
	return Permission{}
}

// SetMicrophone remembers p; the zero Permission forgets.
func (m *Memory) SetMicrophone(uid uint32, p Permission) {
	u := m.user(uid)
	if u.microphone.Access != p.Access || !u.microphone.Until.Equal(p.Until) {
		u.microphone = p
		m.changed()
	}
}

// Levels is a bounded set of levels, each under a key. Keys are kept to their first 256 bytes.
type Levels struct {
	memory *Memory
	all    []entry // the one asked for last comes last
}

type entry struct {
	key   string
	level Level
}

// Get is the level of key, if there is one. Nobody may change its slices.
func (l *Levels) Get(key string) (level Level, ok bool) {
	i := l.find(bounded(key))
	if i < 0 {
		return Level{}, false
	}
	e := l.all[i]
	l.all = append(slices.Delete(l.all, i, i+1), e)
	return e.level, true
}

// Set remembers a level, which it takes over: the caller does not change its slices any more. It reports whether that is something new; an
// invalid level is passed over.
func (l *Levels) Set(key string, level Level) bool {
	key = bounded(key)
	if level.check() != nil || key == "" {
		return false
	}
	if old, ok := l.Get(key); ok {
		if old.equal(level) {
			return false
		}
		l.all[len(l.all)-1].level = level
	} else {
		if len(l.all) == maxLevels {
			l.all = slices.Delete(l.all, 0, 1)
		}
		l.all = append(l.all, entry{key, level})
	}
	l.memory.changed()
	return true
}

// Delete forgets a level and reports whether it was there.
func (l *Levels) Delete(key string) bool {
	i := l.find(bounded(key))
	if i < 0 {
		return false
	}
	l.all = slices.Delete(l.all, i, i+1)
	l.memory.changed()
	return true
}

// Keys is every key there is, in order.
func (l *Levels) Keys() []string {
	keys := make([]string, len(l.all))
	for i, e := range l.all {
		keys[i] = e.key
	}
	slices.Sort(keys)
	return keys
}

func (l *Levels) find(key string) int {
	return slices.IndexFunc(l.all, func(e entry) bool { return e.key == key })
}
