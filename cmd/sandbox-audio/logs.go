package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"

	"sandbox-audio/launcher"
)

type logsOptions struct {
	profile string
	follow  bool
}

func newLogsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [APP]",
		Short: "Show what programs wrote that run without a terminal",
		Long: `Show what a program wrote that was started from a menu, or, as APP "daemon", what the sound daemon did. Without APP, show which logs there are.

Exit status: 0; 1 when there is no such log.`,
		Example:           "  sandbox-audio logs firefox-esr --follow\n  sandbox-audio logs daemon",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: logArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := ownerHimself(); err != nil {
				return err
			}
			if len(args) == 0 {
				return listLogs(os.Stdout, o.profile)
			}
			return runLogs(os.Stdout, o, args[0])
		},
	}
	addProfileFlag(cmd, &o.profile)
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on as more is written")
	return cmd
}

func listLogs(out io.Writer, profile string) error {
	logs, err := launcher.Logs(profile)
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		fmt.Fprintln(os.Stderr, "nothing has run without a terminal yet")
	}
	for _, l := range logs {
		fmt.Fprintf(out, "%-12s %s\n", l.Program, l.Path)
	}
	return nil
}

func runLogs(out io.Writer, o logsOptions, app string) error {
	logs, err := launcher.Logs(o.profile)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(logs, func(l launcher.Log) bool { return l.Program == app })
	if i < 0 {
		return fmt.Errorf("there is no log of %s in the profile %s; see which there are: sandbox-audio logs --profile %[2]s", app, o.profile)
	}
	f, err := os.Open(logs[i].Path)
	if err != nil {
		return err
	}
	defer f.Close()
	shown := transform.NewWriter(out, runes.Map(shownRune))
	_, err = io.Copy(shown, f)
	if err == nil && o.follow {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = follow(ctx, shown, f)
	}
	return errors.Join(err, shown.Close())
}

// shownRune is r, unless a program could steer the terminal by it.
func shownRune(r rune) rune {
	if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
		return '?'
	}
	return r
}

// follow writes what is added to a file, from its beginning again when it is cut short.
func follow(ctx context.Context, out io.Writer, f *os.File) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if at, err := f.Seek(0, io.SeekCurrent); err != nil {
			return err
		} else if st.Size() < at {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
		if _, err := io.Copy(out, f); err != nil {
			return err
		}
	}
}
