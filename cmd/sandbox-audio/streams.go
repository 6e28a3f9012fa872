package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/session"
)

// sounding is a stream and whose it is. UID and, over the Unix socket, PID and Program are the kernel's word.
type sounding struct {
	Index   uint32   `json:"index"`
	Does    string   `json:"does"` // plays or records
	State   string   `json:"state"`
	UID     uint32   `json:"uid"`
	User    string   `json:"user"`
	PID     int32    `json:"pid,omitempty"`
	Program string   `json:"program,omitempty"`
	Claims  string   `json:"claims,omitempty"` // what the program calls itself
	Name    string   `json:"name,omitempty"`   // what it calls the stream
	Volume  float64  `json:"volume_percent"`
	Muted   bool     `json:"muted"`
	Peak    *float64 `json:"peak,omitempty"` // of what plays; full scale 1
}

func newStreamsCommand() *cobra.Command {
	var o soundOptions
	cmd := &cobra.Command{
		Use:   "streams",
		Short: "List who plays and who records",
		Long: `List every stream: whose it is by the kernel's word, what it calls itself, how loud it is set and how loud it is. Its number is what volume
and mute take.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runStreams(o, os.Stdout) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runStreams(o soundOptions, out io.Writer) error {
	return withDaemon(o.server, "streams", func(c *native.Client, st session.Status) error {
		all, err := soundings(c, st)
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(out, all)
		}
		if len(all) == 0 {
			fmt.Fprintln(os.Stderr, "nobody plays or records")
			return nil
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "STREAM\tUSER\tPROGRAM\tCALLS ITSELF\tNAME\tDOES\tVOLUME\tLEVEL\n")
		for _, s := range all {
			program, does, volume, level := s.Program, s.Does, fmt.Sprintf("%.0f %%", s.Volume), "-"
			if s.PID != 0 {
				program += fmt.Sprintf(" (%d)", s.PID)
			}
			if s.State == "corked" || s.State == "waiting" {
				does += ", " + s.State
			}
			if s.Muted {
				volume = "muted"
			}
			if s.Peak != nil {
				level = decibel(*s.Peak)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Index, s.User, dash(program), dash(s.Claims), dash(s.Name), does, volume, level)
		}
		return w.Flush()
	})
}

func soundings(c *native.Client, st session.Status) ([]sounding, error) {
	all := []sounding{}
	add := func(s sounding, connection uint32) {
		for _, k := range st.Connections {
			if k.Index == connection {
				s.UID, s.User, s.PID, s.Program, s.Claims = k.UID, userName(k.UID), k.PID, k.Program, k.Claims
			}
		}
		all = append(all, s)
	}
	for _, s := range st.Streams {
		add(sounding{Index: s.Index, Does: "plays", State: s.State, Name: s.Name, Volume: s.Volume, Muted: s.Muted, Peak: &s.Peak}, s.Connection)
	}
	var records native.SourceOutputInfoList
	if err := c.Call(native.OpGetSourceOutputInfoList, nil, &records); err != nil {
		return nil, err
	}
	for _, r := range records {
		state := "recording"
		if r.Corked {
			state = "corked"
		}
		add(sounding{Index: r.Index, Does: "records", State: state, Name: native.Clean(r.Name), Volume: asPercent(r.Volume), Muted: r.Muted}, r.Client)
	}
	return all, nil
}

// asPercent is the loudest channel of a volume.
func asPercent(v native.CVolume) float64 {
	if len(v) == 0 {
		return 100
	}
	return float64(slices.Max(v)) * 100 / float64(pcm.VolumeNorm)
}
