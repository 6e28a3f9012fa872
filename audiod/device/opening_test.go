package device

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/pcm"
)

// desk is an Arbiter that keeps a diary.
type desk struct {
	diary []string
	lost  bool
}

func (d *desk) Take(int) error { d.diary = append(d.diary, "take"); return nil }
func (d *desk) Has(int) bool   { return !d.lost }
func (d *desk) Give(int)       { d.diary = append(d.diary, "give") }

// TestOpensAside opens a card whose side goroutine works when the test says so: Open never does.
func TestOpensAside(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		err    error // of the hardware
		wanted bool  // somebody opens it when it is ready
		lost   bool  // meanwhile to another program
		diary  []string
	}{
		"had":                 {nil, true, false, []string{"take", "ready"}},
		"refused":             {refused, true, false, []string{"take", "ready", "give"}},
		"wanted by nobody":    {nil, false, false, []string{"take", "ready", "give"}},
		"refused and nobody":  {refused, false, false, []string{"take", "ready", "give"}},
		"another's meanwhile": {nil, true, true, []string{"take", "give", "ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{}
			p := &player{newCard(address{"Fake", 0, false}, nil)}
			p.arbiter = d
			var work, done func()
			p.aside = func(w, then func()) { work, done = w, then }
			var again error
			p.ready = func() {
				d.diary = append(d.diary, "ready")
				if c.wanted {
					_, again = p.Open()
				}
			}
			e, opens := endpoint{alsa.SoundCard{ID: 3, Name: "Fake"}, alsa.SoundCardDevice{IsPlayback: true}}, 0
			if err := p.take(e); err != nil {
				t.Fatal(err)
			}
			err := p.begin(e, func(endpoint) (substream, error) {
				opens++
				return substream{handle: new(alsa.PCM), config: Config{Rate: 48000, Channels: pcm.StereoMap, Buffer: 9600}}, c.err
			})
			if _, err2 := p.Open(); !errors.Is(err, ErrSoon) || !errors.Is(err2, ErrSoon) || opens != 0 {
				t.Fatalf("opened %d times on the loop: %v, then %v", opens, err, err2)
			}
			if err := p.Close(); err != nil {
				t.Error("closed while it is being opened:", err)
			}
			work()
			if _, err := p.Open(); !errors.Is(err, ErrSoon) || opens != 1 {
				t.Fatalf("opened %d times aside, and before the loop knows: %v", opens, err)
			}
			d.lost = c.lost
			done()
			if had := c.wanted && !c.lost && c.err == nil; (p.handle != nil) != had || had != (again == nil && c.wanted) {
				t.Errorf("open: %v, %v", p.handle != nil, again)
			}
			if c.err != nil && c.wanted && !errors.Is(again, refused) {
				t.Errorf("why not: %v", again)
			}
			if !slices.Equal(d.diary, c.diary) || p.opening != nil {
				t.Errorf("%q, want %q; on its way: %v", d.diary, c.diary, p.opening)
			}
		})
	}
}

// TestOthersClose opens a card that is ours while others have it open still: for a while they may.
func TestOthersClose(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		busy time.Duration
		then error
		want error
		took time.Duration // to open it, at most
	}{
		"at once":    {0, nil, nil, 0},
		"in time":    {closingTime / 2, nil, nil, closingTime/2 + closingTime/10},
		"never":      {time.Hour, nil, unix.EBUSY, closingTime},
		"it refuses": {0, refused, refused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &player{newCard(address{"Fake", 0, false}, nil)}
				p.arbiter, p.ready = &desk{}, func() {}
				p.aside = func(work, done func()) { work() }
				if err := p.take(endpoint{alsa.SoundCard{ID: 3, Name: "Fake"}, alsa.SoundCardDevice{IsPlayback: true}}); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				p.begin(endpoint{}, func(endpoint) (substream, error) {
					if time.Since(began) < c.busy {
						return substream{}, fmt.Errorf("opening it: %w", unix.EBUSY)
					}
					return substream{}, c.then
				})
				if took := time.Since(began); !errors.Is(p.opening.err, c.want) || took > c.took {
					t.Errorf("%v after %v", p.opening.err, took)
				}
			})
		})
	}
}
