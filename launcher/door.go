package launcher

import (
	"context"
	"errors"
	"os"

	"sandbox-audio/launcher/wayland"
)

// EngineName is what compositors are told keeps the helper's programs apart.
const EngineName = "sandbox-audio"

// door is the way from a socket in the helper's runtime directory to the owner's compositor, for one run. The entry
// program makes the socket and sends it; whatever becomes of this process, the way ends with it.
type door struct {
	compositor *wayland.Compositor
	uid        int // whose programs may pass
	who        wayland.Context

	shut func()
}

// open begins to let programs through. It takes the listener over.
func (d *door) open(listener *os.File, say func(string)) {
	ctx, cancel := context.WithCancel(context.Background())
	closer, err := d.compositor.Restrict(ctx, listener, d.who)
	if err == nil {
		listener.Close()
		d.shut = func() {
			cancel()
			closer.Close()
		}
		return
	}
	if !errors.Is(err, wayland.ErrNoContext) {
		say("note: " + err.Error() + "; the program's windows go through a proxy instead")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.compositor.Proxy(ctx, listener, d.uid); ctx.Err() == nil {
			say("the program can open no more windows: " + err.Error())
		}
	}()
	d.shut = func() {
		cancel()
		<-done
	}
}

// close ends it.
func (d *door) close() {
	if d != nil && d.shut != nil {
		d.shut()
	}
}
