package audiod

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The worker's system call filter: a list of what is allowed, all else is EPERM. See seccomp(2) and seccomp_data in linux/seccomp.h.
//
// The program is our own because go-seccomp-bpf 1.6.0 compares the number of a call with what it loaded last: after the arguments of one
// call, that is an argument, and whoever chooses it gets what he likes. So are the numbers (calls.go), since its tables are filled in whenever
// any of our programs starts.

// allowedCalls may be made with any arguments: they work on what is open, on memory, threads and time. Landlock decides about the paths.
const allowedCalls = `
	read write readv writev pread64 pwrite64 preadv pwritev lseek close fcntl dup dup3
	openat open newfstatat fstat stat lstat statx fstatfs getdents64 readlinkat readlink faccessat faccessat2 access getcwd
	ftruncate fallocate fsync fdatasync flock fchmod unlinkat unlink renameat renameat2 rename mkdirat
	recvfrom sendto recvmsg sendmsg recvmmsg sendmmsg accept4 accept shutdown getsockopt setsockopt getsockname getpeername bind
	epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 poll ppoll pselect6 pipe2
	timerfd_create timerfd_settime timerfd_gettime timer_create timer_settime timer_delete setitimer
	clock_gettime clock_getres gettimeofday time nanosleep clock_nanosleep
	mmap munmap mprotect mremap madvise mincore msync mlock munlock brk
	futex sched_yield sched_getaffinity sched_getattr set_robust_list set_tid_address rseq membarrier getcpu
	rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack rt_sigtimedwait restart_syscall
	getpid getppid gettid getuid geteuid getgid getegid getgroups uname sysinfo getrusage getrlimit getrandom
	exit exit_group`

// rule allows a call when all its conditions hold.
type rule struct {
	call string
	when []condition
}

// condition compares the lower half of an argument, which is all the kernel looks at in the arguments below.
type condition struct{ arg, mask, want uint32 }

func is(arg, want uint32) condition { return condition{arg, ^uint32(0), want} }

// allowedWith may be made with these arguments only; Rules for one call stand together; one of them must hold.
func allowedWith() []rule {
	self := uint32(os.Getpid())
	kind := func(c byte) condition { return condition{1, 0xFF00, uint32(c) << 8} } // _IOC_TYPE in linux/ioctl.h
	return []rule{
		// No requests of a terminal's but these: with others a program can type for its user.
		{"ioctl", []condition{kind('A')}}, // sound/asound.h: PCM
		{"ioctl", []condition{kind('U')}}, // and control
		{"ioctl", []condition{is(1, unix.TCGETS)}},
		{"ioctl", []condition{is(1, unix.TIOCINQ)}}, // bytes waiting in a socket, either way
		{"ioctl", []condition{is(1, unix.TIOCOUTQ)}},
		{"clone", []condition{{0, unix.CLONE_THREAD, unix.CLONE_THREAD}}}, // threads, not processes
		{"tgkill", []condition{is(0, self)}},                              // the scheduler's signals and those of a crash
		{"kill", []condition{is(0, self)}},
		{"prlimit64", []condition{is(0, 0)}},
		{"prctl", []condition{is(0, unix.PR_SET_VMA)}}, // the runtime names its memory
		{"prctl", []condition{is(0, unix.PR_SET_NAME)}},
		{"sched_setscheduler", []condition{is(0, 0), is(1, unix.SCHED_NORMAL)}}, // a thread becomes ordinary by itself
		{"socket", []condition{is(0, unix.AF_NETLINK), is(2, unix.NETLINK_SOCK_DIAG)}},
		{"socket", []condition{is(0, unix.AF_NETLINK), is(2, unix.NETLINK_KOBJECT_UEVENT)}},
	}
}

var (
	allow  = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	deny   = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	absent = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
)

// callFilter is the program for a machine's calls; those of another architecture, or of x32, are denied.
func callFilter(m machine) []bpf.Instruction {
	numbers := m.numbers()
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // arch
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: m.arch, SkipTrue: 1},
		deny,
		bpf.LoadAbsolute{Off: 0, Size: 4}, // nr
	}
	// Every block below returns or leaves nr where it is.
	on := func(call string, block ...bpf.Instruction) {
		if nr, ok := numbers[call]; ok {
			program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: uint8(len(block))})
			program = append(program, block...)
		}
	}
	rules := allowedWith()
	for i := 0; i < len(rules); {
		call := rules[i].call
		var block []bpf.Instruction
		for ; i < len(rules) && rules[i].call == call; i++ {
			block = append(block, rules[i].code()...)
		}
		on(call, append(block, deny)...)
	}
	on("clone3", absent) // its flags are out of sight; a build with cgo makes its threads with clone then
	for call := range strings.FieldsSeq(allowedCalls) {
		on(call, allow)
	}
	return append(program, deny)
}

// code allows when all conditions hold, or else goes on behind itself. The lower half of an argument comes first on both machines.
func (r rule) code() []bpf.Instruction {
	code := []bpf.Instruction{allow}
	for i := len(r.when) - 1; i >= 0; i-- {
		c := r.when[i]
		code = append([]bpf.Instruction{
			bpf.LoadAbsolute{Off: 16 + 8*c.arg, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: c.want, SkipTrue: uint8(len(code))},
		}, code...)
	}
	return code
}

// confineCalls puts the filter in force in every thread and says so.
func confineCalls() (level string, err error) {
	m, known := machines[runtime.GOARCH]
	if !known {
		return "no system call filter for " + runtime.GOARCH, nil
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		return "no seccomp in this kernel", nil
	}
	code, err := bpf.Assemble(callFilter(m))
	if err != nil {
		return "", err
	}
	filter := make([]unix.SockFilter, len(code))
	for i, c := range code {
		filter[i] = unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	behind, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno == unix.ENOSYS:
		return "no seccomp filters in this kernel", nil
	case errno != 0:
		return "", fmt.Errorf("seccomp: %w", errno)
	case behind != 0:
		return "", fmt.Errorf("thread %d could not be brought along", behind)
	}
	if err := proveThreads(map[string]string{"Seccomp": "2"}); err != nil {
		return "", errors.Join(errors.New("the system call filter is not in force in every thread"), err)
	}
	return "seccomp", nil
}
