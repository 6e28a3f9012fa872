package launcher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adrg/xdg"
)

// What is started without a terminal has its output in a file of the owner's: the sound daemon in daemon.log, and a
// program that runs from a menu in PROFILE/NAME.log.
//
//	$XDG_STATE_HOME/sandbox-audio/daemon.log
//	$XDG_STATE_HOME/sandbox-audio/logs/bank/firefox.log

// maxLog is the most bytes of one log; a longer one begins anew.
const maxLog = 1 << 20

func daemonDir() (string, error) {
	dir := filepath.Join(xdg.StateHome, "sandbox-audio")
	return dir, os.MkdirAll(dir, 0o700)
}

// StateLeft is the folder with the logs of an owner who has no profile any more, and what his sound daemon remembers; empty where there is none, or
// menu entries of his are recorded there.
// It is the owner's, who may want it with the next profile: teardown, which is root's, does not touch it.
func StateLeft(owner Account) string {
	dir := filepath.Join(owner.Home, ".local", "state", "sandbox-audio")
	if owner.UID == os.Getuid() {
		dir = filepath.Join(xdg.StateHome, "sandbox-audio")
	}
	all, err := profiles()
	has := slices.ContainsFunc(all, func(p *Profile) bool { return p.OwnerUID == owner.UID })
	_, none := os.Lstat(dir)
	entries, _ := os.ReadDir(filepath.Join(dir, "desktop")) // which are undone by what stands there
	if err != nil || has || none != nil || len(entries) > 0 {
		return ""
	}
	return dir
}

// removeDaemonLog removes what starting the caller's own daemon left, once that has ended.
func removeDaemonLog() error {
	dir := filepath.Join(xdg.StateHome, "sandbox-audio")
	return errors.Join(removeFile(filepath.Join(dir, "daemon.log")), removeFile(filepath.Join(dir, "daemon.lock")), removeEmpty(dir))
}

func openLog(name string) (*os.File, error) {
	dir, err := daemonDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if st, err := os.Stat(path); err == nil && st.Size() > maxLog {
		if err := os.Truncate(path, 0); err != nil {
			return nil, err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// ProgramLog opens the log of a program that the helper of a profile runs without a terminal. However much is written
// to it, it stays small.
func ProgramLog(profile, program string) (io.WriteCloser, error) {
	f, err := openLog(logName(profile, program))
	if err != nil {
		return nil, fmt.Errorf("open the program's log: %w", err)
	}
	return &boundedLog{f}, nil
}

func logName(profile, program string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, filepath.Base(program))
	return filepath.Join("logs", profile, name+".log")
}

type boundedLog struct{ *os.File }

func (l *boundedLog) Write(b []byte) (int, error) {
	if st, err := l.Stat(); err == nil && st.Size()+int64(len(b)) > maxLog {
		if err := l.Truncate(0); err != nil {
			return 0, err
		}
	}
	return l.File.Write(b)
}

// Log is a log that is there to be read.
type Log struct {
	Profile string // empty for the sound daemon's
	Program string
	Path    string
}

// Logs lists the caller's logs: the sound daemon's, and those of the profile's programs, the one written last at the end.
func Logs(profile string) ([]Log, error) {
	dir := filepath.Join(xdg.StateHome, "sandbox-audio")
	paths, err := filepath.Glob(filepath.Join(dir, "logs", profile, "*.log"))
	if err != nil {
		return nil, err
	}
	age := func(path string) int64 {
		st, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return st.ModTime().UnixNano()
	}
	slices.SortFunc(paths, func(a, b string) int { return int(min(max(age(a)-age(b), -1), 1)) })
	var logs []Log
	if path := filepath.Join(dir, "daemon.log"); age(path) > 0 {
		logs = append(logs, Log{Program: "daemon", Path: path})
	}
	for _, path := range paths {
		logs = append(logs, Log{profile, strings.TrimSuffix(filepath.Base(path), ".log"), path})
	}
	return logs, nil
}
