package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

// fixed offers words as a flag's values.
func fixed(words ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeFlag has a flag of cmd's complete by f. It panics for a flag that cmd does not have.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}

// profileArgs completes the one argument of a command about a profile.
func profileArgs(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return profileNames(cmd, args, word)
}

func profileNames(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	owner, err := launcher.Owner()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := launcher.Profiles(owner) // what is wrong with the configuration, the command says
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// settingArgs completes the settings of a profile that is to be named first.
func settingArgs(_ *cobra.Command, args []string, _ string) (keys []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, key := range launcher.ProfileKeys() {
		keys = append(keys, key+"=")
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// desktopIDArgs completes the id of an entry that menus have.
func desktopIDArgs(_ *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, id := range launcher.DesktopIDs() {
		ids = append(ids, strings.TrimSuffix(id, ".desktop"))
	}
	return ids, cobra.ShellCompDirectiveDefault // a path will do too
}

// addedDesktopArgs completes the id of an entry that was added.
func addedDesktopArgs(_ *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
	added, err := launcher.DesktopEntries()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, e := range added {
		ids = append(ids, strings.TrimSuffix(e.ID, ".desktop"))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// logArgs completes the name of a log.
func logArgs(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	profile, err := cmd.Flags().GetString("profile")
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	logs, _ := launcher.Logs(profile)
	for _, l := range logs {
		names = append(names, l.Program)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// programArgs completes the names of programs that a helper can run.
func programArgs(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(word, "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return launcher.Programs(word), cobra.ShellCompDirectiveNoFileComp
}

// runArgs completes a program and then, as the shell does, files.
func runArgs(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return programArgs(cmd, args, word)
}

// sinkWords completes where sound can go, and sourceWords where it comes from.
func sinkWords(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return append(deviceWords(), "pulse"), cobra.ShellCompDirectiveNoFileComp
}

func sourceWords(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return deviceWords(), cobra.ShellCompDirectiveNoFileComp
}

// deviceWords is this machine's cards by their ids, and what every machine has.
func deviceWords() []string {
	words := []string{"auto", "alsa", "null", "wav:"}
	ids, _ := filepath.Glob("/proc/asound/card[0-9]*/id") // the pattern is right
	for _, path := range ids {
		if id, err := os.ReadFile(path); err == nil {
			words = append(words, "alsa:"+strings.TrimSpace(string(id)))
		}
	}
	return words
}

// runningArgs completes the name of a program that runs as a helper.
func runningArgs(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	owner, err := launcher.Owner()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	programs, _ := launcher.ListPrograms(owner)
	for _, p := range programs {
		names = append(names, p.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
