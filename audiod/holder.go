package audiod

import (
	"errors"
	"fmt"

	"sandbox-audio/audiod/policy"
	"sandbox-audio/holder"
)

// holderOf says who listens on a. On a Unix socket it connects, and hangs up at once.
func holderOf(a Address) (holder.Process, error) {
	if a.Transport == policy.TCP {
		return holder.TCP(a.AddrPort)
	}
	return holder.Unix(a.Path)
}

// inUse is the error for an address somebody else holds.
func inUse(a Address) error {
	p, err := holderOf(a)
	switch {
	case errors.Is(err, holder.ErrNobody):
		return fmt.Errorf("cannot listen on %v: a socket that does not listen holds it; try again, or choose another address with --listen", a)
	case err != nil:
		return fmt.Errorf("cannot listen on %v: it is in use, and by whom cannot be told (%w); choose another address with --listen", a, err)
	case p.PID == 0:
		return fmt.Errorf("cannot listen on %v: it is in use by %v; choose another address with --listen", a, p)
	}
	return fmt.Errorf("cannot listen on %v: it is in use by %v; stop it with kill %d, or choose another address with --listen", a, p, p.PID)
}
