package audiod

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"sandbox-audio/audiod/policy"
)

// identity is a user to become, with all groups /etc/group gives.
type identity struct {
	name     string
	uid, gid int
	groups   []int // in order, each once
}

// serviceUser looks up the account that serves in root's stead.
func serviceUser(name string) (identity, error) {
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		return identity{}, fmt.Errorf("there is no user %q to serve as, and sound is never served as root; make it with "+
			"useradd --system --no-create-home --shell /usr/sbin/nologin --groups audio %[1]s, or name another with --user", name)
	} else if err != nil {
		return identity{}, fmt.Errorf("looking up user %q: %w", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return identity{}, fmt.Errorf("looking up the groups of user %q: %w", name, err)
	}
	id := identity{name: name}
	id.uid, err = strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err = errors.Join(err, gerr); err != nil {
		return identity{}, fmt.Errorf("looking up user %q: %w", name, err)
	}
	id.gid = gid
	for _, s := range ids {
		g, err := strconv.Atoi(s)
		if err != nil {
			return identity{}, fmt.Errorf("looking up the groups of user %q: %w", name, err)
		}
		id.groups = append(id.groups, g)
	}
	slices.Sort(id.groups)
	id.groups = slices.Compact(id.groups)
	if id.uid == 0 {
		return identity{}, fmt.Errorf("user %q is root, and sound is never served as root; name another with --user", name)
	}
	return id, nil
}

// become turns root into id for good, in every thread, with the sockets following, and proves that there is no way back.
func (id identity) become(ls []Listener) error {
	for _, l := range ls {
		// The owner sock_diag and /proc/net/tcp show for a listening TCP socket is that of its inode.
		if l.Address.Transport == policy.TCP {
			if err := unix.Fchown(l.FD, id.uid, id.gid); err != nil {
				return fmt.Errorf("giving %v to user %s: %w", l.Address, id.name, err)
			}
		}
	}
	dropBounding() // needs CAP_SETPCAP, so before the rest; no_new_privs is what counts
	if err := syscall.Setgroups(id.groups); err != nil {
		return fmt.Errorf("setting the groups of user %s: %w", id.name, err)
	}
	if err := syscall.Setresgid(id.gid, id.gid, id.gid); err != nil {
		return fmt.Errorf("becoming group %d: %w", id.gid, err)
	}
	if err := syscall.Setresuid(id.uid, id.uid, id.uid); err != nil {
		return fmt.Errorf("becoming user %s: %w", id.name, err)
	}
	if err := renounce(); err != nil {
		return err
	}
	for _, l := range ls {
		// A second listen(2) has the kernel note anew who serves, which is what clients see in SO_PEERCRED.
		if l.Address.Transport == policy.Unix {
			if err := unix.Listen(l.FD, backlog); err != nil {
				return fmt.Errorf("listening on %v as user %s: %w", l.Address, id.name, err)
			}
		}
	}
	return id.prove()
}

// renounce gives up every capability and the means to gain one by exec, in every thread.
func renounce() error {
	allThreadsPrctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL) // fails before Linux 4.3, which has none
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if _, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none)), 0); errno != 0 {
		return fmt.Errorf("giving up capabilities: %w", errno)
	}
	if err := allThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	return nil
}

// dropBounding empties the capability bounding set as far as it may.
func dropBounding() {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		allThreadsPrctl(unix.PR_CAPBSET_DROP, c)
	}
}

func allThreadsPrctl(option int, arg uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// prove checks each thread's state as the kernel shows it (proc(5)), then tries to climb back.
func (id identity) prove() error {
	four := func(n int) string { return strings.TrimSpace(strings.Repeat(strconv.Itoa(n)+"\t", 4)) }
	want := map[string]string{
		"Uid": four(id.uid), "Gid": four(id.gid), "Groups": strings.Trim(fmt.Sprint(id.groups), "[]"),
	}
	if err := proveThreads(want); err != nil {
		return fmt.Errorf("not every thread became user %s: %w", id.name, err)
	}
	for what, err := range map[string]error{
		"user 0":            syscall.Setuid(0),
		"user 0 (saved)":    syscall.Setresuid(-1, 0, -1),
		"group 0":           syscall.Setgid(0),
		"the groups of old": syscall.Setgroups([]int{0}),
	} {
		if err == nil {
			return fmt.Errorf("user %s could become %s again", id.name, what)
		}
	}
	return nil
}

// proveThreads compares fields of every thread's status; besides those wanted, none may hold a capability or gain one by exec.
func proveThreads(want map[string]string) error {
	const nothing = "0000000000000000"
	all := map[string]string{"CapInh": nothing, "CapPrm": nothing, "CapEff": nothing, "CapAmb": nothing, "NoNewPrivs": "1"}
	for k, v := range want {
		all[k] = v
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		return errors.New("/proc/self/task cannot be read, and without it nothing is proven; mount /proc")
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		} else if err != nil {
			return err
		}
		found := 0
		for line := range strings.Lines(string(status)) {
			field, value, _ := strings.Cut(line, ":")
			w, ok := all[field]
			if !ok {
				continue
			}
			found++
			if value = strings.TrimSpace(value); value != w {
				return fmt.Errorf("%s: %s is %q, not %q", path, field, value, w)
			}
		}
		if found != len(all) {
			return fmt.Errorf("%s: %d of %d fields found", path, found, len(all))
		}
	}
	return nil
}
