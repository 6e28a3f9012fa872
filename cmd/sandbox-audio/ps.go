package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sandbox-audio/holder"
	"sandbox-audio/launcher"
)

func newPSCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List what runs as your helpers",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runPS(os.Stdout, asJSON) },
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runPS(out io.Writer, asJSON bool) error {
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	programs, err := launcher.ListPrograms(owner)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, programs)
	}
	if len(programs) == 0 {
		fmt.Fprintln(os.Stderr, "nothing runs as a helper of yours")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PID\tHELPER\tFOR\tPROCESSES\tMEMORY\tCOMMAND")
	for _, p := range programs {
		command := holder.Printable(strings.Join(p.Command, " "))
		if p.Name == "" {
			command += "   (left behind by a program that has ended)"
		}
		fmt.Fprintf(w, "%d\t%s\t%v\t%d\t%d MB\t%s\n", p.PID, p.Helper, time.Since(p.Started).Round(time.Second), p.Processes, p.Memory>>20, command)
	}
	return w.Flush()
}

func newStopCommand() *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:   "stop [APP]",
		Short: "End what runs as the helper",
		Long: `End the programs called APP that run as the helper, with all they have started, or without APP everything that does. A program has five seconds to end
by itself.

Exit status: 0 ended, or nothing to end; 1 failed.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: runningArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			return runStop(profile, append(args, "")[0])
		},
	}
	addProfileFlag(cmd, &profile)
	return cmd
}

func runStop(profile, app string) error {
	owner, err := ownerHimself()
	if err != nil {
		return err
	}
	config, err := launcher.LoadConfig(profile)
	if err != nil {
		return err
	}
	n, err := launcher.Stop(owner, config, profile, app)
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(os.Stderr, "nothing to end; see what runs: sandbox-audio ps")
	}
	return nil
}

func newShellCommand() *cobra.Command {
	o := runOptions{display: "none"}
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Start a shell as the helper",
		Long: `Start a shell as the helper, without display: to look around, or to see what a program would be able to reach. It starts where you are, or
in the helper's home when the helper cannot enter that.

Exit status: the shell's.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			status, err := runRun(o, []string{shellOf()})
			if status == 0 && err == nil {
				return nil
			}
			return &statusError{status, err}
		},
	}
	addProfileFlag(cmd, &o.profile)
	return cmd
}

// shellOf is the shell a helper gets; its account has none.
func shellOf() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}
