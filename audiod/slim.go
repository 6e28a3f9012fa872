package audiod

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// slimmer makes what gives back the memory that only starting has needed: garbage, and the program's own pages, of which a start touches most and a
// daemon at work few. Such a page comes back from the kernel's memory of the file when it is used again. The keeper and its worker call it once, when
// they serve; by then the worker could not read the list of its pages any more.
func slimmer() (slim func()) {
	self, err := os.Readlink("/proc/self/exe")
	maps, mapsErr := os.ReadFile("/proc/self/maps")
	if err != nil || mapsErr != nil {
		return debug.FreeOSMemory
	}
	var pages [][2]uintptr
	for line := range bytes.Lines(maps) {
		var from, to uintptr
		var may, offset, device, inode, path string // proc_pid_maps(5)
		n, _ := fmt.Sscanf(string(line), "%x-%x %s %s %s %s %s", &from, &to, &may, &offset, &device, &inode, &path)
		if n == 7 && path == self && may[1] != 'w' {
			pages = append(pages, [2]uintptr{from, to})
		}
	}
	return func() {
		debug.FreeOSMemory()
		for _, p := range pages {
			unix.Syscall(unix.SYS_MADVISE, p[0], p[1]-p[0], unix.MADV_DONTNEED)
		}
	}
}
