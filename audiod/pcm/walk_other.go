//go:build !amd64

package pcm

func (w *walk) run() { w.plain() }
