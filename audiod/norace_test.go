//go:build !race

package audiod

const raced = false // by the race detector
