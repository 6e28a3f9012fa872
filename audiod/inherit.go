package audiod

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// Inherited is the worker's first call: it takes what the keeper left it. ready tells the keeper that clients are served now and which
// device plays; call it once. The listeners do not block. SIGTERM asks the worker to end with status 0; SIGINT and SIGHUP, which a
// terminal sends to both, are the keeper's business.
func Inherited() (listeners []Listener, ready func(device string), opts Options, err error) {
	if keeper := os.Getenv(keeperEnv); keeper == "" || keeper != strconv.Itoa(os.Getppid()) {
		return nil, nil, Options{}, errors.New("a worker is started by its keeper, or its keeper is gone; start the daemon with sandbox-audio daemon")
	}
	if os.Geteuid() == 0 {
		return nil, nil, Options{}, errors.New("sound is never served as root")
	}
	signal.Ignore(unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
	os.WriteFile("/proc/self/comm", []byte("sandbox-audio"), 0) // a program started through /proc/self/exe is called exe

	unix.CloseOnExec(readyFD)
	unix.CloseOnExec(optionsFD)
	options := os.NewFile(optionsFD, "options")
	b, err := io.ReadAll(options)
	options.Close()
	var left legacy
	if err == nil {
		err = json.Unmarshal(b, &left)
	}
	if err != nil {
		return nil, nil, Options{}, fmt.Errorf("reading the options from the keeper: %w", err)
	}
	for fd := firstListenerFD; fd < firstListenerFD+left.Sockets; fd++ {
		unix.CloseOnExec(fd)
		l, err := listenerOf(fd)
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
		if err != nil {
			return nil, nil, Options{}, fmt.Errorf("socket from the keeper: %w", err)
		}
		listeners = append(listeners, l)
	}
	if left.Bridge {
		left.Options.dials = firstListenerFD + left.Sockets
		unix.CloseOnExec(left.Options.dials)
	}
	left.Options.reserves = left.Reserve
	pipe := os.NewFile(readyFD, "ready")
	return listeners, func(device string) { fmt.Fprintln(pipe, device); pipe.Close() }, left.Options, nil
}
