package audiod

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The owner's sound server may not be there when a worker starts, and come later, as PulseAudio does with the first of its clients:
//
//	its socket appears ─► it answers ─► the worker crosses over (devices.cross), with all that plays and records
//
// The places of sockets of the network are not watched.

// comingTries is how often a socket that is there and does not answer is tried again, and comingTime after how long.
const (
	comingTries = 20
	comingTime  = 100 * time.Millisecond
)

// comes waits for the owner's sound server, where its socket is to be, until it answers or ended is closed. It reports whether it answers.
func (k *keeper) comes(ended <-chan struct{}) bool {
	network, where, err := soundServer("")
	if err != nil || network != "unix" {
		return false
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		logf("a sound server that starts later will not be noticed: %v", err)
		return false
	}
	defer w.Close()
	folder := filepath.Dir(where)
	var again <-chan time.Time // it may listen a moment after its socket is there
	for tries := 0; ; {
		above := w.Add(filepath.Dir(folder)) // first, or the folder might be made between the two
		if err := w.Add(folder); err != nil && (above != nil || !errors.Is(err, os.ErrNotExist)) {
			logf("a sound server that starts later will not be noticed: watching %s: %v", folder, cmp.Or(above, err))
			return false
		}
		if k.answers() {
			return true
		}
		if _, err := os.Lstat(where); err == nil && tries < comingTries {
			tries++
			again = time.After(comingTime)
		}
		for event := ""; event != folder && event != where; {
			select {
			case e, ok := <-w.Events:
				if !ok {
					return false
				}
				if e.Has(fsnotify.Create) {
					event, tries = e.Name, 0
				}
			case <-again:
				event = where
			case <-w.Errors: // events were lost
				event = where
			case <-ended:
				return false
			}
		}
	}
}
