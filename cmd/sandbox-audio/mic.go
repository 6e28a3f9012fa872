package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
	"sandbox-audio/launcher"
)

type micOptions struct {
	server, user, profile string
	duration              time.Duration
	json                  bool
}

func newMicCommand() *cobra.Command {
	var o micOptions
	cmd := &cobra.Command{
		Use:   "mic [allow|deny|ask]",
		Short: "Show or say who hears the microphone",
		Long: `Show which helper may hear the microphone and whether it does or, with a word, say so: programs that record go on recording, from
then on sound or silence. With "ask" the desktop asks you when a program wants to. What is said is remembered until you say something else or, with --for, for
a time.`,
		Example: `  sandbox-audio mic allow --for 1h            # for a call
  sandbox-audio mic deny
  sandbox-audio mic ask --profile work`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: fixed(string(memory.Allow), string(memory.Deny), string(memory.Ask)),
		RunE:              func(_ *cobra.Command, args []string) error { return runMic(o, os.Stdout, args) },
	}
	addServerFlag(cmd, &o.server)
	addJSONFlag(cmd, &o.json)
	addProfileFlag(cmd, &o.profile)
	cmd.Flags().StringVar(&o.user, "user", "", "`USER` by name or number, in the place of a profile's helper")
	cmd.Flags().DurationVar(&o.duration, "for", 0, "for how long; 0 is until you say something else")
	completeFlag(cmd, "user", micUsers)
	completeFlag(cmd, "for", fixed("10m", "1h", "8h"))
	return cmd
}

func runMic(o micOptions, out io.Writer, args []string) error {
	access := memory.Access(append(args, "")[0])
	if access != "" && access != memory.Allow && access != memory.Deny && access != memory.Ask {
		return fmt.Errorf("%q is none of allow, deny and ask", access)
	}
	if o.duration < 0 {
		return errors.New("--for must be a time to come, as in --for 1h")
	}
	return withDaemon(o.server, "mic", func(c *native.Client, st session.Status) error {
		if access == "" {
			return printMics(out, mics(st), o.json)
		}
		uid, err := o.uid()
		if err != nil {
			return err
		}
		change := session.MicChange{UID: uid, State: access, ForSeconds: o.duration.Seconds()}
		var now session.Mic
		switch err := send(c, session.MessageMic, change, &now); {
		case errors.Is(err, native.ErrNotSupported):
			return fmt.Errorf("%s sees no microphone at all: its profile says microphone = \"none\"", userName(uid))
		case errors.Is(err, native.ErrInvalid):
			return fmt.Errorf("%s may do everything as it is, or %v is too long", userName(uid), o.duration)
		case err != nil:
			return fmt.Errorf("telling the daemon: %w", err)
		}
		return printMics(out, []micState{{uid, userName(uid), now}}, o.json)
	})
}

// uid is whose microphone is meant.
func (o *micOptions) uid() (uint32, error) {
	if o.user == "" {
		owner, err := launcher.Owner()
		if err != nil {
			return 0, err
		}
		p, err := launcher.FindProfile(owner, o.profile)
		if err != nil {
			return 0, fmt.Errorf("%w; or name a user with --user", err)
		}
		return uint32(p.HelperUID), nil
	}
	id := o.user
	if u, err := user.Lookup(o.user); err == nil {
		id = u.Uid
	}
	uid, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no user %q", o.user)
	}
	return uint32(uid), nil
}

// micState is one user's microphone.
type micState struct {
	UID  uint32 `json:"uid"`
	User string `json:"user"`
	session.Mic
}

func mics(st session.Status) []micState {
	all := []micState{}
	for _, u := range st.Users {
		if u.Mic != nil {
			all = append(all, micState{u.UID, userName(u.UID), *u.Mic})
		}
	}
	return all
}

func printMics(out io.Writer, all []micState, asJSON bool) error {
	if asJSON {
		return printJSON(out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(os.Stderr, "no helper has been here yet; say it beforehand with: sandbox-audio mic allow")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, m := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", m.User, m.permission(), m.use())
	}
	return w.Flush()
}

// permission is what the owner has said, in words.
func (m micState) permission() string {
	until := ""
	if m.Until != nil {
		until = " until " + m.Until.Local().Format(time.TimeOnly)
	}
	switch {
	case m.State == session.NoMicrophone:
		return "has no microphone"
	case m.State != memory.Ask:
		return string(m.State) + until
	case m.Asking:
		return "ask: you are being asked"
	case m.Open && until == "":
		return "ask: allowed as long as it records"
	case m.Open:
		return "ask: allowed" + until
	case m.Answer != "":
		return "ask: " + m.Answer
	}
	return "ask" + until
}

// use says plainly whether the microphone is heard now.
func (m micState) use() string {
	switch {
	case m.InUse:
		return fmt.Sprintf("MICROPHONE: %s of %s records since %v", dash(m.By), m.User, time.Since(*m.Since).Round(time.Second))
	case m.LastUse != nil:
		return "last used at " + m.LastUse.Local().Format(time.TimeOnly)
	}
	return "not used"
}

// micUsers completes the helpers that the daemon knows.
func micUsers(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	server, err := cmd.Flags().GetString("server")
	if err == nil {
		withDaemon(server, "completion", func(_ *native.Client, st session.Status) error { // without one there is nothing to offer
			for _, m := range mics(st) {
				names = append(names, m.User)
			}
			return nil
		})
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
