package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jfreymuth/pulse"
	"github.com/jfreymuth/pulse/proto"
	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
)

// What demo runs as other users: the helper plays, the stranger knocks.
const (
	chimeCommand    = "demo-chime"
	strangerCommand = "demo-stranger"
)

func newChimeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    chimeCommand,
		Short:  "Play the chime through PULSE_SERVER",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return playChime(os.Getenv("PULSE_SERVER"), chimeTime+10*time.Second)
		},
	}
}

const (
	chimeRate = 44100 // frames per second; not the device's, so that the demo resamples
	chimeTime = 2500 * time.Millisecond
)

// chime is frame n of three bell notes, left and right; ok is false after the last.
func chime(n int) (left, right float32, ok bool) {
	if n >= int(chimeTime.Seconds()*chimeRate) {
		return 0, 0, false
	}
	t := float64(n) / chimeRate
	for i, freq := range []float64{523.25, 659.26, 783.99} { // C5, E5, G5
		since := t - 0.35*float64(i)
		if since < 0 {
			break
		}
		ring := math.Min(since/0.005, 1) * math.Exp(-3*since) * 0.3
		s := ring * (math.Sin(2*math.Pi*freq*since) + 0.3*math.Exp(-4*since)*math.Sin(2*math.Pi*2.76*freq*since))
		pan := 0.35 + 0.15*float64(i)
		left += float32(s * (1 - pan) * 1.4)
		right += float32(s * pan * 1.4)
	}
	fade := float32(math.Min((chimeTime.Seconds()-t)/0.05, 1))
	return left * fade, right * fade, true
}

// playChime plays the chime once through every server of a PULSE_SERVER list, one after another, each within a while.
func playChime(servers string, within time.Duration) error {
	if servers == "" {
		return errors.New("PULSE_SERVER is not set")
	}
	for server := range strings.FieldsSeq(servers) {
		played := make(chan error, 1)
		go func() { played <- playThrough(server) }()
		var err error
		select {
		case err = <-played:
		case <-time.After(within): // the client library waits on when its server has died
			err = fmt.Errorf("in %v it was not heard to the end: the sound daemon has ended, or hangs; what it said is shown by: sudo sandbox-audio logs daemon", within)
		}
		if err != nil {
			return fmt.Errorf("play through %s: %w", server, err)
		}
	}
	return nil
}

// playThrough plays the chime through one server, to the end.
func playThrough(server string) error {
	c, err := pulse.NewClient(pulse.ClientServerString(server), pulse.ClientApplicationName("sandbox-audio demo"))
	if err != nil {
		return err
	}
	defer c.Close()
	n, sent := 0, make(chan struct{})
	s, err := c.NewPlayback(pulse.Float32Reader(func(out []float32) (int, error) {
		for i := 0; i+1 < len(out); i += 2 {
			left, right, ok := chime(n)
			if !ok {
				close(sent)
				return i, pulse.EndOfData
			}
			out[i], out[i+1] = left, right
			n++
		}
		return len(out) / 2 * 2, nil
	}), pulse.PlaybackStereo, pulse.PlaybackSampleRate(chimeRate), pulse.PlaybackLatency(0.25), pulse.PlaybackMediaName("chime"))
	if err != nil {
		return err
	}
	defer s.Close()
	s.Start()
	<-sent
	return errors.Join(s.Error(), c.RawRequest(&proto.DrainPlaybackStream{StreamIndex: s.StreamIndex()}, nil))
}

func newStrangerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    strangerCommand + " ADDR...",
		Short:  "Knock at addresses and print what comes of it",
		Hidden: true,
		Args:   cobra.MinimumNArgs(1),
		Run: func(_ *cobra.Command, addrs []string) {
			for _, addr := range addrs {
				fmt.Println(knock(addr))
			}
		},
	}
}

// What knocking comes to: the stranger was let in, turned away, or found nobody there.
const (
	served      = "served"
	refused     = "refused"
	unreachable = "unreachable"
)

func knock(addr string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := native.Dial(ctx, addr, "stranger")
	var dial *net.OpError
	switch {
	case err == nil:
		c.Close()
		return served
	case errors.As(err, &dial) && dial.Op == "dial":
		return unreachable
	}
	return refused
}
