package audiod

import (
	"errors"
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// ConfineOptions names what the worker must still reach by path once it is confined.
type ConfineOptions struct {
	Write []string // files, or folders with all in them, that it opens for writing: the wav file, the folder of what is remembered. They must exist
	Read  []string // files that it opens for reading: the wav file in place of a microphone
}

// Confine takes from this process, in every thread and for good, what serving sound does not need. Call it with the device and the loop
// set up, before the first client is served. What is open stays open.
//
//   - Landlock: of all files only /proc and /etc can be read, and /dev/snd and those of the options written; nothing can be executed.
//     A sound card plugged in later is covered, as its nodes appear in /dev/snd.
//   - seccomp: only the system calls that Go's runtime, accepted connections and sound need, all others fail with EPERM: no new program or process, no connection to
//     anywhere, no other user, no tracing, no signal to others, nothing typed into a terminal.
//   - No capability, and no_new_privs.
//
// how says what is in force. A kernel that lacks Landlock or seccomp is no error; one that has them and does not obey is.
func Confine(opts ConfineOptions) (how string, err error) {
	if os.Geteuid() == 0 {
		return "", errors.New("sound is never served as root")
	}
	if err := renounce(); err != nil {
		return "", err
	}
	files, err := confineFiles(opts)
	if err != nil {
		return "", fmt.Errorf("confining the worker to its files: %w", err)
	}
	calls, err := confineCalls()
	if err != nil {
		return "", fmt.Errorf("confining the worker to its system calls: %w", err)
	}
	return files + ", " + calls, nil
}

const (
	readFile = landlock.AccessFSSet(llsys.AccessFSReadFile)
	readDir  = landlock.AccessFSSet(llsys.AccessFSReadDir)
	write    = landlock.AccessFSSet(llsys.AccessFSWriteFile | llsys.AccessFSTruncate)
	create   = landlock.AccessFSSet(llsys.AccessFSMakeReg | llsys.AccessFSRemoveFile)
	ioctls   = landlock.AccessFSSet(llsys.AccessFSIoctlDev)
)

// soundFolder holds the nodes of the sound cards.
var soundFolder = "/dev/snd"

// confineFiles applies Landlock as far as the kernel has it and says how far that is.
func confineFiles(opts ConfineOptions) (level string, err error) {
	version, err := llsys.LandlockGetABIVersion()
	if err != nil || version < 1 {
		return "no landlock in this kernel", nil
	}
	rules := []landlock.Rule{
		landlock.PathAccess(readFile|readDir, "/proc").IgnoreIfMissing(), // cards, and who is calling
		landlock.PathAccess(readFile, "/etc").IgnoreIfMissing(),          // passwd and group, which are replaced when changed, so no narrower
		landlock.PathAccess(readFile|readDir|write|ioctls, soundFolder).IgnoreIfMissing(),
	}
	for _, path := range opts.Read {
		rules = append(rules, landlock.PathAccess(readFile, path).IgnoreIfMissing())
	}
	for _, path := range opts.Write {
		access := readFile | write
		if st, err := os.Stat(path); err != nil {
			return "", err
		} else if st.IsDir() {
			access |= readDir | create
		}
		rules = append(rules, landlock.PathAccess(access, path))
	}
	config := landlock.V11
	// Signals are seccomp's business: before Linux 6.15 this scope also kept threads of one process from signalling each other,
	// which Go's scheduler does all the time.
	config.Scoped = 0
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return "", err
	}
	if fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(fd)
		return "", errors.New("landlock is in force, yet / can be read")
	}
	return fmt.Sprintf("landlock ABI %d", version), nil
}
