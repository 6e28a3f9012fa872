package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type setupOptions struct {
	profile string
	groups  []string // nil for those that the helper is in
	dryRun  bool
}

func newSetupCommand() *cobra.Command {
	var o setupOptions
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make or repair the helper user and all that belongs to it",
		Long: `Make the Unix user that programs run as, with a private home, and let yourself start programs as it without
a password. Called again it repairs what is damaged and leaves the rest alone. Needs root and asks sudo for it.

The groups that the profile names in your configuration go to root as --groups. Only those you are in yourself can be given to
the helper, and none that gives devices or leads to root.

Exit status: 0 done, 1 failed; what a failed first setup had made is undone.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runSetup(o) },
	}
	addProfileFlag(cmd, &o.profile)
	addDryRunFlag(cmd, &o.dryRun)
	cmd.Flags().StringSliceVar(&o.groups, "groups", nil, "the groups that the helper is to be in beside its own, by `NAME,...` (default the profile's)")
	completeFlag(cmd, "groups", cobra.NoFileCompletions)
	return cmd
}

func runSetup(o setupOptions) error {
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	var more []string
	if o.groups == nil && os.Getuid() == owner.UID { // the configuration is read by whose it is, and never by root for somebody
		if o.groups, err = profileGroups(owner, o.profile); err != nil {
			return err
		}
		more = groupsFlag(o.groups)
	}
	if os.Geteuid() != 0 && !o.dryRun {
		return launcher.Elevate(more...)
	}
	if err := launcher.Setup(owner, o.profile, o.groups, o.dryRun, reportStep); err != nil {
		return err
	}
	if !o.dryRun {
		fmt.Fprint(os.Stderr, sharedScreen)
	}
	return nil
}

// profileGroups is the groups that the caller's configuration names for a profile; nil where the helper is in none and is to
// be in none.
func profileGroups(owner launcher.Account, profile string) ([]string, error) {
	config, err := launcher.LoadConfig(profile)
	if err != nil {
		return nil, err
	}
	if p, err := launcher.FindProfile(owner, profile); len(config.Groups) == 0 && (err != nil || len(p.Groups) == 0) {
		return nil, nil
	}
	return append([]string{}, config.Groups...), nil
}

func groupsFlag(groups []string) []string {
	if groups == nil {
		return nil
	}
	return []string{"--groups=" + strings.Join(groups, ",")}
}

// setupAsRoot makes or repairs a profile of the caller's.
func setupAsRoot(owner launcher.Account, profile string) error {
	groups, err := profileGroups(owner, profile)
	if err != nil {
		return err
	}
	return launcher.AsRoot(append([]string{"setup", "--profile", profile}, groupsFlag(groups)...)...)
}

// sharedScreen is what a person must know who has an X server.
const sharedScreen = `note: files are kept apart, an X screen is not: a program on your X server can read every key and picture of the others there, whoever's they are.
      Where that matters use Wayland, or: sandbox-audio run --x11 nested APP`

// reportStep says one line about each step.
func reportStep(state string, s launcher.Step) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", state, s.Describe())
}
