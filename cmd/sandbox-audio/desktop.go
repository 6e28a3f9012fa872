package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

func newDesktopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "desktop",
		Short: "Put programs that run as the helper into the desktop's menus",
	}
	cmd.AddCommand(newDesktopAddCommand(), newDesktopRemoveCommand(), newDesktopListCommand())
	return cmd
}

type desktopOptions struct {
	launcher.DesktopRequest
	dryRun bool
}

func newDesktopAddCommand() *cobra.Command {
	var o desktopOptions
	cmd := &cobra.Command{
		Use:   "add APP",
		Short: "Add a menu entry that starts APP as the helper",
		Long: `Add a menu entry that starts APP as the helper. APP is the id of an entry that menus have, as firefox-esr, or the path of one. The new entry stands beside it,
with "(sandbox)" or the profile's name behind its own, or with --replace in its place. Translations, actions, file types and icon are the original's.

With --default-browser, links that are clicked anywhere open as the helper. "desktop remove" puts everything back as it was.`,
		Example:           "  sandbox-audio desktop add firefox-esr --default-browser\n  sandbox-audio desktop add --profile bank --replace chromium",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: desktopIDArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o.App = args[0]
			return runDesktopAdd(o)
		},
	}
	addProfileFlag(cmd, &o.Profile)
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "take the original's place in menus")
	cmd.Flags().BoolVar(&o.DefaultBrowser, "default-browser", false, "open links with it")
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func runDesktopAdd(o desktopOptions) error {
	owner, err := ownerHimself()
	if err != nil {
		return err
	}
	profile, err := launcher.FindProfile(owner, o.Profile)
	if err != nil {
		return err
	}
	config, err := launcher.LoadConfig(o.Profile)
	if err != nil {
		return err
	}
	fetch := func(path string) ([]byte, error) { return profile.ReadAsHelper(owner, config, path) }
	return launcher.AddDesktop(profile, o.DesktopRequest, fetch, o.dryRun, reportStep)
}

func newDesktopRemoveCommand() *cobra.Command {
	var o desktopOptions
	cmd := &cobra.Command{
		Use:               "remove APP",
		Short:             "Remove an entry that was added, and put back what was there before",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: addedDesktopArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := ownerHimself(); err != nil {
				return err
			}
			return launcher.RemoveDesktop(o.Profile, args[0], o.dryRun, reportStep)
		},
	}
	addProfileFlag(cmd, &o.Profile)
	addDryRunFlag(cmd, &o.dryRun)
	return cmd
}

func newDesktopListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the entries that were added",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runDesktopList(os.Stdout, asJSON) },
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runDesktopList(out io.Writer, asJSON bool) error {
	if _, err := ownerHimself(); err != nil {
		return err
	}
	entries, err := launcher.DesktopEntries()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, entries)
	}
	if len(entries) == 0 {
		fmt.Fprintln(os.Stderr, "no entry was added; add one with: sandbox-audio desktop add firefox-esr")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tPROFILE\tIN MENUS\tLINKS")
	for _, e := range entries {
		links := ""
		if e.DefaultBrowser {
			links = "default browser"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", strings.TrimSuffix(e.ID, ".desktop"), e.Profile, e.Name, links)
	}
	return w.Flush()
}
