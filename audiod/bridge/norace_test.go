//go:build !race

package bridge

const hours = 10
