//go:build race

package devicetest

// raceDetector is whether the tests run under it: a sync.Pool then forgets on purpose what it was given, and allocates.
const raceDetector = true
