package audiod

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/audiod/bridge"
	"sandbox-audio/audiod/loop"
)

// On a desktop the card belongs to the owner's sound server, and the daemon plays there as one of its clients. The worker may connect to
// nothing, so the keeper does it, which is the owner, and hands the connection over without having read from it:
//
//	worker ─ a byte ─► keeper: connect, read the owner's key ─ the socket (SCM_RIGHTS) and the key, or what was in the way ─► worker

// bridgeSpec is the --device form of the owner's sound server; behind a colon its address may follow.
const bridgeSpec = "pulse"

// auto is the form that leaves the choice of devices to the daemon.
const auto = "auto"

// dialTime is what a server has to take a connection in.
const dialTime = 2 * time.Second

// keySize is the length of such a server's key (NATIVE_COOKIE_LENGTH).
const keySize = 256

// soundServer is the address that --device pulse:ADDR names, or else that of the owner's server, in the form of net.Dial. The places
// are libpulse's (pulse(1), PULSE_SERVER; pulsecore/core-util.c, pa_get_runtime_dir).
func soundServer(addr string) (network, where string, err error) {
	if addr == "" {
		addr, _, _ = strings.Cut(strings.TrimSpace(os.Getenv("PULSE_SERVER")), " ")
	}
	if _, rest, named := strings.Cut(addr, "}"); named && strings.HasPrefix(addr, "{") { // of one machine
		addr = rest
	}
	if addr == "" {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" {
			return "", "", errors.New("XDG_RUNTIME_DIR is not set, so the owner's sound server cannot be found; name it with --device pulse:unix:/path/to/native")
		}
		addr = "unix:" + filepath.Join(dir, "pulse", "native")
	}
	network, where, _ = strings.Cut(addr, ":")
	switch {
	case strings.HasPrefix(addr, "/"):
		network, where = "unix", addr
	case (network == "tcp" || network == "tcp4" || network == "tcp6") && where != "":
		if _, _, err := net.SplitHostPort(where); err != nil {
			where = net.JoinHostPort(strings.Trim(where, "[]"), "4713")
		}
	case network != "unix" || !strings.HasPrefix(where, "/"):
		return "", "", fmt.Errorf("the sound server's address %q is neither unix:/path nor tcp:HOST:PORT", addr)
	}
	return network, where, nil
}

// dialServer connects to the owner's sound server, unless that is one of the daemon's own addresses.
func dialServer(addr string, own []Listener) (*os.File, error) {
	network, where, err := soundServer(addr)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(own, func(l Listener) bool { return l.Address.String() == network+":"+where }) {
		return nil, fmt.Errorf("the owner's sound server is this very daemon, at %s:%s; unset PULSE_SERVER, or name a card with --device", network, where)
	}
	conn, err := net.DialTimeout(network, where, dialTime)
	if err != nil {
		return nil, fmt.Errorf("the owner's sound server does not answer: %w", err)
	}
	defer conn.Close()
	return conn.(interface{ File() (*os.File, error) }).File()
}

// serverKey is the key that a sound server wants to see of those whom it does not know by the kernel's word, or nil: pulse-client.conf(5), cookie-file.
func serverKey() []byte {
	places := []string{os.Getenv("PULSE_COOKIE")}
	if config, err := os.UserConfigDir(); err == nil {
		places = append(places, filepath.Join(config, "pulse", "cookie"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, ".pulse-cookie"))
	}
	for _, place := range places {
		if key, err := os.ReadFile(place); err == nil && len(key) == keySize {
			return key
		}
	}
	return nil
}

// devices is what a worker that starts now plays on: "auto" is the owner's sound server, where one answers. On a desktop it has the cards.
func (k *keeper) devices() []string {
	if k.chooses() && k.answers() {
		return []string{bridgeSpec}
	}
	return k.opts.Devices
}

// chooses tells whether the choice of devices is the daemon's, and an owner's sound server is among them. Who started it as root has none.
func (k *keeper) chooses() bool {
	return (len(k.opts.Devices) == 0 || slices.Equal(k.opts.Devices, []string{auto})) && k.user.uid == 0
}

// answers tells whether the owner's sound server does.
func (k *keeper) answers() bool {
	conn, err := dialServer("", k.listeners)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// bridges tells whether sound goes to the owner's sound server, or may do so one day.
func (k *keeper) bridges() bool {
	return k.chooses() || slices.ContainsFunc(k.opts.Devices, isBridge)
}

func isBridge(spec string) bool { return spec == bridgeSpec || strings.HasPrefix(spec, bridgeSpec+":") }

// bridge makes the pair of sockets for a worker, whose end it returns; nil where there is no need of it.
func (k *keeper) bridge() (*os.File, error) {
	if !k.bridges() {
		return nil, nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	go k.serveDials(os.NewFile(uintptr(pair[0]), "worker"))
	return os.NewFile(uintptr(pair[1]), "keeper"), nil
}

// serveDials makes connections for a worker, as often as it asks through its end of a pair of sockets, until it has ended.
func (k *keeper) serveDials(at *os.File) {
	defer at.Close()
	addr := ""
	for _, spec := range k.opts.Devices {
		if rest, ok := strings.CutPrefix(spec, bridgeSpec+":"); ok {
			addr = rest
		}
	}
	for ask := make([]byte, 1); ; {
		if n, err := at.Read(ask); n == 0 || err != nil {
			return
		}
		conn, err := dialServer(addr, k.listeners)
		answer, rights := []byte(nil), []byte(nil)
		if err == nil {
			answer, rights = append([]byte{'+'}, serverKey()...), unix.UnixRights(int(conn.Fd()))
		} else {
			answer = append([]byte{'-'}, err.Error()...)
		}
		err = unix.Sendmsg(int(at.Fd()), answer, rights, nil, 0)
		conn.Close()
		if err != nil {
			return
		}
	}
}

// dialer is the worker's end, on fd: it has connections made, one at a time.
func dialer(l *loop.Loop, fd int) (bridge.Dialer, error) {
	var done func(fd int, cookie []byte, err error)
	_, err := l.Watch(fd, loop.Readable, func(loop.Events) {
		conn, key, err := receiveConn(fd)
		if err == unix.EAGAIN || done == nil {
			return
		}
		tell := done
		done = nil
		tell(conn, key, err)
	})
	return func(then func(int, []byte, error)) {
		done = then
		if _, err := unix.Write(fd, []byte{1}); err != nil {
			l.Post(func() { done = nil; then(-1, nil, fmt.Errorf("asking the keeper for a connection: %w", err)) })
		}
	}, err
}

func receiveConn(fd int) (conn int, key []byte, err error) {
	var answer [4 << 10]byte
	var rights [64]byte
	n, m, _, _, err := unix.Recvmsg(fd, answer[:], rights[:], unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, nil, err
	}
	if n == 0 || answer[0] != '+' {
		return -1, nil, errors.New(string(bytes.TrimPrefix(answer[:n], []byte{'-'})))
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) != 1 {
		return -1, nil, errors.New("the keeper sent no connection")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, nil, errors.New("the keeper sent no connection")
	}
	return fds[0], slices.Clone(answer[1:n]), nil
}
