// Package x11 is as much of an X client as lending somebody a display takes: it connects, makes and revokes keys by
// the SECURITY extension, changes the list of local users who need no key, reads and writes what a display
// tells of itself, and reads and writes authority files.
//
//	DISPLAY ─► Display ─┐
//	Xauthority ─► Key ──┴─► Dial ─► Conn: GenerateKey, RevokeKey, AddUser, RemoveUser, RootProperty
//
// The wire format is that of "X Window System Protocol", version 11, and "Security Extension Specification",
// version 7.1; authority files are Xau(3)'s. A Conn is for one goroutine at a time.
package x11

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/launcher/peercred"
)

// Display is where an X server listens.
type Display struct {
	Host   string // empty for a Unix socket on this machine
	Number int
}

// ParseDisplay reads what DISPLAY says (X(7)): [HOST]:NUMBER[.SCREEN].
func ParseDisplay(text string) (Display, error) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return Display{}, fmt.Errorf("DISPLAY %q is not of the form HOST:NUMBER", text)
	}
	number, screen, _ := strings.Cut(text[at+1:], ".")
	n, err := strconv.ParseUint(number, 10, 16)
	if _, badScreen := strconv.ParseUint(screen, 10, 16); err != nil || screen != "" && badScreen != nil {
		return Display{}, fmt.Errorf("DISPLAY %q is not of the form HOST:NUMBER", text)
	}
	d := Display{Host: strings.Trim(text[:at], "[]"), Number: int(n)}
	if d.Host == "unix" {
		d.Host = ""
	}
	if strings.ContainsAny(d.Host, "/ ") {
		return Display{}, fmt.Errorf("DISPLAY %q: only hosts and Unix sockets by number are known", text)
	}
	return d, nil
}

// Socket is the path of the display's Unix socket; empty when it has none.
func (d Display) Socket() string {
	if d.Host != "" {
		return ""
	}
	return "/tmp/.X11-unix/X" + strconv.Itoa(d.Number)
}

// String is the display as DISPLAY writes it, without a screen.
func (d Display) String() string { return d.Host + ":" + strconv.Itoa(d.Number) }

// connect opens a connection to the server. The path comes before the abstract name, which anybody can bind while the
// server does not: whoever answers there must be root or this process's own user.
func (d Display) connect(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	if d.Host != "" {
		return dialer.DialContext(ctx, "tcp", net.JoinHostPort(d.Host, strconv.Itoa(6000+d.Number)))
	}
	conn, err := dialer.DialContext(ctx, "unix", d.Socket())
	if err == nil {
		return conn, nil
	}
	abstract, abstractErr := dialer.DialContext(ctx, "unix", "@"+d.Socket())
	if abstractErr != nil {
		return nil, err
	}
	if cred, credErr := peer(abstract); credErr != nil || cred.Uid != 0 && int(cred.Uid) != os.Getuid() {
		return nil, errors.Join(err, abstract.Close())
	}
	return abstract, nil
}

// peer is who listens at the other end of a Unix socket.
func peer(conn net.Conn) (*unix.Ucred, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return peercred.Of(unixConn)
}

// answerWithin is how long a server may take for one answer. A stopped server must not stop us.
const answerWithin = 5 * time.Second
