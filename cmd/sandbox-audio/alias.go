package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sandbox-audio/launcher"
)

type aliasOptions struct {
	profile string
	shell   string
}

var shells = []string{"bash", "zsh", "fish"}

func newAliasCommand() *cobra.Command {
	var o aliasOptions
	cmd := &cobra.Command{
		Use:   "alias [APP...]",
		Short: "Print lines that have your shell run programs as the helper",
		Long: `Print an alias for each APP, in the words of your shell. Without APP, print one for each program that "desktop add" has put
into menus.`,
		Example:           "  sandbox-audio alias firefox chromium >> ~/.bash_aliases\n  sandbox-audio alias --shell fish firefox | source",
		ValidArgsFunction: programArgs,
		RunE:              func(_ *cobra.Command, args []string) error { return runAlias(os.Stdout, o, args) },
	}
	addProfileFlag(cmd, &o.profile)
	cmd.Flags().StringVar(&o.shell, "shell", "", "bash, zsh or fish (default yours, by SHELL)")
	completeFlag(cmd, "shell", fixed(shells...))
	return cmd
}

func runAlias(out io.Writer, o aliasOptions, apps []string) error {
	if o.shell == "" {
		if o.shell = filepath.Base(os.Getenv("SHELL")); !slices.Contains(shells, o.shell) {
			o.shell = "bash" // POSIX's alias, which the others read too
		}
	} else if !slices.Contains(shells, o.shell) {
		return fmt.Errorf("no aliases for the shell %q; there are %s", o.shell, strings.Join(shells, ", "))
	}
	if len(apps) == 0 {
		entries, err := launcher.DesktopEntries()
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Profile == o.profile && !slices.Contains(apps, e.Program) {
				apps = append(apps, e.Program)
			}
		}
		if len(apps) == 0 {
			fmt.Fprintln(os.Stderr, "no program of this profile is in menus; name one, as in: sandbox-audio alias firefox")
		}
	}
	run := "sandbox-audio run "
	if o.profile != launcher.DefaultProfile {
		run += "--profile " + o.profile + " "
	}
	for _, app := range apps {
		name := filepath.Base(app)
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+") != "" || strings.HasPrefix(name, "-") {
			return fmt.Errorf("%q cannot be the name of an alias", name)
		}
		fmt.Fprintf(out, "alias %s=%s\n", name, shellQuote(o.shell, run+shellQuote(o.shell, app)))
	}
	return nil
}

// shellQuote is text as one word of a shell.
func shellQuote(shell, text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+") == "" {
		return text
	}
	if shell == "fish" {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
