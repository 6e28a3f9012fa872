// Command sandbox-audio runs desktop programs as another Unix user, with sound.
//
// This file turns errors into exit statuses and nothing else; every command has a file of its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod"
	"sandbox-audio/launcher"
)

// commands makes every command, in the order in which help lists them.
var commands = []func() *cobra.Command{
	newRunCommand,
	newSetupCommand,
	newTeardownCommand,
	newProfileCommand,
	newDesktopCommand,
	newShareCommand,
	newAliasCommand,
	newPSCommand,
	newStopCommand,
	newShellCommand,
	newStatusCommand,
	newVolumeCommand,
	newMuteCommand,
	newMixerCommand,
	newMicCommand,
	newDevicesCommand,
	newStreamsCommand,
	newLogsCommand,
	newDoctorCommand,
	newDaemonCommand,
	newDemoCommand,
	newAskCommand, newChimeCommand, newStrangerCommand, newManCommand, // hidden
}

func main() { os.Exit(mainStatus()) }

func mainStatus() int {
	if filepath.Base(os.Args[0]) == launcher.EntryName && len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "@") {
		return launcher.Enter(os.Args[1:])
	}
	if filepath.Base(os.Args[0]) == launcher.LinkName {
		return launcher.OpenLink(os.Args[1:])
	}
	err := execute(os.Args[1:])
	status := 0
	var s *statusError
	switch {
	case errors.As(err, &s):
		status, err = s.status, s.err
	case err != nil:
		status = 1
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox-audio:", err)
	}
	return status
}

// execute does what the command line says. The worker needs none of the commands, and is not to hold their memory.
func execute(args []string) error {
	if len(args) == 1 && args[0] == workerCommand {
		return audiod.Work()
	}
	root := newRootCommand(args...)
	root.SetArgs(shieldLevels(args))
	return root.Execute()
}

// statusError ends the program with a status other than 1; err is nil when there is nothing to say.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return fmt.Sprintf("exit status %d: %v", e.status, e.err) }
func (e *statusError) Unwrap() error { return e.err }

// newRootCommand makes the root with the commands below it. Where args, the command line, begin with run it has that one alone: somebody waits for
// run each time, and does not need the others.
func newRootCommand(args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "sandbox-audio",
		Short: "Run desktop programs as another Unix user, with sound",
		Long: `Run a desktop program as another Unix user, so that it cannot reach your files, and hear it all the same.

  sandbox-audio setup           once: makes the other user
  sandbox-audio run firefox     as often as you like`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
	})
	if len(args) > 0 && args[0] == "run" {
		root.AddCommand(newRunCommand())
		root.CompletionOptions.DisableDefaultCmd = true
	} else {
		for _, make := range commands {
			root.AddCommand(make())
		}
		root.InitDefaultCompletionCmd()
	}
	guide(root)
	return root
}

// guide has cmd and all below it say what to do next when they are called wrongly. A command that only holds others shows its help when it
// is called alone, and refuses a word that is none of them.
func guide(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		guide(sub)
	}
	if !cmd.Runnable() {
		cmd.Args = noSuchCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.DisableFlagsInUseLine = true
		cmd.SuggestionsMinimumDistance = 2
	}
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("there is no command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		err = fmt.Errorf("%w; there is %s", err, strings.Join(like, ", "))
	}
	return err
}

// addProfileFlag gives cmd the flag that all commands about one helper share.
func addProfileFlag(cmd *cobra.Command, profile *string) {
	cmd.Flags().StringVar(profile, "profile", launcher.DefaultProfile, "the helper and its rules, by `NAME`")
	completeFlag(cmd, "profile", profileNames)
}

func addDryRunFlag(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "say what would be done and change nothing")
}

// addServerFlag gives cmd the flag of all commands that speak with the sound daemon.
func addServerFlag(cmd *cobra.Command, server *string) {
	cmd.Flags().StringVar(server, "server", "", "address of the daemon (default that of your profiles)")
}

func addJSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

// ownerHimself is the owner, whom this process then is: of what sudo gave it nothing is left.
func ownerHimself() (launcher.Account, error) {
	owner, err := launcher.Owner()
	if err == nil {
		err = launcher.AsOwner(owner)
	}
	return owner, err
}
