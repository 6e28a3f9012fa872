// Package launcher runs programs as another Unix user and makes, repairs and removes that user.
//
// Three things flow through it. Setup and Teardown walk one list of steps (step.go, setup.go): record, account, home,
// entry program, directories, sudo rule. NewPlan reads the machine into a Plan, a value that says all that a run is
// going to do (plan.go, env.go); Plan.Run does it (run.go): the sound daemon is made sure of (sound.go, holder.go),
// sudo or su, or the entry program of another run (again.go), starts the entry program as the helper (enter.go), which
// takes the request over a socket (channel.go), runs the program, and tells how it ended.
//
//	owner   run ── sudo ──► enter ── fork, exec ──► program      owner's uid │ helper's uid
//	         │◄── request, signals, outcome ──►│                              (sudo and su lie between)
//
// What the helper says is never trusted. The owner's uid decides which records count, the kernel says who is at the
// other end of a socket, and the only file the sudo rule names belongs to root.
package launcher

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// AsOwner starts this process anew as the owner, with none of root's rights, when root acts for somebody else through
// sudo; a run does nothing that needs them. In all other cases it returns nil at once.
func AsOwner(owner Account) error {
	if os.Geteuid() != 0 || owner.UID == 0 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	groups, err := owner.groups()
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(owner.GID); err != nil {
		return err
	}
	if err := syscall.Setuid(owner.UID); err != nil {
		return err
	}
	if syscall.Setuid(0) == nil {
		return fmt.Errorf("still root after becoming %s", owner.Name)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "SUDO_") || strings.HasPrefix(name, "XDG_") || slices.Contains([]string{"HOME", "USER", "LOGNAME", "MAIL", "SHELL"}, name)
	})
	env = append(env, "HOME="+owner.Home, "USER="+owner.Name, "LOGNAME="+owner.Name, "SHELL="+owner.Shell)
	return fmt.Errorf("start anew as %s: %w", owner.Name, syscall.Exec(self, os.Args, env))
}
