package launcher

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// stdio is what the program gets as standard input, output and error: ours, except terminals. A program that holds the
// owner's terminal could read what is typed there; it gets a terminal of the helper's instead (tty.go), or else input
// comes from /dev/null and output goes through a pipe. With an output to go to, the latter is so whatever ours are.
type stdio struct {
	files    [3]*os.File
	copies   []*outputCopy
	opened   []*os.File
	terminal *terminal // nil without
}

// outputCopy carries what the program writes to the terminal.
type outputCopy struct {
	from *os.File
	to   io.Writer
	done chan struct{}
}

func newStdio(tty bool, output io.Writer) (*stdio, error) {
	s := &stdio{files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, null)
	if tty {
		s.terminal = newTerminal(s.files)
		for _, i := range s.terminal.fds {
			s.files[i] = null // until the entry program puts the helper's terminal there
		}
		return s, nil
	}
	if output != nil || isTerminal(os.Stdin) {
		s.files[0] = null
	}
	one := output != nil || sameOpenFile(os.Stdout, os.Stderr) // then one pipe keeps the order of what is written to both
	for i := 1; i <= 2; i++ {
		var to io.Writer = s.files[i]
		if output != nil {
			to = output
		} else if !isTerminal(s.files[i]) {
			continue
		}
		if i == 2 && one {
			s.files[2] = s.files[1]
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			s.close()
			return nil, err
		}
		s.opened = append(s.opened, w)
		s.copies = append(s.copies, &outputCopy{from: r, to: to, done: make(chan struct{})})
		s.files[i] = w
	}
	return s, nil
}

// started closes our ends of what the program now has, and begins to copy. The program is process pid of the helper's, by
// its own word, and master its terminal's other end, if it has one.
func (s *stdio) started(pid int, master *os.File) {
	for _, f := range s.opened {
		f.Close()
	}
	s.opened = nil
	if s.terminal != nil && master != nil {
		s.copies = append(s.copies, s.terminal.start(pid, master))
	}
	for _, c := range s.copies {
		go func() {
			_, _ = io.Copy(c.to, c.from) // a terminal that is gone takes nothing more
			close(c.done)
		}()
	}
}

// close ends the copying. All that the program wrote before it ended is in the pipe by then and still goes out, while
// what it left running in the background may keep the pipe open for ever and is not waited for.
func (s *stdio) close() {
	began := s.opened == nil
	if s.terminal != nil {
		defer s.terminal.restore()
	}
	for _, f := range s.opened {
		f.Close()
	}
	for _, c := range s.copies {
		if began {
			_ = c.from.SetReadDeadline(time.Now())
			<-c.done
			c.drain()
		}
		c.from.Close()
	}
}

// drain copies what is in the pipe now.
func (c *outputCopy) drain() {
	raw, err := c.from.SyscallConn()
	if err != nil || c.from.SetReadDeadline(time.Time{}) != nil {
		return
	}
	buf := make([]byte, 64<<10)
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), buf)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return true
			}
			if _, err := c.to.Write(buf[:n]); err != nil {
				return true
			}
		}
	})
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func sameOpenFile(a, b *os.File) bool {
	sa, errA := a.Stat()
	sb, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}
