package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type doctorOptions struct {
	profile string
	fix     bool
	json    bool
}

func newDoctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything, as you and as the helper see it, and say what to do",
		Long: `Check what sound, display and walls rest on, as you and as the helper see it, and say in one line each what to do. With --fix, do what can be done without
asking: repair as setup does, which needs root and asks sudo for it, close your home to others, and take back what runs that were killed have lent.

Exit status: 0 nothing is wrong, 1 something is.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runDoctor(os.Stdout, o) },
	}
	addProfileFlag(cmd, &o.profile)
	cmd.Flags().BoolVar(&o.fix, "fix", false, "do what can be done")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runDoctor(out io.Writer, o doctorOptions) error {
	owner, err := ownerHimself()
	if err != nil {
		return err
	}
	found := launcher.Examine(owner, o.profile, os.Environ())
	if o.fix {
		if err := fixFindings(owner, o.profile, found); err != nil {
			return err
		}
		found = launcher.Examine(owner, o.profile, os.Environ())
	}
	if o.json {
		err = printJSON(out, found)
	} else {
		err = printFindings(out, found)
	}
	if err == nil && slices.ContainsFunc(found, func(f launcher.Finding) bool { return f.State == launcher.Trouble }) {
		err = &statusError{status: 1}
	}
	return err
}

func fixFindings(owner launcher.Account, profile string, found []launcher.Finding) error {
	needs := func(fix string) bool {
		return slices.ContainsFunc(found, func(f launcher.Finding) bool { return f.Fix == fix })
	}
	if needs(launcher.FixHome) {
		if err := launcher.FixOwnersHome(owner); err != nil {
			return err
		}
	}
	if needs(launcher.FixSetup) {
		if err := setupAsRoot(owner, profile); err != nil {
			return failed(err)
		}
	}
	return launcher.Sweep()
}

func printFindings(out io.Writer, found []launcher.Finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Check, f.Says)
		if f.Advice != "" {
			fmt.Fprintf(w, "\t\tdo: %s\n", f.Advice)
		}
	}
	return w.Flush()
}
