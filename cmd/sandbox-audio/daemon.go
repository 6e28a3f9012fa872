package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"

	"sandbox-audio/audiod"
	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/pcm"
)

// workerCommand is the hidden command with which the keeper starts its worker; execute knows it.
const workerCommand = "daemon-worker"

// askCommand is the hidden command with which the keeper has the owner asked.
const askCommand = "daemon-ask"

func newDaemonCommand() *cobra.Command {
	var o audiod.Options
	cmd := &cobra.Command{
		Use:   "daemon --listen ADDR [--listen ADDR]...",
		Short: "Serve sound in the foreground",
		Long: `Own the sound card and mix the sound of the users who are allowed to play, whom the kernel tells apart. "run" starts a daemon
when none runs, so this command is for service managers and for sound without a helper.

ADDR is unix:/path, tcp:127.0.0.1:PORT or tcp:[::1]:PORT. The daemon's own user may do everything; --allow gives a user, or the
members of a group, playback and nothing else. Started as root, the daemon becomes --user before it serves.`,
		Example: `  sandbox-audio daemon --listen unix:/run/sandbox-audio/me/native --listen tcp:127.0.0.1:4713 --allow me-sandbox --allow @kids
  PULSE_SERVER=tcp:127.0.0.1:4713 paplay song.wav     # as one of those who are allowed`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runDaemon(o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Listen, "listen", nil, "address to serve, may be repeated")
	f.StringArrayVar(&o.Allow, "allow", nil, "`USER or @GROUP` that may play, may be repeated")
	f.StringArrayVar(&o.Devices, "device", nil, "where the sound goes, may be repeated, the first is the default: "+device.Forms)
	f.StringArrayVar(&o.Sources, "source", nil, "what the microphone is, may be repeated, the first is the default: "+device.SourceForms)
	f.StringArrayVar(&o.Microphones, "mic", nil, "`USER=STATE`: what a user hears of it as long as you say nothing else, may be repeated; none (there is no microphone), deny, ask or allow")
	f.TextVar(&o.Resampler, "resampler", pcm.Normal, "how well rates are converted: `normal or best`, which takes twice the processor's time for it and 2 ms more")
	f.BoolVar(&o.Dither, "dither", false, "what goes to 16 bits from more gets the noise that keeps what is soft from being bent")
	f.StringVar(&o.User, "user", "sandbox-audio", "whom the daemon becomes when root starts it")
	f.StringArrayVar(&o.Ceilings, "max-volume", nil, "`USER=DB`: how loud USER's programs can make themselves, 0 unless said; may be repeated")
	f.StringVar(&o.State, "state", "", "`DIR` to remember volumes in, or none (default: ~/.local/state/sandbox-audio, for root /var/lib/sandbox-audio)")
	completeFlag(cmd, "device", sinkWords)
	completeFlag(cmd, "source", sourceWords)
	completeFlag(cmd, "resampler", cobra.FixedCompletions([]string{pcm.Normal.String(), pcm.Best.String()}, cobra.ShellCompDirectiveNoFileComp))
	f.DurationVar(&o.IdleExit, "idle-exit", 0, "end after so long without clients; 0 is never")
	return cmd
}

func runDaemon(o audiod.Options) error {
	if len(o.Listen) == 0 && os.Getenv("LISTEN_FDS") == "" {
		return fmt.Errorf("nothing to listen on; try: sandbox-audio daemon --listen unix:%s/sandbox-audio-native --listen tcp:127.0.0.1:4713", runtimeDir())
	}
	if o.IdleExit < 0 || o.IdleExit > 0 && o.IdleExit < time.Second {
		return errors.New("--idle-exit must be a second or more, as in --idle-exit 1m")
	}
	switch o.State {
	case "":
		o.State = stateDir()
	case "none":
		o.State = ""
	}
	o.Ask = []string{askCommand}
	return audiod.Keep(o, workerCommand)
}

// stateDir is where the daemon's user keeps what is to last.
func stateDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/sandbox-audio"
	}
	return filepath.Join(xdg.StateHome, "sandbox-audio")
}

func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return "/run"
}

func newAskCommand() *cobra.Command {
	return &cobra.Command{
		Use:    askCommand + " UID PID",
		Short:  "The daemon's question whether somebody may record; asked by the daemon",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			uid, err := strconv.ParseUint(args[0], 10, 32)
			pid, pidErr := strconv.Atoi(args[1])
			if err = errors.Join(err, pidErr); err != nil {
				return err
			}
			return &statusError{status: audiod.Ask(uint32(uid), pid)}
		},
	}
}
