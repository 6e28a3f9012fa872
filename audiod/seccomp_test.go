package audiod

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter in the bpf package's machine, which reads big-endian words where the kernel reads its own.
func verdict(t *testing.T, vm *bpf.VM, id arch.AuditArch, nr int, args ...uint64) int {
	t.Helper()
	b := make([]byte, 64) // struct seccomp_data: nr, arch, instruction pointer, six arguments
	binary.BigEndian.PutUint32(b[0:], uint32(nr))
	binary.BigEndian.PutUint32(b[4:], uint32(id))
	for i, a := range args {
		binary.BigEndian.PutUint32(b[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(b[20+8*i:], uint32(a>>32))
	}
	v, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCallFilter(t *testing.T) {
	const allowed, refused = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | int(unix.EPERM)
	self := uint64(os.Getpid())
	for name, machine := range map[string]*arch.Info{"amd64": arch.X86_64, "arm64": arch.AARCH64} {
		numbers := machines[name].numbers()
		for call, nr := range numbers {
			if want, ok := machine.SyscallNames[call]; ok && want != int(nr) {
				t.Errorf("%s: %s is %d, not %d", name, call, want, nr)
			}
		}
		vm, err := bpf.NewVM(callFilter(machines[name]))
		if err != nil {
			t.Fatal(machine.Name, err)
		}
		for _, tt := range []struct {
			call string
			want int
			args []uint64
		}{
			{"read", allowed, nil},
			{"exit_group", allowed, nil},
			{"openat", allowed, []uint64{^uint64(99)}},
			{"execve", refused, nil},
			{"sched_setscheduler", allowed, []uint64{0, unix.SCHED_NORMAL}},
			{"sched_setscheduler", refused, []uint64{0, unix.SCHED_RR}},
			{"sched_setscheduler", refused, []uint64{4712, unix.SCHED_NORMAL}},
			{"sched_setattr", refused, []uint64{4711}},
			{"ptrace", refused, nil},
			{"connect", refused, nil},
			{"clone3", unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS), nil},
			{"ioctl", allowed, []uint64{5, 'A'<<8 | 0x40}},
			{"ioctl", allowed, []uint64{5, 0xc2c85512}}, // SNDRV_CTL_IOCTL_ELEM_READ, nearly
			{"ioctl", allowed, []uint64{5, unix.TCGETS}},
			{"ioctl", refused, []uint64{5, 0x5412}},
			{"ioctl", refused, []uint64{5, 1<<32 | 0x5412}},
			{"ioctl", refused, []uint64{5, 0x5412 | 'A'<<16}},
			{"clone", allowed, []uint64{0x50f00}}, // as Go makes threads
			{"clone", refused, []uint64{uint64(unix.SIGCHLD)}},
			{"clone", refused, []uint64{unix.CLONE_VFORK | unix.CLONE_VM}},
			{"clone", refused, []uint64{unix.CLONE_THREAD << 32}},
			{"tgkill", allowed, []uint64{self, 1, 23}},
			{"tgkill", refused, []uint64{self + 1, 1, 23}},
			{"kill", refused, []uint64{1}},
			{"kill", refused, []uint64{^uint64(0)}},
			{"prlimit64", allowed, []uint64{0, 7}},
			{"prlimit64", refused, []uint64{self + 1, 7}},
			{"prctl", refused, []uint64{unix.PR_SET_DUMPABLE}},
			{"socket", allowed, []uint64{unix.AF_NETLINK, 3, unix.NETLINK_KOBJECT_UEVENT}},
			{"socket", refused, []uint64{unix.AF_NETLINK, 3, unix.NETLINK_ROUTE}},
			{"socket", refused, []uint64{unix.AF_INET, 3, unix.NETLINK_SOCK_DIAG}},
			{"socket", refused, []uint64{unix.AF_UNIX, 1, 0}},
		} {
			if got := verdict(t, vm, machine.ID, machine.SyscallNames[tt.call], tt.args...); got != tt.want {
				t.Errorf("%s %s%#x: %#x, want %#x", machine.Name, tt.call, tt.args, got, tt.want)
			}
		}
		if got := verdict(t, vm, arch.I386.ID, machine.SyscallNames["read"]); got != refused {
			t.Errorf("%s: a call of another architecture: %#x", machine.Name, got)
		}

		// No number beyond the list is allowed, whatever the arguments look like: not one equal to the number of a call that is.
		known := strings.Fields(allowedCalls)
		for _, r := range allowedWith() {
			known = append(known, r.call)
		}
		var allowedNumbers []uint64
		for _, call := range known {
			if nr, ok := numbers[call]; ok {
				allowedNumbers = append(allowedNumbers, uint64(nr))
			}
		}
		for nr := range 1024 {
			if slices.Contains(allowedNumbers, uint64(nr)) || machine.SyscallNumbers[nr] == "clone3" {
				continue
			}
			for _, arg := range allowedNumbers {
				if got := verdict(t, vm, machine.ID, nr, arg, arg, arg, arg, arg, arg); got != refused {
					t.Fatalf("%s: call %d (%s) with %d: %#x", machine.Name, nr, machine.SyscallNumbers[nr], arg, got)
				}
			}
		}
		for arg := range uint64(512) {
			if got := verdict(t, vm, machine.ID, machine.SyscallNames["socket"], arg, arg, arg); got != refused {
				t.Fatalf("%s: socket(%d, …): %#x", machine.Name, arg, got)
			}
		}
		for _, call := range known {
			if _, ok := machines["amd64"].numbers()[call]; !ok {
				t.Errorf("the number of %s is missing", call)
			}
		}
		if got := verdict(t, vm, machine.ID, 0x40000000|machine.SyscallNames["read"]); got != refused {
			t.Errorf("%s: x32: %#x", machine.Name, got)
		}
	}
}
