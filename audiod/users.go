package audiod

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/session"
)

// ofUsers tells what was said of single users.
func (o *Options) ofUsers(ceiling func(uid uint32, most pcm.Volume), microphone func(uid uint32, usual memory.Access)) error {
	if err := perUser(o.Ceilings, parseCeiling, ceiling); err != nil {
		return fmt.Errorf("--max-volume %w", err)
	}
	if err := perUser(o.Microphones, parseAccess, microphone); err != nil {
		return fmt.Errorf("--mic %w", err)
	}
	return nil
}

// perUser reads entries USER=VALUE, the user by name or number.
func perUser[V any](entries []string, parse func(value string) (V, error), tell func(uid uint32, v V)) error {
	for _, entry := range entries {
		name, value, ok := strings.Cut(entry, "=")
		if !ok {
			return fmt.Errorf("%s: it is USER=VALUE", entry)
		}
		id := name
		if u, err := user.Lookup(name); err == nil {
			id = u.Uid
		}
		uid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return fmt.Errorf("%s: there is no user %q: check the spelling with getent passwd, or give the number", entry, name)
		}
		v, err := parse(value)
		if err != nil {
			return fmt.Errorf("%s: %w", entry, err)
		}
		tell(uint32(uid), v)
	}
	return nil
}

// parseCeiling reads a volume in decibels.
func parseCeiling(value string) (pcm.Volume, error) {
	db, err := strconv.ParseFloat(value, 64)
	v, ok := session.Ceiling(db)
	if err != nil || !ok {
		return 0, errors.New("it is from -100 to 20 decibels")
	}
	return v, nil
}

func parseAccess(value string) (memory.Access, error) {
	switch a := memory.Access(value); a {
	case session.NoMicrophone, memory.Deny, memory.Ask, memory.Allow:
		return a, nil
	}
	return "", errors.New("it is none, deny, ask or allow")
}
