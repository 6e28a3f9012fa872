//go:build amd64 || arm64

package realtime

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// overran is set by the handler of SIGXCPU, which is not Go's: it makes the very thread that the signal stopped ordinary, in the midst of what
// that does, and returns. A goroutine that waited for the signal could wait for long: its thread may stand in the queue behind the one that
// does not end. And on a single processor nothing else would help a thread that spins until an ordinary one has let go of something, as the
// runtime does for some microseconds of a garbage collection.
var overran int32

// overrun is the handler, restore its way back; the code addresses are for the kernel.
func overrun()
func restore()
func handlerPC() (handler, restorer uintptr)

// sigaction is the kernel's struct sigaction.
type sigaction struct{ handler, flags, restorer, mask uintptr }

// Of asm/signal.h.
const (
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
)

// Bound has this process's realtime threads give up their priority when they have run for some time without sleeping.
func Bound() error {
	handler, restorer := handlerPC()
	act := sigaction{handler: handler, flags: saOnStack | saRestart, restorer: restorer}
	if restorer != 0 {
		act.flags |= saRestorer
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGXCPU), uintptr(unsafe.Pointer(&act)), 0, unsafe.Sizeof(act.mask), 0, 0); errno != 0 {
		return fmt.Errorf("realtime threads cannot be kept from running for ever: sigaction: %w", errno)
	}
	return nil
}

// Overran reports whether that has happened since it was last called.
func Overran() bool { return atomic.LoadInt32(&overran) != 0 && atomic.SwapInt32(&overran, 0) != 0 }
