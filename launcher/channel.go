package launcher

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The owner's run and the entry program talk over one socket whose name run makes up for each start. Both ends ask the
// kernel who the other is. Messages are JSON behind a length of four bytes, big-endian; the request carries the
// program's standard input, output and error as descriptors, so that neither sudo nor su comes between.
//
//	run                              entry
//	 request {argv, env, …} + fds   ─►
//	                                ◄─ outcome {listens} + a socket      where windows go to a compositor
//	                                ◄─ outcome {pid} + what it made for run to serve     or outcome {code, error}, and the end
//	 order {signal | enter}         ─►  any number
//	                                ◄─ outcome {code | signal}, and the end
//
// The entry program is the helper's, so run takes what it says for no more than what a hostile program might say.
type request struct {
	Argv       []string `json:"argv"`
	Env        []string `json:"env"`
	Dir        string   `json:"dir"`
	Home       string   `json:"home"`
	RuntimeDir string   `json:"runtime_dir"`
	Umask      int      `json:"umask"`
	Profile    string   `json:"profile"` // for advice

	Confined confinement `json:"confined,omitzero"`
	Aside    bool        `json:"aside,omitempty"` // for the launcher's own use, whatever the session's programs are held to

	Shares []string `json:"shares,omitempty"` // folders shared with the owner

	Links    bool             `json:"links,omitempty"`    // are passed on to run
	Terminal *terminalRequest `json:"terminal,omitempty"` // nil for none

	Wayland string         `json:"wayland,omitempty"` // the socket to make in the runtime directory for a compositor; empty for none
	Nested  *nestedRequest `json:"nested,omitempty"`  // nil for no X server of the helper's own

	Bus   string            `json:"bus,omitempty"`   // dbus-daemon; empty for no session bus
	Files map[string][]byte `json:"files,omitempty"` // what the helper is given to keep in its runtime directory, by name

	Look     map[string]string `json:"look,omitempty"` // the stamps of the owner's fonts, themes and icons; nil for none of that
	lookLine *os.File          // to ask for those on; comes as a descriptor
}

type order struct {
	Signal syscall.Signal `json:"signal,omitempty"`
	Enter  string         `json:"enter,omitempty"` // the socket of a run that another entry program is to be started for
}

// outcome tells of one of three things: the program runs (PID), could not be run (Error, with 125, 126 or 127 as Code), or
// has ended, with Code or by Signal.
type outcome struct {
	PID    int            `json:"pid,omitempty"`
	Error  string         `json:"error,omitempty"`
	Code   int            `json:"code,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
	Home   bool           `json:"home,omitempty"` // the program started in its home, for it cannot enter the owner's directory

	Listens bool `json:"listens,omitempty"` // for programs that are to reach the compositor; tells of none of the three, and comes before them

	Link string `json:"link,omitempty"` // to open; tells of none of the three, and comes any number of times

	terminal *os.File // these come as descriptors
	wayland  *os.File
}

// The most bytes a message may have. A request holds no more than the kernel passes to a program (execve(2)), and JSON
// needs at most six bytes for one of those.
const (
	maxRequest = 16 << 20
	maxOutcome = 8 << 10
	maxOrder   = 256
)

func encodeMessage(v any, most int) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(body) > most {
		return nil, fmt.Errorf("a message of %d bytes is over the limit of %d", len(body), most)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

func writeMessage(w io.Writer, v any, most int) error {
	text, err := encodeMessage(v, most)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func readMessage(r io.Reader, v any, most int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	return readBody(r, head, v, most)
}

func readBody(r io.Reader, head [4]byte, v any, most int) error {
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(most) {
		return fmt.Errorf("a message of %d bytes is over the limit of %d", n, most)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// writeWith sends a message with descriptors attached to its first bytes.
func writeWith(conn *net.UnixConn, v any, most int, fds ...int) error {
	text, err := encodeMessage(v, most)
	if err != nil {
		return err
	}
	return sendWith(conn, text, fds...)
}

func sendWith(conn *net.UnixConn, text []byte, fds ...int) error {
	n, _, err := conn.WriteMsgUnix(text, unix.UnixRights(fds...), nil)
	if err == nil && n < len(text) {
		_, err = conn.Write(text[n:])
	}
	return err
}

// readWith is the other end of writeWith; more descriptors than most are an error. They are closed on exec, and the caller's
// to close, also when there is an error.
func readWith(conn *net.UnixConn, v any, most, mostFDs int) (fds []int, err error) {
	var head [4]byte
	oob := make([]byte, unix.CmsgSpace(mostFDs*4))
	n, oobn, flags, _, err := conn.ReadMsgUnix(head[:], oob)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		more, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	if len(fds) > mostFDs || flags&unix.MSG_CTRUNC != 0 {
		return fds, fmt.Errorf("more than %d descriptors came along", mostFDs)
	}
	if n < len(head) {
		if _, err := io.ReadFull(conn, head[n:]); err != nil {
			return fds, io.ErrUnexpectedEOF
		}
	}
	return fds, readBody(conn, head, v, most)
}

// sendRequest sends a request as encodeMessage wrote it, the three descriptors and, when there is one, the line.
func sendRequest(conn *net.UnixConn, text []byte, stdio [3]*os.File, look *os.File) error {
	fds := []int{int(stdio[0].Fd()), int(stdio[1].Fd()), int(stdio[2].Fd())}
	if look != nil {
		fds = append(fds, int(look.Fd()))
	}
	return sendWith(conn, text, fds...)
}

// receiveOutcome takes what the entry program says, and the terminal's master and the listening socket if it sends them.
func receiveOutcome(conn *net.UnixConn, o *outcome) error {
	fds, err := readWith(conn, o, maxOutcome, 2)
	for _, fd := range fds {
		switch {
		case err == nil && o.terminal == nil && isMaster(fd):
			o.terminal = os.NewFile(uintptr(fd), "terminal")
		case err == nil && o.wayland == nil && isListener(fd):
			o.wayland = os.NewFile(uintptr(fd), "wayland")
		default:
			_ = unix.Close(fd)
		}
	}
	return err
}

func isListener(fd int) bool {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listens != 1 {
		return false
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX && unix.SetNonblock(fd, true) == nil
}

// receiveRequest is the other end of sendRequest.
func receiveRequest(conn *net.UnixConn) (req request, stdio []int, err error) {
	if stdio, err = readWith(conn, &req, maxRequest, 4); err != nil {
		return req, nil, err
	}
	want := 3
	if req.Look != nil {
		want = 4
	}
	if len(stdio) != want {
		return req, nil, fmt.Errorf("%d descriptors came with the request, not %d", len(stdio), want)
	}
	if req.Look != nil {
		req.lookLine, stdio = os.NewFile(uintptr(stdio[3]), "line"), stdio[:3]
	}
	if len(req.Argv) == 0 {
		return req, nil, errors.New("the request names no program")
	}
	return req, stdio, nil
}
