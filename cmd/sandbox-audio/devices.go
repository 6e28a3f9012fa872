package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
)

// soundDevice is a sink or a source for people and scripts.
type soundDevice struct {
	Kind        string  `json:"kind"` // sink or source
	Name        string  `json:"name"`
	Description string  `json:"description"`
	State       string  `json:"state"` // running, idle, suspended, or what is wrong
	Default     bool    `json:"default"`
	Volume      float64 `json:"volume_percent"`
	Muted       bool    `json:"muted"`
}

func newDevicesCommand() *cobra.Command {
	var o soundOptions
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List what sound goes to and comes from, and choose the default",
		Long: `List the daemon's devices: sinks, which play, and sources, which record. Helpers play on the default sink and, as far as you let them, hear the
default source.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runDevices(o, os.Stdout) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	cmd.AddCommand(newDefaultDeviceCommand())
	return cmd
}

func runDevices(o soundOptions, out io.Writer) error {
	return withDaemon(o.server, "devices", func(c *native.Client, st session.Status) error {
		all, err := soundDevices(c, st)
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(out, all)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "KIND\tNAME\tVOLUME\tSTATE\tDESCRIPTION\n")
		for _, d := range all {
			name, volume := d.Name, fmt.Sprintf("%.0f %%", d.Volume)
			if d.Default {
				name += " (default)"
			}
			if d.Muted {
				volume = "muted"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Kind, name, volume, d.State, dash(d.Description))
		}
		return w.Flush()
	})
}

// soundDevices is all sinks and, monitors apart, sources.
func soundDevices(c *native.Client, st session.Status) (all []soundDevice, err error) {
	for _, d := range st.Devices {
		state := "idle"
		switch {
		case d.Trouble != "":
			state = d.Trouble
		case d.Suspended:
			state = "suspended"
		case d.Open:
			state = "running"
		}
		all = append(all, soundDevice{"sink", d.Sink, d.Description, state, d.Default, d.Volume, d.Muted})
	}
	var server native.ServerInfo
	var sources native.SourceInfoList
	if err := c.Call(native.OpGetServerInfo, nil, &server); err != nil {
		return nil, err
	}
	if err := c.Call(native.OpGetSourceInfoList, nil, &sources); err != nil {
		return nil, err
	}
	for _, s := range sources {
		if s.Monitor == native.Invalid {
			all = append(all, soundDevice{"source", s.Name, native.Clean(s.Description), deviceState(s.State), s.Name == server.DefaultSource, asPercent(s.Volume), s.Muted})
		}
	}
	return all, nil
}

func deviceState(s native.DeviceState) string {
	switch s {
	case native.Running:
		return "running"
	case native.DeviceSuspended:
		return "suspended"
	}
	return "idle"
}

func newDefaultDeviceCommand() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "default NAME",
		Short: "Make a device the one that is used unless somebody says otherwise",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			server, err := cmd.Flags().GetString("server")
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			withDaemon(server, "completion", func(c *native.Client, st session.Status) error { // without one there is nothing to offer
				all, err := soundDevices(c, st)
				for _, d := range all {
					names = append(names, d.Name+"\t"+d.Description)
				}
				return err
			})
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return runDefaultDevice(server, args[0]) },
	}
	addServerFlag(cmd, &server)
	return cmd
}

func runDefaultDevice(server, name string) error {
	return withDaemon(server, "devices", func(c *native.Client, st session.Status) error {
		all, err := soundDevices(c, st)
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.Name == name && d.Kind == "sink" {
				return c.Call(native.OpSetDefaultSink, &native.ByName{Name: name}, nil)
			} else if d.Name == name {
				return c.Call(native.OpSetDefaultSource, &native.ByName{Name: name}, nil)
			}
		}
		return fmt.Errorf("there is no device %q; list them with: sandbox-audio devices", name)
	})
}
