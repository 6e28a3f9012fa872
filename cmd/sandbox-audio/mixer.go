package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sandbox-audio/audiod/native"
)

func newMixerCommand() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "mixer",
		Short: "Full-screen mixer: levels, volumes, mutes and the microphone, per helper and per stream",
		Long: `Show on the whole terminal how loud every device, helper and stream is and is set, and set it: the arrows choose and turn, m mutes, Enter makes a
device the default, a, d and s allow and deny a helper the microphone or have you asked. q leaves.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runMixer(server) },
	}
	addServerFlag(cmd, &server)
	return cmd
}

const mixerTick = 200 * time.Millisecond // between looks at the daemon

func runMixer(server string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return errors.New("the mixer needs a terminal; elsewhere there are: sandbox-audio volume, mute, mic and streams")
	}
	c, err := dialDaemon(server, "mixer")
	if err != nil {
		return err
	}
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	var view mixerView
	if view.st, err = statusOf(c); err != nil {
		return err
	}
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("this terminal cannot show the mixer: %w", err)
	}
	defer screen.Fini()
	events, quit := make(chan tcell.Event), make(chan struct{})
	defer close(quit)
	go screen.ChannelEvents(events, quit)
	tick := time.NewTicker(mixerTick)
	defer tick.Stop()

	look := func() {
		if c == nil {
			if c, err = dialDaemon(server, "mixer"); err != nil {
				view.said = err.Error()
				return
			}
			view.said = ""
		}
		if st, err := statusOf(c); err == nil {
			view.st = st
		} else {
			view.said = err.Error()
			c.Close()
			c = nil
		}
	}
	for {
		view.draw(screen)
		select {
		case <-tick.C:
			look()
		case e, ok := <-events:
			key, isKey := e.(*tcell.EventKey)
			switch {
			case !ok:
				return nil
			case !isKey:
				screen.Sync() // another size
			default:
				do, leave := view.press(key)
				if leave {
					return nil
				}
				if do != nil && c != nil {
					view.said = ""
					if err := do(c); err != nil {
						view.said = err.Error()
					}
					look()
				}
			}
		}
	}
}

// mixerAct is what a key asks of the daemon.
type mixerAct func(c *native.Client) error
