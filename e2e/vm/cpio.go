package vm

import (
	"fmt"
	"io"
)

// entry is one file of an initramfs.
type entry struct {
	name string
	mode uint32 // type and permissions, as in struct stat
	data []byte
}

const (
	modeDir  = 0o040755
	modeExec = 0o100755
	modeLink = 0o120777
)

// writeCPIO writes entries in the "newc" form that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func writeCPIO(w io.Writer, entries []entry) error {
	for i, e := range append(entries, entry{name: "TRAILER!!!"}) {
		head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			i+1, e.mode, 0, 0, 1, 0, len(e.data), 0, 0, 0, 0, len(e.name)+1, 0, e.name)
		for _, part := range []string{head, string(e.data)} {
			if _, err := io.WriteString(w, part+"\x00\x00\x00"[:-len(part)&3]); err != nil {
				return err
			}
		}
	}
	return nil
}
