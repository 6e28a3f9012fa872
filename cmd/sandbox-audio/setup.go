package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type setupOptions struct {
	profile string
	dryRun  bool
}

func newSetupCommand() *cobra.Command {
	var o setupOptions
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make or repair the helper user and all that belongs to it",
		Long: `Make the Unix user that programs run as, with a private home, and let yourself start programs as it without
a password. Called again it repairs what is damaged and leaves the rest alone. Needs root and asks sudo for it.

Exit status: 0 done, 1 failed; what a failed first setup had made is undone.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runSetup(o) },
	}
	addProfileFlag(cmd, &o.profile)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func runSetup(o setupOptions) error {
	if os.Geteuid() != 0 && !o.dryRun {
		return launcher.Elevate()
	}
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	if err := launcher.Setup(owner, o.profile, o.dryRun, reportStep); err != nil {
		return err
	}
	if !o.dryRun {
		fmt.Fprint(os.Stderr, sharedScreen)
	}
	return nil
}

// sharedScreen is what a person must know who has an X server.
const sharedScreen = `note: files are kept apart, an X screen is not: a program on your X server can read every key and picture of the others there, whoever's they are.
      Where that matters use Wayland, or: sandbox-audio run --x11 nested APP`

// reportStep says one line about each step.
func reportStep(state string, s launcher.Step) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", state, s.Describe())
}
