//go:build !amd64

package pcm

func dot2(h, a, b []float32) (float32, float32) { return dot2go(h, a, b) }
