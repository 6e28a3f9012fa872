package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
)

type soundOptions struct {
	server string
	json   bool
}

const targetHelp = `TARGET is a device (see: devices), a helper's name, for all that it plays, or the number of a stream (see: streams). Without one it is the
device that is the default.`

func newVolumeCommand() *cobra.Command {
	var o soundOptions
	cmd := &cobra.Command{
		Use:   "volume [TARGET] [LEVEL]",
		Short: "Show or set how loud a device, a helper or a stream is",
		Long: `Show how loud everything is or, with a LEVEL, set it: 50 is 50 %, +5 and -5 are steps from where it is, -6dB is in decibels
of full volume. What is set is remembered.

` + targetHelp,
		Example: `  sandbox-audio volume                        # all there is
  sandbox-audio volume -10                    # the default device, a little softer
  sandbox-audio volume ann-sandbox 40`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: targetArgs,
		RunE:              func(_ *cobra.Command, args []string) error { return runVolume(o, os.Stdout, args) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runVolume(o soundOptions, out io.Writer, args []string) error {
	name, level, err := volumeArgs(args)
	if err != nil {
		return err
	}
	return withDaemon(o.server, "volume", func(c *native.Client, st session.Status) error {
		if len(args) == 0 {
			return printTargets(out, targets(st), o.json)
		}
		t, err := findTarget(st, name)
		if err != nil {
			return err
		}
		if level != nil {
			to := level(t.Volume)
			if most := loudest(t); to > most {
				return fmt.Errorf("%s can be at most %.0f %% loud", t.Name, most)
			}
			if err := t.setVolume(c, max(0, to)); err != nil {
				return fmt.Errorf("setting the volume of %s: %w", t.Name, err)
			}
		}
		return printNow(out, c, t, o.json)
	})
}

// loudest is the percentage that t goes up to: a helper's share only takes away, all else is amplified by 20 dB at most.
func loudest(t target) float64 {
	if t.Kind == "helper" {
		return 100
	}
	return ofDecibel(20)
}

// volumeArgs reads what was typed: a single word that is a level means the default device.
func volumeArgs(args []string) (name string, level func(percent float64) float64, err error) {
	switch len(args) {
	case 1:
		if level, err = parseLevel(args[0]); err == nil {
			return "", level, nil
		}
		return args[0], nil, nil
	case 2:
		name = args[0]
		level, err = parseLevel(args[1])
	}
	return name, level, err
}

// parseLevel reads a level as a function of the one there is now, both in percent.
func parseLevel(word string) (func(percent float64) float64, error) {
	wrong := fmt.Errorf("%q is no level; levels are like 50, +5, -5 and -6dB", unshield(word))
	word = unshield(word)
	number, decibels := strings.CutSuffix(strings.ToLower(word), "db")
	number = strings.TrimSuffix(number, "%")
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || math.IsNaN(n) || math.Abs(n) > 1000:
		return nil, wrong
	case decibels:
		return func(float64) float64 { return ofDecibel(n) }, nil
	case strings.ContainsAny(word[:1], "+-"):
		return func(now float64) float64 { return now + n }, nil
	}
	return func(float64) float64 { return n }, nil
}

// ofDecibel is the percentage of a volume that amplifies by so much: the scale is PulseAudio's, the cube root of the factor.
func ofDecibel(db float64) float64 { return 100 * math.Pow(10, db/60) }

// asDecibel is the reverse, in words.
func asDecibel(percent float64) string {
	if percent <= 0 {
		return "silent"
	}
	return strings.Replace(fmt.Sprintf("%.1f dB", 60*math.Log10(percent/100)), "-0.0", "0.0", 1)
}

// shieldLevels keeps levels such as -5 from being taken for flags; unshield gives them back.
func shieldLevels(args []string) []string {
	if len(args) == 0 || args[0] != "volume" {
		return args
	}
	args = slices.Clone(args)
	for i, word := range args {
		if len(word) > 1 && word[0] == '-' && (word[1] >= '0' && word[1] <= '9' || word[1] == '.') {
			args[i] = "=" + word
		}
	}
	return args
}

func unshield(word string) string { return strings.TrimPrefix(word, "=") }

func newMuteCommand() *cobra.Command {
	var o soundOptions
	cmd := &cobra.Command{
		Use:   "mute [TARGET] [on|off|toggle]",
		Short: "Silence a device, a helper or a stream, or let it be heard again",
		Long: `Silence what TARGET names, or let it be heard again; without a word behind it, the one or the other. What is set is remembered.

` + targetHelp,
		Example: `  sandbox-audio mute                          # the default device, on or off
  sandbox-audio mute ann-sandbox on`,
		Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"on", "off", "toggle"}, cobra.ShellCompDirectiveNoFileComp
			}
			return targetArgs(cmd, args, word)
		},
		RunE: func(_ *cobra.Command, args []string) error { return runMute(o, os.Stdout, args) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runMute(o soundOptions, out io.Writer, args []string) error {
	states := map[string]func(bool) bool{
		"on": func(bool) bool { return true }, "off": func(bool) bool { return false }, "toggle": func(now bool) bool { return !now },
	}
	name, state := "", states["toggle"]
	switch {
	case len(args) == 1 && states[args[0]] != nil:
		state = states[args[0]]
	case len(args) == 1:
		name = args[0]
	case len(args) == 2:
		if name, state = args[0], states[args[1]]; state == nil {
			return fmt.Errorf("%q is none of on, off and toggle", args[1])
		}
	}
	return withDaemon(o.server, "mute", func(c *native.Client, st session.Status) error {
		t, err := findTarget(st, name)
		if err != nil {
			return err
		}
		if err := t.setMuted(c, state(t.Muted)); err != nil {
			return fmt.Errorf("muting %s: %w", t.Name, err)
		}
		return printNow(out, c, t, o.json)
	})
}

// printNow shows t as it is after a change.
func printNow(out io.Writer, c *native.Client, t target, asJSON bool) error {
	st, err := statusOf(c)
	if err != nil {
		return err
	}
	now := slices.DeleteFunc(targets(st), func(other target) bool { return other.Kind != t.Kind || other.Index != t.Index })
	return printTargets(out, now, asJSON)
}

func printTargets(out io.Writer, all []target, asJSON bool) error {
	if asJSON {
		return printJSON(out, all)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range all {
		volume := fmt.Sprintf("%.0f %%", t.Volume)
		if t.Muted {
			volume += ", muted"
		}
		kind := t.Kind
		if t.Default {
			kind = "default " + kind
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Name, volume, asDecibel(t.Volume), kind, t.Note)
	}
	return w.Flush()
}
