package audiod

import (
	"debug/elf"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// slimmer makes what gives back the memory that only starting has needed: garbage, and the program's own pages, of which a start touches most and a
// daemon at work few. Such a page comes back from the kernel's memory of the file when it is used again. The keeper and its worker call it once, when
// they serve; by then the worker could not open the file any more.
//
// A program that is linked as it is loaded keeps its pages, since some hold addresses that were filled in then and that the file has not.
func slimmer() (slim func()) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return debug.FreeOSMemory
	}
	defer f.Close()
	var pages [][2]uintptr
	for _, p := range f.Progs {
		switch {
		case p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC:
			return debug.FreeOSMemory
		case p.Type == elf.PT_LOAD && p.Flags&elf.PF_W == 0:
			pages = append(pages, [2]uintptr{uintptr(p.Vaddr), uintptr(p.Filesz)})
		}
	}
	return func() {
		debug.FreeOSMemory()
		for _, p := range pages {
			unix.Syscall(unix.SYS_MADVISE, p[0], p[1], unix.MADV_DONTNEED)
		}
	}
}
