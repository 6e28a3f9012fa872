//go:build !amd64 && !arm64

package realtime

import (
	"errors"
	"runtime"
)

// Bound has this process's realtime threads give up their priority when they have run for some time without sleeping.
func Bound() error {
	return errors.New("realtime threads cannot be kept from running for ever on " + runtime.GOARCH)
}

// Overran reports whether that has happened since it was last called.
func Overran() bool { return false }
