package launcher

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A link that a helper's program wants opened goes to the owner's browser, where the profile says links = true:
//
//	program ─► xdg-open (this binary, first in the program's PATH) ─► entry program ─► run ─► the owner's xdg-open
//
// The first three are the helper's, so run takes the link for what a hostile program may have written: it is checked,
// rewritten, and counted.

// LinkName is what this binary is called to be the helper's xdg-open; it must then call OpenLink and nothing else.
const LinkName = "xdg-open"

const (
	linkSocket = "SANDBOX_AUDIO_LINKS" // names the entry program's socket in the program's environment
	linkDir    = "links"               // in the runtime directory
	maxLink    = 2048                  // bytes
	linkBurst  = 3
	linkEvery  = 2 * time.Second // after a burst
)

// OpenLink is xdg-open as the helper's programs find it. What is no link that the owner's browser opens goes to the real one.
func OpenLink(args []string) int {
	err := errors.New("not one link")
	if len(args) == 1 {
		if _, err = checkLink(args[0]); err == nil {
			err = passLink(args[0])
		}
	}
	if err == nil {
		return 0
	}
	path, lookErr := lookPath(LinkName, []string{"PATH=" + helperPath})
	if lookErr != nil {
		fmt.Fprintln(os.Stderr, "xdg-open:", err)
		return StatusNotFound
	}
	err = syscall.Exec(path, append([]string{LinkName}, args...), os.Environ())
	fmt.Fprintln(os.Stderr, "xdg-open:", err)
	return StatusCannotExecute
}

func passLink(link string) error {
	conn, err := net.Dial("unix", os.Getenv(linkSocket))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(requestWait)), writeMessage(conn, outcome{Link: link}, maxOutcome)); err != nil {
		return err
	}
	// The entry program hangs up when it has passed the link on. It listens for as long as the program runs, which may be just this one.
	switch _, err := conn.Read(make([]byte, 1)); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("the link was not passed on: what took it is not the entry program, which says nothing")
	default:
		return fmt.Errorf("the link was not passed on: %w", err)
	}
}

// serveLinks is the entry program's part: it passes on what programs of its own user send. The environment of the
// program leads to it.
func serveLinks(req *request, to *net.UnixConn) (stop func(), err error) {
	if !req.Links {
		return func() {}, nil
	}
	dir := filepath.Join(req.RuntimeDir, linkDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(self, filepath.Join(dir, LinkName)); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	var random [16]byte
	rand.Read(random[:])
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "@sandbox-audio-links-" + hex.EncodeToString(random[:])})
	if err != nil {
		return nil, err
	}
	for i, v := range req.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			req.Env[i] = "PATH=" + dir + ":" + path
		}
	}
	req.Env = append(req.Env, linkSocket+"="+l.Addr().String())
	go func() {
		for {
			conn, err := acceptFrom(l, os.Geteuid())
			if err != nil {
				return // stopped
			}
			var o outcome
			if conn.SetReadDeadline(time.Now().Add(requestWait)) == nil && readMessage(conn, &o, maxOutcome) == nil && o.Link != "" {
				_ = writeMessage(to, outcome{Link: o.Link}, maxOutcome) // run may be gone, and then nobody opens it
			}
			conn.Close()
		}
	}()
	return func() { l.Close() }, nil
}

// linkOpener is run's part.
type linkOpener struct {
	say   func(string)
	left  float64 // of the burst
	last  time.Time
	quiet bool // the owner knows that there were too many
}

// open opens a link that the helper sent, in the owner's browser.
func (o *linkOpener) open(text string) {
	if !o.allowed(time.Now()) {
		if !o.quiet {
			o.say("note: the program opens too many links; those that are too many are left out")
		}
		o.quiet = true
		return
	}
	link, err := checkLink(text)
	if err != nil {
		o.say("note: a link was not opened: " + err.Error())
		return
	}
	path, err := exec.LookPath(LinkName)
	if err != nil {
		o.say("note: a link was not opened: " + err.Error() + "; install it with: apt install xdg-utils")
		return
	}
	cmd := exec.Command(path, link)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		o.say("note: a link was not opened: " + err.Error())
		return
	}
	go cmd.Wait() // whether the browser is content is between it and the owner
}

func (o *linkOpener) allowed(now time.Time) bool {
	if o.last.IsZero() {
		o.left = linkBurst
	} else {
		o.left = min(linkBurst, o.left+float64(now.Sub(o.last))/float64(linkEvery))
	}
	o.last = now
	if o.left < 1 {
		return false
	}
	o.left--
	return true
}

// checkLink is the link as it may be handed to the owner's programs: of a scheme that leads to a web page or a letter, and
// without a character that a shell, in the scripts that xdg-open is made of, gives a meaning to.
func checkLink(text string) (string, error) {
	if len(text) > maxLink {
		return "", fmt.Errorf("it has %d bytes, more than %d", len(text), maxLink)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("%.100q is no link", text)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto":
		return "", fmt.Errorf("links of the kind %.20q are not for the owner", u.Scheme)
	case u.Scheme != "mailto" && u.Hostname() == "", u.Scheme == "mailto" && u.Opaque == "":
		return "", fmt.Errorf("%.100q leads nowhere", text)
	}
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!&+,=%", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String(), nil
}
