//go:build race

package audiod

const raced = true // by the race detector
