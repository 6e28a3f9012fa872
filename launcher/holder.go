package launcher

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sandbox-audio/holder"
)

// addressHolder reports who listens on addr, which is written unix:PATH or tcp:127.0.0.1:PORT, most likely one of the
// named processes; ok is false when nobody does.
func addressHolder(addr string, likely ...int) (h holder.Process, ok bool, err error) {
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		h, err = holder.Unix(path)
	} else {
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort(strings.TrimPrefix(addr, "tcp:")); err == nil {
			h, err = holder.TCP(at, likely...)
		}
	}
	if errors.Is(err, holder.ErrNobody) {
		return h, false, nil
	}
	return h, err == nil, err
}

// isDaemon reports whether h can be our daemon: it runs as the daemon's user and, as far as that may be read, it is
// this program. Being of another user is what an impostor cannot avoid; the program tells the owner's own PulseAudio apart.
func isDaemon(h holder.Process, daemonUID int) bool {
	if int(h.UID) != daemonUID {
		return false
	}
	if h.PID == 0 {
		return true
	}
	exe, err := os.Readlink("/proc/" + strconv.Itoa(h.PID) + "/exe")
	if errors.Is(err, fs.ErrPermission) {
		return true
	}
	self, selfErr := os.Executable()
	if err != nil || selfErr != nil {
		return false
	}
	// By name, not by file: a daemon lives on when the binary is replaced by a newer one.
	return filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == filepath.Base(self)
}

// ending reports whether a process is on its way out: it has no program any more, and closes what it has in a moment.
func ending(pid int) bool {
	if pid == 0 {
		return false
	}
	_, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
