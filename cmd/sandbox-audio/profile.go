package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

func newProfileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "List, show, add and remove helpers, each with rules of its own",
		Long: `A profile is a helper user and its rules: "default" is the one of commands that name none. Rules stand in the table
[profile.NAME] of ~/.config/sandbox-audio/config.toml.`,
	}
	cmd.AddCommand(newProfileListCommand(), newProfileShowCommand(), newProfileAddCommand(), newProfileRemoveCommand())
	return cmd
}

func newProfileListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your profiles",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runProfileList(os.Stdout, asJSON) },
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runProfileList(out io.Writer, asJSON bool) error {
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	all, err := launcher.Profiles(owner)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(os.Stderr, "no profile yet; make the first with: sandbox-audio setup")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tHELPER\tHOME")
	for _, p := range all {
		home := p.Home
		if !p.Made {
			home = "not made; make it with: sandbox-audio setup --profile " + p.Name
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, p.Helper, home)
	}
	return w.Flush()
}

func newProfileShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show one profile: its helper and the rules in force",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: profileArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			return runProfileShow(os.Stdout, append(args, launcher.DefaultProfile)[0], asJSON)
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runProfileShow(out io.Writer, name string, asJSON bool) error {
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	p, err := launcher.FindState(owner, name)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, p)
	}
	fmt.Fprintf(out, "profile   %s\nhelper    %s", p.Name, p.Helper)
	if p.Made {
		fmt.Fprintf(out, " (uid %d)\nhome      %s\nsound     %s\n", p.UID, p.Home, strings.Join(p.Sound, " "))
	} else {
		fmt.Fprintf(out, "\n          not made; make it with: sandbox-audio setup --profile %s\n", p.Name)
	}
	settings, err := p.Settings.Text()
	if err != nil {
		return err
	}
	for line := range strings.Lines(settings) {
		fmt.Fprint(out, "setting   ", line)
	}
	return nil
}

func newProfileAddCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "add NAME [KEY=VALUE...]",
		Short: "Make a further helper, with rules of its own",
		Long: `Write the table [profile.NAME] into your configuration, with the settings given, and make the helper as setup does. When
that fails the configuration is as it was.`,
		Example:           "  sandbox-audio profile add bank\n  sandbox-audio run --profile bank firefox",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: settingArgs,
		RunE:              func(_ *cobra.Command, args []string) error { return runProfileAdd(args[0], args[1:], dryRun) },
	}
	addDryRunFlag(cmd, &dryRun)
	return cmd
}

func runProfileAdd(name string, settings []string, dryRun bool) error {
	owner, err := ownerHimself()
	if err != nil {
		return err
	}
	config, undo, err := launcher.AddTable(name, settings, dryRun)
	if err != nil {
		return err
	}
	if dryRun {
		return runSetup(setupOptions{profile: name, groups: config.Groups, dryRun: true})
	}
	if err := setupAsRoot(owner, name); err != nil {
		if undoErr := undo(); undoErr != nil {
			return undoErr
		}
		return failed(err)
	}
	return nil
}

func newProfileRemoveCommand() *cobra.Command {
	var o teardownOptions
	cmd := &cobra.Command{
		Use:               "remove NAME",
		Short:             "Remove a helper and its table in the configuration",
		Long:              `Remove the helper as teardown does, and then its table [profile.NAME] in your configuration.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: profileArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o.profile = args[0]
			return runProfileRemove(o)
		},
	}
	addPurgeFlag(cmd, &o.purge)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func runProfileRemove(o teardownOptions) error {
	owner, err := ownerHimself()
	if err != nil {
		return err
	}
	if _, err := launcher.FindState(owner, o.profile); err != nil {
		return err
	}
	if o.dryRun {
		return runTeardown(o)
	}
	args := []string{"teardown", "--profile", o.profile}
	if o.purge {
		args = append(args, "--purge")
	}
	if err := launcher.AsRoot(args...); err != nil {
		return failed(err)
	}
	return launcher.RemoveTable(o.profile)
}

// failed is the error of a command whose process has said itself what was wrong, when there is nothing more to it.
func failed(err error) error {
	if exit, ok := err.(*exec.ExitError); ok {
		return &statusError{status: exit.ExitCode()}
	}
	return err
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
