package main

import (
	"net"
	"strings"
	"testing"
	"time"
)

// A daemon that hangs, or has died in the middle, is no reason to wait for ever.
func TestChimeEnds(t *testing.T) {
	path := t.TempDir() + "/native"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() { ended <- playChime("unix:"+path, 100*time.Millisecond) }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "sandbox-audio logs daemon") {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits")
	}
}
