package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// explain adds to the error of opening p's node what a person needs to get further: who holds it, or what right is missing.
func explain(p endpoint, err error) error {
	if open := (*fs.PathError)(nil); errors.As(err, &open) {
		err = open
	}
	err = fmt.Errorf("%s: %w", p.address(), err)
	switch {
	case errors.Is(err, unix.EBUSY):
		h, ok := findHolder("/proc", p)
		if !ok {
			return fmt.Errorf("%w: another program holds it; see which: sudo fuser -v %s", err, p.node())
		}
		return fmt.Errorf("%w: it is held by %s; %s", err, h, h.advice(p))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s", err, denied(p.node()))
	}
	return err
}

// holder is a process that has a card's node open.
type holder struct {
	pid     int
	program string
	uid     string
}

// findHolder asks the kernel's sound layer who owns p's substreams and, where that does not tell, looks through the open files that
// may be seen. The first is readable to all, the second needs to be the same user or root.
func findHolder(proc string, p endpoint) (holder, bool) {
	for _, sub := range p.substreams(proc) {
		if h, ok := readHolder(proc, field(sub, "owner_pid")); ok {
			return h, true
		}
	}
	fds, _ := filepath.Glob(proc + "/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == p.node() {
			if h, ok := readHolder(proc, filepath.Base(filepath.Dir(filepath.Dir(fd)))); ok {
				return h, true
			}
		}
	}
	return holder{}, false
}

// readHolder describes a process by the id of one of its threads; owner_pid is the thread that opened the node.
func readHolder(proc, id string) (holder, bool) {
	status := filepath.Join(proc, id, "status")
	pid, err := strconv.Atoi(field(status, "Tgid"))
	if id == "" || err != nil {
		return holder{}, false
	}
	comm, _ := os.ReadFile(fmt.Sprintf("%s/%d/comm", proc, pid))
	uid, _, _ := strings.Cut(field(status, "Uid"), "\t")
	return holder{pid, strings.TrimSuffix(string(comm), "\n"), uid}, true
}

// field is the value in a file of "name: value" lines; "" when there is none.
func field(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// String quotes the program's name, which is the program's own choice.
func (h holder) String() string {
	who := "uid " + h.uid
	if u, err := user.LookupId(h.uid); err == nil {
		who = "user " + u.Username
	}
	return fmt.Sprintf("%q (pid %d, %s)", h.program, h.pid, who)
}

func (h holder) advice(p endpoint) string {
	switch h.program {
	case "pulseaudio", "pipewire", "wireplumber":
		if p.capture() {
			return "it lets go some seconds after its last recording, or at once with: pactl suspend-source @DEFAULT_SOURCE@ 1"
		}
		return "it lets go some seconds after its last sound, or at once with: pactl suspend-sink @DEFAULT_SINK@ 1"
	}
	if h.uid == strconv.Itoa(os.Getuid()) {
		return fmt.Sprintf("close it, or: kill %d", h.pid)
	}
	return fmt.Sprintf("close it, or: sudo kill %d", h.pid)
}

// denied says which right to node is missing. On a desktop systemd-logind gives it to whoever sits at the screen, as an ACL.
func denied(node string) string {
	me, group := strconv.Itoa(os.Geteuid()), "audio"
	if u, err := user.LookupId(me); err == nil {
		me = u.Username
	}
	var st unix.Stat_t
	if unix.Stat(node, &st) == nil {
		group = strconv.Itoa(int(st.Gid))
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
	}
	return fmt.Sprintf("it takes the ACL that logind gives the user at the seat (see: getfacl %s; loginctl), or group %s; "+
		"to let user %s in for good: sudo usermod -aG %s %s, then log in anew", node, group, me, group, me)
}
