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
//	 request {argv, env, …} + 3 fds ─►
//	                                ◄─ outcome {pid}      or outcome {code, error}, and the end
//	 order {signal}                 ─►  any number
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

	Bus   string            `json:"bus,omitempty"`   // dbus-daemon; empty for no session bus
	Files map[string][]byte `json:"files,omitempty"` // what the helper is given to keep in its runtime directory, by name
}

type order struct {
	Signal syscall.Signal `json:"signal"`
}

// outcome tells of one of three things: the program runs (PID), could not be run (Error, with 125, 126 or 127 as Code), or
// has ended, with Code or by Signal.
type outcome struct {
	PID    int            `json:"pid,omitempty"`
	Error  string         `json:"error,omitempty"`
	Code   int            `json:"code,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
	Home   bool           `json:"home,omitempty"` // the program started in its home, for it cannot enter the owner's directory
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

// sendRequest sends the request with the three descriptors attached to its first bytes.
func sendRequest(conn *net.UnixConn, req request, stdio [3]*os.File) error {
	text, err := encodeMessage(req, maxRequest)
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(stdio[0].Fd()), int(stdio[1].Fd()), int(stdio[2].Fd()))
	if _, _, err := conn.WriteMsgUnix(text[:4], rights, nil); err != nil {
		return err
	}
	_, err = conn.Write(text[4:])
	return err
}

// receiveRequest is the other end of sendRequest. The descriptors are closed on exec.
func receiveRequest(conn *net.UnixConn) (req request, stdio []int, err error) {
	var head [4]byte
	oob := make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(head[:], oob)
	if err != nil {
		return req, nil, err
	}
	if n < len(head) {
		if _, err := io.ReadFull(conn, head[n:]); err != nil {
			return req, nil, err
		}
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return req, nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return req, nil, err
		}
		stdio = append(stdio, fds...)
	}
	if len(stdio) != 3 {
		return req, nil, fmt.Errorf("%d descriptors came with the request, not 3", len(stdio))
	}
	if err := readBody(conn, head, &req, maxRequest); err != nil {
		return req, nil, err
	}
	if len(req.Argv) == 0 {
		return req, nil, errors.New("the request names no program")
	}
	return req, stdio, nil
}
