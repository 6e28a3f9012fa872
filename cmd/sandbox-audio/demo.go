package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sandbox-audio/audiod/native"
	"sandbox-audio/launcher"
)

const (
	demoProfile = "demo"
	strangerUID = 64123 // nobody's: neither a person's nor a service's on any system
)

func newDemoCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Hear and see what this program does, and leave nothing behind",
		Long: `Make a helper user, play a chime as that user through the sound daemon, over its Unix socket and over TCP, show the level, have a stranger knock
at both addresses, and remove everything again. Needs root, through sudo or otherwise, and nothing else: without a sound card the
chime goes to a silent device, and the meter shows it.

Exit status: 0 when everything went as it should.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runDemo(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was seen as JSON")
	return cmd
}

// demoReport is what a demo saw.
type demoReport struct {
	Helper   string            `json:"helper"`
	Device   string            `json:"device"`
	Played   map[string]bool   `json:"played"`   // by transport: the daemon saw the helper's stream, by the kernel's word
	Peak     float64           `json:"peak_db"`  // loudest, full scale 0
	Xruns    uint64            `json:"xruns"`    // of the device
	Stranger map[string]string `json:"stranger"` // by address: refused, as it should be
	Reasons  []string          `json:"reasons"`  // the daemon's, for the stranger
	Removed  bool              `json:"removed"`  // everything that was made
	Seconds  float64           `json:"seconds"`
}

// fault is what the demo should have shown and did not, or nil.
func (r *demoReport) fault() error {
	switch {
	case len(r.Played) < 2 || math.IsInf(r.Peak, 0) || r.Peak < -40:
		return fmt.Errorf("the chime was not heard over both transports (%v, peak %.1f dB)", r.Played, r.Peak)
	case len(r.Stranger) < 2 || len(r.Reasons) < 2:
		return fmt.Errorf("the stranger did not reach the daemon (%v)", r.Stranger)
	case !r.Removed:
		return errors.New("not everything was removed")
	}
	for addr, what := range r.Stranger {
		if what != refused {
			return fmt.Errorf("the stranger was %s at %s", what, addr)
		}
	}
	return nil
}

func runDemo(asJSON bool) error {
	if os.Geteuid() != 0 {
		return launcher.Elevate()
	}
	for _, name := range []string{"SUDO_UID", "SUDO_GID", "SUDO_USER"} {
		os.Unsetenv(name) // the demo is root's own, and touches nobody's profiles
	}
	owner, err := launcher.Owner()
	if err != nil {
		return err
	}
	if _, err := launcher.FindProfile(owner, demoProfile); err == nil {
		return errors.New("a demo is going on, or was cut off; clean up with: sudo sandbox-audio teardown --profile demo --purge")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d := &demo{out: os.Stderr, owner: owner, report: demoReport{Played: map[string]bool{}, Peak: math.Inf(-1), Stranger: map[string]string{}}}
	start := time.Now()
	err = d.show(ctx)
	if _, goneErr := launcher.Teardown(owner, demoProfile, true, false, silent); goneErr == nil {
		d.report.Removed = true
		d.say("removed the helper and everything that was made for it")
	} else if !errors.Is(goneErr, launcher.ErrNoProfile) {
		err = errors.Join(err, fmt.Errorf("remove the helper: %w", goneErr))
	}
	d.report.Seconds = time.Since(start).Seconds()
	if err == nil {
		err = d.report.fault()
	}
	if asJSON {
		if math.IsInf(d.report.Peak, 0) {
			d.report.Peak = -999
		}
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return errors.Join(err, e.Encode(d.report))
	}
	if err == nil {
		d.say(fmt.Sprintf("done in %.0f seconds: sound for the helper, none for the stranger, nothing left behind", d.report.Seconds))
	}
	return err
}

type demo struct {
	out    io.Writer
	owner  launcher.Account
	report demoReport
}

func (d *demo) say(text string) { fmt.Fprintln(d.out, "demo:", text) }

func silent(string, launcher.Step) {}

// show does everything between setup and teardown, and fills the report.
func (d *demo) show(ctx context.Context) error {
	d.say("making a helper user")
	if err := launcher.Setup(d.owner, demoProfile, nil, false, silent); err != nil {
		return err
	}
	profile, err := launcher.FindProfile(d.owner, demoProfile)
	if err != nil {
		return err
	}
	d.report.Helper = profile.Helper
	plan, err := launcher.NewPlan(launcher.Request{Profile: demoProfile, Argv: []string{profile.Entry, chimeCommand}, Environ: os.Environ(), Dir: "/"}, d.owner, launcher.Config{})
	if err != nil {
		return err
	}
	d.say(fmt.Sprintf("playing a chime as %s (uid %d), over the Unix socket and over TCP", profile.Helper, profile.HelperUID))
	played := make(chan error, 1)
	go func() {
		status, err := plan.Run(daemonLink{}, d.say)
		if err == nil && status != 0 {
			err = fmt.Errorf("the chime's player ended with status %d", status)
		}
		played <- err
	}()
	err = d.watch(ctx, plan.Addresses[0], uint32(profile.HelperUID), played)
	if err != nil {
		return err
	}
	d.say(fmt.Sprintf("heard on %s, %s at its loudest, %s", d.report.Device, decibel(math.Pow(10, d.report.Peak/20)), count(d.report.Xruns, "xrun")))
	return d.stranger(ctx, profile.Entry, plan.Addresses)
}

// watch shows the level until the player has ended.
func (d *demo) watch(ctx context.Context, addr string, helper uint32, played <-chan error) error {
	var c *native.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	meter := newMeter(d.out)
	defer meter.end()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-played:
			return err
		case <-ctx.Done():
			return errors.Join(errors.New("interrupted"), <-played) // the player gets the same signal
		case <-tick.C:
		}
		if c == nil {
			if c, _ = native.Dial(ctx, addr, "sandbox-audio demo"); c == nil {
				continue // the daemon is starting
			}
		}
		st, err := statusOf(c)
		if err != nil {
			c.Close()
			c = nil
			continue
		}
		d.report.Device, d.report.Xruns = st.Default().Name+" ("+st.Default().Description+")", st.Default().Xruns
		transports := map[uint32]string{}
		for _, conn := range st.Connections {
			transports[conn.Index] = conn.Transport
		}
		level := 0.0
		for _, s := range st.Streams {
			if s.UID == helper && s.Peak > 0 {
				level = max(level, s.Peak)
				d.report.Played[transports[s.Connection]] = true
			}
		}
		d.report.Peak = max(d.report.Peak, 20*math.Log10(level))
		meter.show(level)
	}
}

// stranger has a user whom nobody allowed knock at every address, and asks the daemon what it made of it.
func (d *demo) stranger(ctx context.Context, self string, addrs []string) error {
	d.say("a stranger (uid " + strconv.Itoa(strangerUID) + ") knocks at both addresses")
	cmd := exec.CommandContext(ctx, self, append([]string{strangerCommand}, addrs...)...)
	cmd.Env, cmd.Dir = []string{"LANG=C"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: strangerUID, Gid: strangerUID}}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run as a stranger: %w", err)
	}
	for i, what := range strings.Fields(string(out)) {
		if i < len(addrs) {
			d.report.Stranger[addrs[i]] = what
			d.say(addrs[i] + ": " + what)
		}
	}
	c, err := native.Dial(ctx, addrs[0], "sandbox-audio demo")
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := statusOf(c)
	if err != nil {
		return err
	}
	for _, r := range st.Refused.Newest {
		if r.UID != nil && *r.UID == strangerUID {
			d.report.Reasons = append(d.report.Reasons, r.Transport+": "+r.Reason)
		}
	}
	d.say("the daemon's reasons: " + strings.Join(d.report.Reasons, ", "))
	return nil
}

// meter draws a level: in place on a terminal, elsewhere a line now and then.
type meter struct {
	out   io.Writer
	live  bool
	shown time.Time
}

func newMeter(out io.Writer) *meter {
	f, ok := out.(*os.File)
	return &meter{out: out, live: ok && term.IsTerminal(int(f.Fd()))}
}

const (
	meterWidth = 40
	meterFloor = -60.0 // dB at the left end
)

func (m *meter) show(level float64) {
	if !m.live && time.Since(m.shown) < 500*time.Millisecond {
		return
	}
	m.shown = time.Now()
	db := math.Max(meterFloor, 20*math.Log10(level))
	n := int(math.Round((db - meterFloor) / -meterFloor * meterWidth))
	line := fmt.Sprintf("      [%s%s] %8s", strings.Repeat("#", n), strings.Repeat(" ", meterWidth-n), decibel(level))
	if m.live {
		fmt.Fprint(m.out, "\r"+line)
	} else {
		fmt.Fprintln(m.out, line)
	}
}

func (m *meter) end() {
	if m.live && !m.shown.IsZero() {
		fmt.Fprintln(m.out)
	}
}
