package audiod

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// slimmer makes what gives back the memory that only starting has needed: garbage, and the program's own pages, of which a start touches most and a
// daemon at work few. Such a page comes back from the kernel's memory of the file when it is used again. The keeper and its worker call it once, when
// they serve; by then the worker could not see any more where its pages are.
func slimmer() (slim func()) {
	var pages [][2]uintptr
	if linkedForGood() {
		maps, _ := os.ReadFile("/proc/self/maps") // proc_pid_maps(5); without it the garbage alone is given back
		for line := range strings.Lines(string(maps)) {
			var from, to uintptr
			var mode, offset, device string
			var inode uint64
			_, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &mode, &offset, &device, &inode)
			if err == nil && inode != 0 && (mode == "r-xp" || mode == "r--p") {
				pages = append(pages, [2]uintptr{from, to - from})
			}
		}
	}
	return func() {
		debug.FreeOSMemory()
		for _, p := range pages {
			unix.Syscall(unix.SYS_MADVISE, p[0], p[1], unix.MADV_DONTNEED)
		}
	}
}

// linkedForGood reports whether this program's pages are as in its file. One that is linked as it is loaded keeps them, since some hold addresses that
// were filled in then and that the file has not. It is asked this way, and not of the file by debug/elf, because every start of the program, also as
// another command, would pay for that package and all that it brings along.
func linkedForGood() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-buildmode", Value: "exe"}) &&
		slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "0"})
}
