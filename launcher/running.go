package launcher

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// runningStep is what runs already: a daemon of the owner's that does not know of the new helper, and, when the helper
// goes, its programs. A daemon that was ended starts again with the next run, and at once where one is going on.
type runningStep struct{ *change }

func (s *runningStep) Describe() string {
	return "the programs of " + s.profile.Helper + ", known to the sound daemon of " + s.profile.Owner
}

func (s *runningStep) Check() (bool, error) { return !s.first && !s.renew, nil }

func (s *runningStep) Apply() error { return s.endDaemon() }

func (s *runningStep) Undo() error {
	a, err := accountByName(s.profile.Helper)
	if err == nil && a.UID == s.profile.HelperUID && a.UID != 0 {
		err = endProcesses(a.UID)
	}
	if err != nil && !errors.Is(err, errNoAccount) {
		return err
	}
	return s.endDaemon()
}

// endDaemon ends the owner's daemon, if one listens on the profile's addresses.
func (s *runningStep) endDaemon() error {
	user, err := accountByName(s.profile.daemonUser())
	if errors.Is(err, errNoAccount) {
		return nil
	}
	if err != nil {
		return err
	}
	var pids []int
	for _, addr := range []string{s.profile.unixAddr(), s.profile.tcpAddr()} {
		h, ok, err := addressHolder(addr)
		if err != nil {
			return err
		}
		if ok && h.PID != 0 && isDaemon(h, user.UID) && !slices.Contains(pids, h.PID) {
			pids = append(pids, h.PID)
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		for end := time.Now().Add(killWait); processLives(pid); time.Sleep(pollEvery) {
			if time.Now().After(end) {
				return fmt.Errorf("the sound daemon (process %d) does not end; end it with: sudo kill -9 %d", pid, pid)
			}
		}
	}
	return nil
}
