package launcher

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sandbox-audio/launcher/x11"
)

// nestedServer is an X server of the helper's own, which shows its screen in one window on the owner's. It has an
// untrusted key there, so that neither it nor a program that takes the key sees anything of the others' windows; on its
// own screen programs may do what they like.
type nestedServer struct{ pid int }

// nestedWait is how long the server may take to be there.
const nestedWait = 10 * time.Second

// nestedRequest is what it is to be like.
type nestedRequest struct {
	Program   string   `json:"program"`             // Xephyr or Xwayland
	Keyboard  []string `json:"keyboard,omitempty"`  // rules, model, layout, variant, options, as setxkbmap(1) takes them
	Resources string   `json:"resources,omitempty"` // lines of RESOURCE_MANAGER
}

// options are the program's own. Xwayland is told of a frame where it knows of frames (from version 23 on).
func (n *nestedRequest) options(title string) []string {
	if filepath.Base(n.Program) == "Xephyr" {
		return []string{"-resizeable", "-screen", "1280x800", "-title", title + " (sandbox)"}
	}
	if help, _ := exec.Command(n.Program, "-help").CombinedOutput(); bytes.Contains(help, []byte("-decorate")) {
		return []string{"-decorate", "-geometry", "1280x800"}
	}
	return nil
}

// furnish gives the server the owner's resources and keyboard. Without them it can be used, too.
func (n *nestedRequest) furnish(at x11.Display, key x11.Key, env []string) {
	if n.Resources != "" {
		if c, err := x11.Dial(context.Background(), at, key); err == nil {
			_ = c.SetRootProperty("RESOURCE_MANAGER", []byte(n.Resources))
			c.Close()
		}
	}
	if len(n.Keyboard) != 5 {
		return
	}
	args := []string{"-rules", n.Keyboard[0], "-model", n.Keyboard[1], "-layout", n.Keyboard[2], "-variant", n.Keyboard[3], "-option", ""}
	if n.Keyboard[4] != "" {
		args = append(args, "-option", n.Keyboard[4])
	}
	cmd := exec.Command("/usr/bin/setxkbmap", args...)
	cmd.Env = env
	_ = cmd.Run()
}

// startXServer starts the server that the request asks for, if it does, and makes the request's display that server.
func startXServer(req *request) (*nestedServer, error) {
	n := req.Nested
	if n == nil {
		return nil, nil
	}
	name := "xauthority-nested-" + strconv.Itoa(os.Getpid())
	path := filepath.Join(req.RuntimeDir, name)
	key := x11.Key{Name: x11.Cookie, Data: make([]byte, 16)}
	rand.Read(key.Data)
	if err := keepFiles(req.RuntimeDir, map[string][]byte{name: key.Authority(x11.Display{})}); err != nil {
		return nil, err
	}
	says, number, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer says.Close()
	defer number.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	argv := slices.Concat([]string{n.Program, "-displayfd", "3", "-auth", path, "-nolisten", "tcp", "-noreset"}, n.options(req.Argv[0]))
	pid, err := req.Confined.start(n.Program, argv, &syscall.ProcAttr{
		Dir: "/", Env: req.Env, Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), number.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", n.Program, err)
	}
	s := &nestedServer{pid}
	number.Close()
	display, err := readNumber(says)
	if err != nil {
		s.end()
		return nil, fmt.Errorf("the X server of the helper's own does not start: %w; see why with: sandbox-audio run %s", err, filepath.Base(n.Program))
	}
	at := x11.Display{Number: display}
	if err := keepFiles(req.RuntimeDir, map[string][]byte{name: key.Authority(at)}); err != nil {
		s.end()
		return nil, err
	}
	req.Env = append(without(req.Env, "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY"), "DISPLAY="+at.String(), "XAUTHORITY="+path)
	n.furnish(at, key, req.Env)
	return s, nil
}

// readNumber reads the display's number, which the server writes when it is ready.
func readNumber(f *os.File) (int, error) {
	if err := f.SetReadDeadline(time.Now().Add(nestedWait)); err != nil {
		return 0, err
	}
	line, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return 0, err
	}
	if len(line) == 0 {
		return 0, errors.New("it ended at once")
	}
	return strconv.Atoi(strings.TrimSpace(string(line)))
}

// end ends the server, and the windows on it.
func (s *nestedServer) end() {
	if s == nil {
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGTERM)
	kill := time.AfterFunc(orphanGrace, func() { _ = syscall.Kill(s.pid, syscall.SIGKILL) })
	defer kill.Stop()
	for {
		if _, err := syscall.Wait4(s.pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}
