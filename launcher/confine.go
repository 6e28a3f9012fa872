package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"sandbox-audio/launcher/loopback"
)

// A confinement is what the kernel holds a helper's programs to, beyond what it keeps apart by user. It holds for all that
// the entry program starts, the session bus and what that starts included: a program could have that start anything.
//
//	entry program ─ fork, new network ─► "enter @confined" ─ does it all to itself, exec ─► program
//
// Only what was begun outside is not held, so that nothing else of the helper's may run there: see session.agree.
type confinement struct {
	NoNetwork  bool `json:"no_network,omitempty"` // a network of its own, with nothing but a loopback
	NoNewPrivs bool `json:"no_new_privs,omitempty"`
	Nice       int  `json:"nice,omitempty"` // at least

	Group limits `json:"group,omitzero"`  // what the control group is to hold, outside of which nothing is started
	Data  uint64 `json:"data,omitempty"`  // bytes of memory of its own that each process may have; 0 for any number
	Tasks uint64 `json:"tasks,omitempty"` // processes and threads that the user may have; 0 for any number
}

// describe is the confinement for a person to read, one line for each rule.
func (c confinement) describe() (lines []string) {
	if c.NoNetwork {
		lines = append(lines, "no network but a loopback of its own")
	}
	if c.NoNewPrivs {
		lines = append(lines, "no new privileges: sudo and its like do not work")
	}
	if c.Nice > 0 {
		lines = append(lines, fmt.Sprintf("niceness %d at least", c.Nice))
	}
	together := "all it starts: "
	if c.Data > 0 {
		lines = append(lines, fmt.Sprintf("each process: %d bytes of memory", c.Data))
	}
	if c.Tasks > 0 {
		lines = append(lines, fmt.Sprintf("all of the helper's: %d processes and threads", c.Tasks))
	}
	if c.Group.Memory > 0 {
		lines = append(lines, fmt.Sprint(together, c.Group.Memory, " bytes of memory"))
	}
	if c.Group.Processes > 0 {
		lines = append(lines, fmt.Sprint(together, c.Group.Processes, " processes and threads"))
	}
	if c.Group.CPU > 0 {
		lines = append(lines, fmt.Sprint(together, c.Group.CPU, " % of one processor"))
	}
	return lines
}

const confinedArg = "@confined"

// start is syscall.ForkExec of a confined program. When it fails for the confinement and not for the program, the error is
// a *confinementError. The thread that calls must be the one that is to be the program's parent.
func (c confinement) start(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	if c == (confinement{Group: c.Group}) {
		return syscall.ForkExec(path, argv, attr)
	}
	says, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer says.Close()
	defer tell.Close()
	order, err := json.Marshal(confinedOrder{Confinement: c, Tell: len(attr.Files), Path: path})
	if err != nil {
		return 0, err
	}
	attr.Files = append(attr.Files, tell.Fd())
	c.unshare(attr.Sys)
	pid, err = syscall.ForkExec("/proc/self/exe", append([]string{EntryName, confinedArg, string(order)}, argv...), attr)
	if err != nil {
		return 0, c.refused(err)
	}
	tell.Close()
	var end outcome
	if err := readMessage(says, &end, maxOutcome); err == io.EOF {
		return pid, nil // the pipe has closed with exec
	} else if err != nil {
		end.Error = err.Error()
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if end.Code == StatusCannotExecute {
		return 0, errors.New(end.Error)
	}
	return 0, &confinementError{errors.New(end.Error)}
}

// confinedOrder is what "enter @confined" is to do.
type confinedOrder struct {
	Confinement confinement `json:"confinement"`
	Path        string      `json:"path"`
	Tell        int         `json:"tell"` // the descriptor for what goes wrong
}

// enterConfined confines this process, and becomes the program.
func enterConfined(text string, argv []string) error {
	var o confinedOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	unix.CloseOnExec(o.Tell)
	tell := os.NewFile(uintptr(o.Tell), "tell")
	err := o.Confinement.guard() // exec ends what it does against tracing
	if err == nil {
		err = o.Confinement.apply()
	}
	if err != nil {
		return writeMessage(tell, outcome{Error: err.Error(), Code: StatusFailed}, maxOutcome)
	}
	err = syscall.Exec(o.Path, argv, os.Environ())
	err = &fs.PathError{Op: "execute", Path: o.Path, Err: err}
	return writeMessage(tell, outcome{Error: err.Error(), Code: StatusCannotExecute}, maxOutcome)
}

// unshare has the process to be forked begin in a network of its own. That takes a user namespace too, in which the user
// stays who it is (user_namespaces(7)).
func (c confinement) unshare(sys *syscall.SysProcAttr) {
	if !c.NoNetwork {
		return
	}
	uid, gid := os.Geteuid(), os.Getegid()
	sys.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
	sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	sys.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN} // for the loopback; apply gives it up
}

