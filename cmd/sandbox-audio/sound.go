package main

import (
	"context"

	"sandbox-audio/audiod/native"
	"sandbox-audio/launcher"
)

// daemonLink is the sound daemon as the launcher knows it: a connection that the owner holds, by the daemon's own protocol.
type daemonLink struct{}

func (daemonLink) Connect(ctx context.Context, addr string) (launcher.Session, error) {
	return native.Dial(ctx, addr, "sandbox-audio run")
}
