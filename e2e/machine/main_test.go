// Package machine_test has the program do its work on a machine with a sound card: a Debian guest, with its own kernel, accounts
// and sudo, and a card whose output is recorded. Only there can setup and teardown be tried for real.
//
//	ann      the owner, an ordinary user who may use sudo and the card
//	bob      another who may use the card
package machine_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sandbox-audio/audiod/session"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
	"sandbox-audio/e2e/vm"
)

func TestMain(m *testing.M) {
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}

const (
	rate    = 48000 // of the card
	wavHead = 44    // bytes before the sound in the card's recording
	minute  = 60 * time.Second
)

// What is played. Every tone begins and ends loud, so that its first and last frames are told from silence.
var (
	long   = sound.Tone{Freq: 997, DB: -12, Phase: 1.57} // for a minute, in both channels
	owners = sound.Tone{Freq: 3001, DB: -20, Phase: 1.57}
	other  = sound.Tone{Freq: 440, DB: -20, Phase: 1.57}
	short  = sound.Tone{Freq: 1499, DB: -12, Phase: 1.57}
	bobs   = sound.Tone{Freq: 523, DB: -12, Phase: 1.57}
)

// A machine is the guest, and how much of its card's recording has been listened to.
type machine struct {
	*vm.Guest
	heard int
}

// TestMachine is one life of a machine, from the first setup to the last teardown. Each part builds on those before it.
func TestMachine(t *testing.T) {
	t.Parallel()
	began := time.Now()
	m := boot(t)
	t.Logf("the guest is up after %v", time.Since(began).Round(time.Second))
	before := m.script(t, "system")
	for _, part := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"setup", m.setup},
		{"a minute", m.minute},
		{"statuses", m.statuses},
		{"a card in use", m.busy},
		{"a card let go", m.letGo},
		{"idle", m.idle},
		{"teardown", func(t *testing.T) { m.teardown(t, before) }},
		{"root", func(t *testing.T) { m.root(t, before) }},
		{"limits", func(t *testing.T) { m.limits(t, before) }},
	} {
		began := time.Now()
		if !t.Run(part.name, part.do) {
			t.Fatalf("what follows builds on it")
		}
		t.Logf("%s took %v", part.name, time.Since(began).Round(time.Second))
	}
}

func boot(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"/usr/local/bin/sandbox-audio": rig.Binary(t), "/srv/lib.sh": "testdata/lib.sh"}
	for name, s := range map[string]sound.Sound{
		"long.wav":  sound.Sines(rate, minute, []sound.Tone{long}, []sound.Tone{long}),
		"owner.wav": sound.Sines(rate, 3*time.Second, nil, []sound.Tone{owners}),
		"other.wav": sound.Sines(44100, 3*time.Second, nil, []sound.Tone{other}),
		"short.wav": sound.Sines(rate, 2*time.Second, []sound.Tone{short}, []sound.Tone{short}),
		"bobs.wav":  sound.Sines(rate, minute, []sound.Tone{bobs}, []sound.Tone{bobs}),
	} {
		path := filepath.Join(dir, name)
		if err := s.WriteWAV(path); err != nil {
			t.Fatal(err)
		}
		files["/srv/"+name] = path
	}
	m := &machine{Guest: vm.Boot(t, vm.Options{Cards: []vm.Card{vm.HDA}, Files: files}), heard: wavHead}
	m.script(t, `set -e
		useradd --create-home --groups audio ann
		useradd --create-home --groups audio bob
		echo 'ann ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann
		chmod 440 /etc/sudoers.d/ann`)
	return m
}

// script runs a script that has to succeed, with the functions of lib.sh.
func (m *machine) script(t *testing.T, text string) (output string) {
	t.Helper()
	return m.Must(t, ". /srv/lib.sh\n"+text)
}

// status reads what a script had the daemon say into /job/name.
func (m *machine) status(t *testing.T, name string) (st session.Status) {
	t.Helper()
	text, err := os.ReadFile(m.Shared(name))
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	return st
}

// hear is what the card has put out since the last call. The card has to be silent now, and to have been so for a while.
func (m *machine) hear(t *testing.T) sound.Sound {
	t.Helper()
	b, err := os.ReadFile(m.CardWAV(0))
	if err != nil {
		t.Fatal(err)
	}
	end := len(b) - (len(b)-wavHead)%4
	if end < m.heard || !bytes.Contains(b[:wavHead], []byte("WAVEfmt ")) {
		t.Fatalf("the card's recording of %d bytes cannot go on at %d", len(b), m.heard)
	}
	s, err := sound.Decode(b[m.heard:end], "s16le", rate, 2)
	if err != nil {
		t.Fatal(err)
	}
	m.heard = end
	return s
}
