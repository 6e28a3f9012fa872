package audiod

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// ConfineOptions names what the worker must still reach by path once it is confined.
type ConfineOptions struct {
	Write []string // files, or folders with all in them, that it opens for writing: the wav file. They must exist
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
// A kernel that lacks Landlock or seccomp is told in the log and is no error; one that has them and does not obey is.
func Confine(opts ConfineOptions) error {
	if os.Geteuid() == 0 {
		return errors.New("sound is never served as root")
	}
	dropBounding()
	if err := renounce(); err != nil {
		return err
	}
	files, err := confineFiles(opts.Write)
	if err != nil {
		return fmt.Errorf("confining the worker to its files: %w", err)
	}
	calls, err := confineCalls()
	if err != nil {
		return fmt.Errorf("confining the worker to its system calls: %w", err)
	}
	logf("worker confined: %s, %s", files, calls)
	return nil
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
func confineFiles(writable []string) (level string, err error) {
	version, err := llsys.LandlockGetABIVersion()
	if err != nil || version < 1 {
		return "no landlock in this kernel", nil
	}
	rules := []landlock.Rule{
		landlock.PathAccess(readFile|readDir, "/proc").IgnoreIfMissing(), // cards, and who is calling
		landlock.PathAccess(readFile, "/etc").IgnoreIfMissing(),          // passwd and group, which are replaced when changed, so no narrower
		landlock.PathAccess(readFile|readDir|write|ioctls, soundFolder).IgnoreIfMissing(),
	}
	for _, path := range writable {
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

// confineCalls applies the seccomp filter to every thread.
func confineCalls() (level string, err error) {
	info, err := arch.GetInfo("")
	if err != nil || !seccomp.Supported() {
		return "no seccomp here", nil
	}
	var always []string // not every architecture has every call: arm64 has no old ones
	for name := range strings.FieldsSeq(allowedCalls) {
		if _, ok := info.SyscallNames[name]; ok {
			always = append(always, name)
		}
	}
	filter := seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno, // EPERM, also for calls of another architecture
			Syscalls: []seccomp.SyscallGroup{
				{Action: seccomp.ActionAllow, NamesWithCondtions: allowedWith(uint64(os.Getpid()))},
				{Action: seccomp.ActionAllow, Names: always},
			},
		},
	}
	if err := seccomp.LoadFilter(filter); err != nil {
		return "", err
	}
	// A thread the kernel could not bring along makes the call return its number, which is no errno.
	if err := proveThreads(map[string]string{"Seccomp": "2"}); err != nil {
		return "", fmt.Errorf("the seccomp filter is not in force in every thread: %w", err)
	}
	return "seccomp", nil
}

// allowedCalls may be made with any arguments: they work on what is open, on memory, threads and time. Landlock decides about the paths.
const allowedCalls = `
	read write readv writev pread64 pwrite64 preadv pwritev lseek close flock fcntl dup dup3
	openat open newfstatat fstat stat lstat statx fstatfs getdents64 readlinkat readlink faccessat faccessat2 access getcwd
	ftruncate fallocate fsync fdatasync fchmod unlinkat unlink renameat renameat2 rename mkdirat
	recvfrom sendto recvmsg sendmsg recvmmsg sendmmsg accept4 accept shutdown getsockopt setsockopt getsockname getpeername bind
	epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 poll ppoll pselect6 pipe2
	timerfd_create timerfd_settime timerfd_gettime timer_create timer_settime timer_delete setitimer
	clock_gettime clock_getres gettimeofday time nanosleep clock_nanosleep
	mmap munmap mprotect mremap madvise mincore msync mlock munlock brk
	futex sched_yield sched_getaffinity set_robust_list set_tid_address rseq membarrier getcpu
	rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack rt_sigtimedwait restart_syscall
	getpid getppid gettid getuid geteuid getgid getegid getgroups uname sysinfo getrusage getrlimit getrandom
	exit exit_group`

// allowedWith may be made with these arguments only. The filter compares 64 bits where the kernel looks at 32, so a condition names
// the value that is allowed and never one that is not: upper bits would carry it past a denial.
func allowedWith(self uint64) []seccomp.NameWithConditions {
	only := func(name string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: conditions}
	}
	is := func(arg uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: arg, Operation: seccomp.Equal, Value: value}
	}
	bit := func(arg uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: arg, Operation: seccomp.BitsSet, Value: value}
	}
	noBit := func(arg uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: arg, Operation: seccomp.BitsNotSet, Value: value}
	}
	return []seccomp.NameWithConditions{
		// ALSA's requests are of type 'A' or 'U', bits 01000001 and 01010101 of the second byte; this lets pass 'E' and 'Q' besides,
		// but not 'T' and 'K', the terminal's, with which a program can type for its user.
		only("ioctl", bit(1, 0x0100), bit(1, 0x4000), noBit(1, 0xAA00)),
		only("ioctl", is(1, unix.TCGETS)),  // is stderr a terminal?
		only("ioctl", is(1, unix.TIOCINQ)), // bytes waiting in a socket, either way
		only("ioctl", is(1, unix.TIOCOUTQ)),
		only("clone", bit(0, unix.CLONE_THREAD)), // threads, not processes
		only("tgkill", is(0, self)),              // the scheduler's signals and those of a crash
		only("kill", is(0, self)),
		only("prlimit64", is(0, 0)),
		only("prctl", is(0, unix.PR_SET_VMA)), // the runtime names its memory
		only("prctl", is(0, unix.PR_SET_NAME)),
		only("socket", is(0, unix.AF_NETLINK), is(2, unix.NETLINK_SOCK_DIAG)),
		only("socket", is(0, unix.AF_NETLINK), is(2, unix.NETLINK_KOBJECT_UEVENT)),
	}
}
