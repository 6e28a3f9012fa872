package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// controlGroup is a control group of the helper's, made by root where no systemd does: all that root's runs start as the
// helper is in it, also what they leave running. It is lent (lend.go), so that it goes with the last of them.
type controlGroup struct {
	Helper string `json:"helper"`
	Limits limits `json:"limits"`
}

// ourGroups holds those of all helpers.
const ourGroups = cgroups + "/sandbox-audio"

func (g *controlGroup) dir() string { return filepath.Join(ourGroups, g.Helper) }

func (g *controlGroup) file() string { return "cgroup-" + g.Helper }

func (g *controlGroup) leave() {}

func (g *controlGroup) Describe() string { return "the control group " + g.dir() }

// Check never finds one that is as it should be: Apply takes it over from whoever has left it.
func (g *controlGroup) Check() (bool, error) { return false, nil }

func (g *controlGroup) Apply() error {
	for _, dir := range []string{ourGroups, g.dir()} {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A group has the controllers that the one above hands out.
		if err := writeCgroup(filepath.Join(filepath.Dir(dir), "cgroup.subtree_control"), g.Limits.controllers()); err != nil {
			return err
		}
	}
	for name, value := range g.Limits.files() {
		err := writeCgroup(filepath.Join(g.dir(), name), value)
		if name == "memory.swap.max" && errors.Is(err, fs.ErrNotExist) {
			continue // there is no swap to count
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Undo removes the group, unless programs that were left running are in it: they stay held.
func (g *controlGroup) Undo() error {
	for _, dir := range []string{g.dir(), ourGroups} {
		err := syscall.Rmdir(dir)
		if err != nil && err != syscall.ENOENT && err != syscall.EBUSY && err != syscall.ENOTEMPTY {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}

// add puts a process in, and all that it starts from then on.
func (g *controlGroup) add(pid int) error {
	return writeCgroup(filepath.Join(g.dir(), "cgroup.procs"), strconv.Itoa(pid))
}

func (l limits) controllers() string {
	var names []string
	if l.Memory > 0 {
		names = append(names, "+memory")
	}
	if l.Processes > 0 {
		names = append(names, "+pids")
	}
	if l.CPU > 0 {
		names = append(names, "+cpu")
	}
	return strings.Join(names, " ")
}

// files is the limits as a group's files take them.
func (l limits) files() map[string]string {
	files := map[string]string{}
	if l.Memory > 0 {
		files["memory.max"], files["memory.swap.max"] = strconv.FormatUint(l.Memory, 10), "0"
	}
	if l.Processes > 0 {
		files["pids.max"] = strconv.Itoa(l.Processes)
	}
	if l.CPU > 0 {
		const period = 100_000 // µs
		files["cpu.max"] = fmt.Sprint(l.CPU*period/100, " ", period)
	}
	return files
}

func writeCgroup(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
