package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

func newShareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "share",
		Short: "Share folders with the helper",
		Long: `Share folders with the helper. Both can read and write what either puts there, and both homes stay closed: the folder lies beside the helper's home, and
each has a link to it.`,
	}
	cmd.AddCommand(newShareAddCommand(), newShareRemoveCommand(), newShareListCommand())
	return cmd
}

type shareOptions struct {
	profile string
	dryRun  bool
}

func newShareAddCommand() *cobra.Command {
	var o shareOptions
	cmd := &cobra.Command{
		Use:   "add [PATH]",
		Short: "Make a shared folder",
		Long: `Make a folder that you and the helper share. PATH is where you find it, a name in your home that is not there yet (default ~/Sandbox); the helper finds it
in its home by the same name, and in its file dialogs. Needs root and asks sudo for it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runShareAdd(o, args) },
	}
	addProfileFlag(cmd, &o.profile)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

// shareChange is who asks for a change of which share; it needs root.
func shareChange(o shareOptions, args []string) (owner launcher.Account, link string, err error) {
	if os.Geteuid() != 0 && !o.dryRun {
		return owner, "", launcher.Elevate()
	}
	if owner, err = launcher.Owner(); err != nil {
		return owner, "", err
	}
	if len(args) == 0 {
		return owner, launcher.DefaultShare(owner), nil
	}
	link, err = filepath.Abs(args[0])
	return owner, link, err
}

func runShareAdd(o shareOptions, args []string) error {
	owner, link, err := shareChange(o, args)
	if err != nil {
		return err
	}
	return launcher.AddShare(owner, o.profile, link, o.dryRun, reportStep)
}

func newShareRemoveCommand() *cobra.Command {
	var o shareOptions
	cmd := &cobra.Command{
		Use:               "remove [PATH]",
		Short:             "End the sharing of a folder",
		Long:              `End the sharing of a folder, by default ~/Sandbox. When files are in it they stay where they are, and you are told where. Needs root and asks sudo for it.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: shareArgs,
		RunE:              func(_ *cobra.Command, args []string) error { return runShareRemove(o, args) },
	}
	addProfileFlag(cmd, &o.profile)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func runShareRemove(o shareOptions, args []string) error {
	owner, link, err := shareChange(o, args)
	if err != nil {
		return err
	}
	kept, err := launcher.RemoveShare(owner, o.profile, link, o.dryRun, reportStep)
	if kept != "" {
		fmt.Fprintf(os.Stderr, "kept: the files are in %s, where the helper of the profile %s can reach them still\n", kept, o.profile)
	}
	return err
}

func newShareListCommand() *cobra.Command {
	var profile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the shared folders",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runShareList(os.Stdout, profile, asJSON) },
	}
	addProfileFlag(cmd, &profile)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runShareList(out io.Writer, profile string, asJSON bool) error {
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	p, err := launcher.FindProfile(owner, profile)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, append([]launcher.Share{}, p.Shares...))
	}
	if len(p.Shares) == 0 {
		fmt.Fprintln(os.Stderr, "no folder is shared; share one with: sandbox-audio share add")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "YOURS\tTHE HELPER'S\tFOLDER")
	for _, s := range p.Shares {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Link, filepath.Join(p.Home, filepath.Base(s.Dir)), s.Dir)
	}
	return w.Flush()
}

// shareArgs completes the path of a shared folder.
func shareArgs(cmd *cobra.Command, args []string, _ string) (links []string, _ cobra.ShellCompDirective) {
	profile, _ := cmd.Flags().GetString("profile")
	owner, err := launcher.Owner()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if p, err := launcher.FindProfile(owner, profile); err == nil {
		for _, s := range p.Shares {
			links = append(links, s.Link)
		}
	}
	return links, cobra.ShellCompDirectiveNoFileComp
}
