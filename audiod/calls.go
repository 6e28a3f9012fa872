package audiod

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is a kind of processor with its own numbers of the system calls.
type machine struct {
	arch  uint32 // AUDIT_ARCH_* in linux/audit.h
	field int    // its place in callNumbers
}

// machines are those that the filter knows, by Go's names.
var machines = map[string]machine{
	"amd64": {unix.AUDIT_ARCH_X86_64, 1},
	"arm64": {unix.AUDIT_ARCH_AARCH64, 2},
}

// callNumbers is, for every call that the filter names, NAME/AMD64/ARM64, from syscall_64.tbl and asm-generic/unistd.h of the kernel's
// source. arm64 has none of the old ones.
const callNumbers = `
	read/0/63 write/1/64 readv/19/65 writev/20/66 pread64/17/67 pwrite64/18/68 preadv/295/69 pwritev/296/70 lseek/8/62 close/3/57 fcntl/72/25
	dup/32/23 dup3/292/24 openat/257/56 open/2 newfstatat/262/79 fstat/5/80 stat/4 lstat/6 statx/332/291 fstatfs/138/44 getdents64/217/61
	readlinkat/267/78 readlink/89 faccessat/269/48 faccessat2/439/439 access/21 getcwd/79/17 ftruncate/77/46 fallocate/285/47 fsync/74/82
	fdatasync/75/83 flock/73/32 fchmod/91/52 unlinkat/263/35 unlink/87 renameat/264/38 renameat2/316/276 rename/82 mkdirat/258/34
	recvfrom/45/207 sendto/44/206 recvmsg/47/212 sendmsg/46/211 recvmmsg/299/243 sendmmsg/307/269 accept4/288/242 accept/43/202
	shutdown/48/210 getsockopt/55/209 setsockopt/54/208 getsockname/51/204 getpeername/52/205 bind/49/200 epoll_create1/291/20
	epoll_ctl/233/21 epoll_wait/232 epoll_pwait/281/22 epoll_pwait2/441/441 eventfd2/290/19 poll/7 ppoll/271/73 pselect6/270/72 pipe2/293/59
	timerfd_create/283/85 timerfd_settime/286/86 timerfd_gettime/287/87 timer_create/222/107 timer_settime/223/110 timer_delete/226/111
	setitimer/38/103 clock_gettime/228/113 clock_getres/229/114 gettimeofday/96/169 time/201 nanosleep/35/101 clock_nanosleep/230/115
	mmap/9/222 munmap/11/215 mprotect/10/226 mremap/25/216 madvise/28/233 mincore/27/232 msync/26/227 mlock/149/228 munlock/150/229
	brk/12/214 futex/202/98 sched_yield/24/124 sched_getaffinity/204/123 sched_getattr/315/275 set_robust_list/273/99 set_tid_address/218/96
	rseq/334/293 membarrier/324/283 getcpu/309/168 rt_sigaction/13/134 rt_sigprocmask/14/135 rt_sigreturn/15/139 sigaltstack/131/132
	rt_sigtimedwait/128/137 restart_syscall/219/128 getpid/39/172 getppid/110/173 gettid/186/178 getuid/102/174 geteuid/107/175
	getgid/104/176 getegid/108/177 getgroups/115/158 uname/63/160 sysinfo/99/179 getrusage/98/165 getrlimit/97/163 getrandom/318/278
	exit/60/93 exit_group/231/94 ioctl/16/29 clone/56/220 tgkill/234/131 kill/62/129 prlimit64/302/261 prctl/157/167
	sched_setscheduler/144/119 socket/41/198 clone3/435/435`

// numbers is the part of callNumbers for m.
func (m machine) numbers() map[string]uint32 {
	all := map[string]uint32{}
	for call := range strings.FieldsSeq(callNumbers) {
		fields := strings.Split(call, "/")
		if m.field >= len(fields) {
			continue
		}
		if nr, err := strconv.ParseUint(fields[m.field], 10, 32); err == nil {
			all[fields[0]] = uint32(nr)
		}
	}
	return all
}
