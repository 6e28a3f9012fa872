package device

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// openUevents opens a socket on which the kernel tells of devices.
func openUevents() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return -1, fmt.Errorf("uevent socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("uevent socket: %w", err)
	}
	return fd, nil
}

const (
	kernelGroup = 1 // udev tells its own listeners in group 2
	maxUevent   = 8 << 10
	maxUevents  = 256 // taken at once; what is left is taken in the next turn
)

// readUevents takes what waits on the socket and reports whether there was something about sound. It is true, too, when messages were lost.
func readUevents(fd int) (sound bool, err error) {
	buf := make([]byte, maxUevent+1)
	for range maxUevents {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return sound, nil
		case errors.Is(err, unix.ENOBUFS):
			sound = true
			continue
		case err != nil:
			return sound, err
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 || sender.Groups != kernelGroup {
			continue // from another process, which may say what it likes
		}
		subsystem, ok := parseUevent(buf[:n])
		sound = sound || ok && subsystem == "sound"
	}
	return sound, nil
}

// parseUevent reads the kernel's word that a device came, went or changed (lib/kobject_uevent.c): "add@/devices/…", then KEY=VALUE, each ended
// by a zero byte. ok is false when it is none.
func parseUevent(b []byte) (subsystem string, ok bool) {
	text, ended := strings.CutSuffix(string(b), "\x00")
	head, rest, more := strings.Cut(text, "\x00")
	action, path, at := strings.Cut(head, "@")
	if !ended || !more || !at || len(b) > maxUevent {
		return "", false
	}
	told := map[string]string{}
	for pair := range strings.SplitSeq(rest, "\x00") {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := told[key]; !ok || key == "" || twice {
			return "", false
		}
		told[key] = value
	}
	return told["SUBSYSTEM"], action != "" && told["ACTION"] == action && told["DEVPATH"] == path && strings.HasPrefix(path, "/")
}
