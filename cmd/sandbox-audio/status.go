package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
)

type statusOptions struct {
	server string
	json   bool
}

func newStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the sound daemon: device, who is connected, streams, refused connections",
		Long: `Show what the sound daemon does now: its device and how rates are converted for it, who is connected by the kernel's word, what they play, and who was turned away.

Exit status: 0; 1 when no daemon answers, which is normal while nothing runs.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runStatus(o, os.Stdout) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runStatus(o statusOptions, out io.Writer) error {
	return withDaemon(o.server, "status", func(_ *native.Client, st session.Status) error {
		if o.json {
			return printJSON(out, st)
		}
		return printStatus(out, st)
	})
}

// printStatus writes st for people.
func printStatus(out io.Writer, st session.Status) error {
	printDevice(out, st.Default())
	for _, d := range st.Devices { // and those with something to tell
		if !d.Default && (d.Open || d.Muted || d.Volume != 100 || d.Trouble != "") {
			printDevice(out, d)
		}
	}
	fmt.Fprintf(out, "daemon   worker %d, up for %v\n", st.PID, time.Duration(st.Uptime*1e9).Round(time.Second))

	printPriority(out, st.Priority)

	for _, m := range mics(st) {
		if m.InUse {
			fmt.Fprintln(out, m.use())
		} else if m.Asking {
			fmt.Fprintf(out, "MICROPHONE: %s wants to record; say: sandbox-audio mic allow --user %[1]s\n", m.User)
		}
	}

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(st.Connections) > 0 {
		fmt.Fprintf(w, "\nUSER\tPROGRAM\tCALLS ITSELF\tBY\tMAY\tFOR\n")
	}
	for _, c := range st.Connections {
		program := c.Program
		if c.PID != 0 {
			program += fmt.Sprintf(" (%d)", c.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%v\n", userName(c.UID), dash(program), dash(c.Claims), c.Transport, may(c.Grant), time.Duration(c.Since*1e9).Round(time.Second))
	}
	if len(st.Streams) > 0 {
		fmt.Fprintf(w, "\nUSER\tSTREAM\tFORMAT\tSTATE\tLATENCY\tUNDERRUNS\tVOLUME\tPEAK\n")
	}
	for _, s := range st.Streams {
		volume := fmt.Sprintf("%.0f %%", s.Volume)
		if s.Muted {
			volume = "muted"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f ms\t%d\t%s\t%s\n", userName(s.UID), dash(s.Name), s.Format, s.State, s.Latency, s.Underruns, volume, decibel(s.Peak))
	}
	if st.Refused.Total > 0 {
		fmt.Fprintf(w, "\nrefused: %d in all; the newest:\n", st.Refused.Total)
	}
	for i, r := range st.Refused.Newest {
		if i == 5 {
			break
		}
		who := "unknown"
		if r.UID != nil {
			who = userName(*r.UID)
		}
		fmt.Fprintf(w, "%s\t%s\tover %s\t%s\n", r.Time.Local().Format(time.TimeOnly), who, r.Transport, r.Reason)
	}
	return w.Flush()
}

func printPriority(out io.Writer, p session.Priority) {
	switch {
	case p.By == "":
		fmt.Fprintf(out, "priority %s: %s\n", p.Kind, p.Why)
	case p.Why == "":
		fmt.Fprintf(out, "priority %s %d, by %s\n", p.Kind, p.Level, p.By)
	default:
		fmt.Fprintf(out, "priority %s %d, by %s; not realtime: %s\n", p.Kind, p.Level, p.By, p.Why)
	}
	if p.Advice != "" {
		fmt.Fprintf(out, "         do: %s\n", p.Advice)
	}
}

func printDevice(out io.Writer, d session.Device) {
	state := "closed, nothing plays"
	if d.Open {
		state = fmt.Sprintf("playing at %s, %.0f ms to the ear, %s", d.Hardware, d.Latency, decibel(d.Peak))
	}
	switch {
	case d.Muted:
		state += fmt.Sprintf(", muted (pactl set-sink-mute %s 0)", d.Sink)
	case d.Volume != 100:
		state += fmt.Sprintf(", volume %.0f %%", d.Volume)
	}
	quality := d.Resampler + " resampler"
	if d.Dither {
		quality += " and dither"
	}
	fmt.Fprintf(out, "device   %s (%s): %s, %s, %s\n", d.Name, d.Description, state, count(d.Xruns, "xrun"), quality)
	if d.Trouble != "" {
		fmt.Fprintf(out, "         not the device asked for: %s\n", d.Trouble)
	}
}

func may(grant string) string {
	if grant == "owner" {
		return "everything"
	}
	return "play"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// decibel is a level for people; full scale is 0 dB.
func decibel(level float64) string {
	if level <= 0 {
		return "silent"
	}
	return strings.Replace(fmt.Sprintf("%.1f dB", 20*math.Log10(level)), "-0.0", "0.0", 1)
}

// userName is the account of uid, or the number where there is none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
