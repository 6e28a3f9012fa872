package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type runOptions struct {
	profile string
	method  string
	display string
	x11     string
	menu    bool
	tty     string
	dryRun  bool
	showEnv bool
}

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run APP [ARG...]",
		Short: "Run a program as the helper",
		Long: `Run a program as the helper user, with sound and a display. What follows APP belongs to APP.

On Wayland APP sees its own windows only. On an X server it can, like any program there, read every key and picture of the
others; --x11 untrusted keeps it from that, though not from what you copy, at the price of speed and of some programs'
working; --x11 nested gives it an X server of its own in one window.

Exit status: APP's own; 128+n when signal n ended it; 125 when sandbox-audio itself failed, 126 when APP cannot be
executed, 127 when there is no APP.`,
		Example: "  sandbox-audio run firefox --private-window\n  sandbox-audio run --profile bank chromium",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !o.showEnv {
				return &statusError{launcher.StatusFailed, errors.New("no program named; try: sandbox-audio run firefox")}
			}
			return nil
		},
		ValidArgsFunction: runArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			status, err := runRun(o, args)
			if status == 0 && err == nil {
				return nil
			}
			if err != nil {
				// Where there is no terminal nobody would know; where the desktop does not answer either, the status tells.
				_ = launcher.Notify(filepath.Base(append(args, "the program")[0])+" was not started", err.Error())
			}
			return &statusError{status, err}
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &statusError{launcher.StatusFailed, cmd.Root().FlagErrorFunc()(cmd, err)}
	})
	addProfileFlag(cmd, &o.profile)
	cmd.Flags().StringVar(&o.method, "method", "", "how to become the helper: auto, sudo, su, run0 or doas (default auto)")
	cmd.Flags().StringVar(&o.display, "display", "", "what APP shows its windows on: auto, wayland, x11 or none (default the profile's, or auto)")
	cmd.Flags().StringVar(&o.x11, "x11", "", "how far APP may go on your X server: trusted (it can read all your keys and windows), untrusted or nested (default the profile's, or trusted)")
	cmd.Flags().BoolVar(&o.menu, "menu", false, "started from a menu: what the program writes goes to its log, see logs")
	cmd.Flags().StringVar(&o.tty, "tty", "", "whether APP gets a terminal, one of its own that shows on yours: auto, yes or no (default the profile's, or auto: when both its input and output are yours)")
	cmd.Flags().Lookup("tty").NoOptDefVal = launcher.TTYYes
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the plan and run nothing")
	cmd.Flags().BoolVar(&o.showEnv, "show-env", false, "print the environment that APP would have and run nothing")
	completeFlag(cmd, "method", fixed(launcher.Methods...))
	completeFlag(cmd, "display", fixed(launcher.DisplayAuto, launcher.DisplayWayland, launcher.DisplayX11, launcher.DisplayNone))
	completeFlag(cmd, "tty", fixed(launcher.TTYAuto, launcher.TTYYes, launcher.TTYNo))
	completeFlag(cmd, "x11", fixed(launcher.X11Trusted, launcher.X11Untrusted, launcher.X11Nested))
	return cmd
}

func runRun(o runOptions, args []string) (status int, err error) {
	if len(args) == 0 {
		args = []string{"true"} // any program has this environment
	}
	plan, err := planRun(o, args)
	if err != nil {
		return launcher.StatusFailed, err
	}
	if o.showEnv {
		for _, v := range plan.Environ() {
			fmt.Println(v)
		}
		return 0, nil
	}
	if o.dryRun {
		fmt.Print(plan)
		return 0, nil
	}
	if o.menu {
		log, logErr := launcher.ProgramLog(o.profile, args[0])
		if logErr != nil {
			return launcher.StatusFailed, logErr
		}
		defer log.Close()
		plan.Output = log
		defer func() {
			if err != nil {
				fmt.Fprintln(log, "sandbox-audio:", err)
			}
		}()
	}
	return plan.Run(daemonLink{}, say)
}

func planRun(o runOptions, args []string) (*launcher.Plan, error) {
	owner, err := ownerHimself()
	if err != nil {
		return nil, err
	}
	config, err := launcher.LoadConfig(o.profile)
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/" // the directory is gone, or closed to us
	}
	return launcher.NewPlan(launcher.Request{
		Profile: o.profile, Method: o.method, Argv: args, Environ: os.Environ(), Dir: dir,
		Display: o.display, X11: o.x11, TTY: o.tty,
	}, owner, config)
}

// say tells the person something while the program runs.
func say(text string) { fmt.Fprintln(os.Stderr, "sandbox-audio:", text) }