// apply confines this thread, and what it becomes by exec.
func (c confinement) apply() error {
	if c.NoNetwork {
		if err := loopback.Up(); err != nil {
			return c.refused(fmt.Errorf("bring up the loopback: %w", err))
		}
		if err := dropCapabilities(); err != nil {
			return fmt.Errorf("give up the right to a network: %w", err)
		}
	}
	if c.Nice > 0 {
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if now := 20 - raw; err == nil && now < c.Nice { // as the system call has it (getpriority(2), C library/kernel differences)
			err = unix.Setpriority(unix.PRIO_PROCESS, 0, c.Nice)
		}
		if err != nil {
			return fmt.Errorf("nice = %d: %w", c.Nice, err)
		}
	}
	if err := lower(unix.RLIMIT_DATA, c.Data); err != nil {
		return fmt.Errorf("memory = %d: %w", c.Data, err)
	}
	if err := lower(unix.RLIMIT_NPROC, c.Tasks); err != nil {
		return fmt.Errorf("processes = %d: %w", c.Tasks, err)
	}
	if c.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
	}
	return nil
}

// guard keeps this process, which is of the same user as the programs it starts, from being their way out: where the kernel
// lets programs of one user trace each other (ptrace(2)), they could have it start another. One in a user namespace of its
// own cannot trace what is outside, and a control group has this process in it.
func (c confinement) guard() error {
	if c.NoNewPrivs {
		if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
			return fmt.Errorf("no_new_privs: %w", errno)
		}
	}
	if (c.Data > 0 || c.Tasks > 0) && !c.NoNetwork {
		return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	return nil
}

// lower lowers a resource limit of this process for good; 0 leaves it.
func lower(resource int, to uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil || to == 0 {
		return err
	}
	to = min(to, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: to, Max: to})
}

func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	var none [2]unix.CapUserData // version 3 takes two (capset(2))
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}

// confinementError is why a program was not run at all: it would have run unconfined.
type confinementError struct{ err error }

func (e *confinementError) Error() string { return e.err.Error() }
func (e *confinementError) Unwrap() error { return e.err }

// refused says what to do where the kernel does not let the helper have a network of its own.
func (c confinement) refused(err error) error {
	if !c.NoNetwork {
		return err
	}
	advice := "see: man 7 user_namespaces"
	if name, to := namespacesClosed("/"); name != "" {
		advice = fmt.Sprintf("%s keeps it from that; change it with: sudo sysctl %s=%s", name, name, to)
	}
	return &confinementError{fmt.Errorf("network = off: the kernel does not let the helper have a network of its own: %w; %s", err, advice)}
}

// namespacesClosed names the kernel's setting, if one does, that keeps users from namespaces of their own, and the value
// that does not. root is where /proc is looked at.
func namespacesClosed(root string) (name, to string) {
	for _, setting := range []struct{ name, is, to string }{
		{"user.max_user_namespaces", "0", "15000"},
		{"user.max_net_namespaces", "0", "15000"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		text, err := os.ReadFile(root + "/proc/sys/" + strings.ReplaceAll(setting.name, ".", "/"))
		if err == nil && strings.TrimSpace(string(text)) == setting.is {
			return setting.name, setting.to
		}
	}
	return "", ""
}
