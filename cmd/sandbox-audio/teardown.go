package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type teardownOptions struct {
	profile string
	purge   bool
	dryRun  bool
}

func newTeardownCommand() *cobra.Command {
	var o teardownOptions
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Remove just what setup made",
		Long: `End the helper's programs and remove the helper user and all that setup made for it, by setup's own record.
Its home stays when programs have left files in it, unless --purge is given. Needs root and asks sudo for it.

Exit status: 0 done or nothing to do, 1 failed.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runTeardown(o) },
	}
	addProfileFlag(cmd, &o.profile)
	addPurgeFlag(cmd, &o.purge)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func addPurgeFlag(cmd *cobra.Command, purge *bool) {
	cmd.Flags().BoolVar(purge, "purge", false, "remove the helper's home with everything in it")
}

func runTeardown(o teardownOptions) error {
	if os.Geteuid() != 0 && !o.dryRun {
		return launcher.Elevate()
	}
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	kept, err := launcher.Teardown(owner, o.profile, o.purge, o.dryRun, reportStep)
	if errors.Is(err, launcher.ErrNoProfile) {
		fmt.Fprintf(os.Stderr, "%s has no profile %s: nothing to remove\n", owner.Name, o.profile)
		return nil
	}
	if kept != "" {
		fmt.Fprintf(os.Stderr, "kept: %s holds files of programs; setup takes it into use again, and this removes it: sudo rm -rf %s\n", kept, kept)
	}
	if left := launcher.StateLeft(owner); left != "" && err == nil {
		fmt.Fprintf(os.Stderr, "left: %s holds logs and remembered volumes, for the next profile; this removes it: rm -r %s\n", left, left)
	}
	return err
}
