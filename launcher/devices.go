package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A helper may open a device for as long as programs of its run: the graphics card's render node, and cameras where the
// profile says so. A node under /dev is root's, so root must lend it. The sudo rule lets the owner start the entry program as
// root for that and nothing else, with fixed arguments: whose helper, and which kinds of devices.
//
//	run ──► sudo ──► enter @devices OWNERUID PROFILE KIND…      root
//	 │                 its input ends ──► takes back            also when run was killed
//	 └◄─── "lent" ─────┘
//
// Lending is counted like all loans (lend.go), in a directory of root's that lasts as long as /dev: until the next boot.
// Root lends only what the owner itself can open at that moment, so nobody gets at more through a helper than before.

// devicesArg has the entry program, as root, lend devices; the owner's uid, the profile and the kinds follow.
const devicesArg = "@devices"

// The kinds of devices that are lent, and the nodes of each.
const (
	gpu    = "gpu"
	webcam = "webcam"
)

var deviceNodes = map[string]string{
	gpu:    "/dev/dri/renderD*", // drawing and video decoding without any say over the screen (drm(7))
	webcam: "/dev/video*",
}

// deviceKinds is every combination that the sudo rule names.
var deviceKinds = [][]string{{gpu}, {webcam}, {gpu, webcam}}

const (
	devicesLent = "lent\n"
	devicesWait = 10 * time.Second
)

func devicesCommand(p *Profile, kinds []string) []string {
	return append([]string{p.Entry, devicesArg, strconv.Itoa(p.OwnerUID), p.Name}, kinds...)
}

// closedNodes lists the nodes of the kinds that are not everybody's to open.
func closedNodes(kinds []string) (paths []string) {
	for _, kind := range kinds {
		nodes, _ := filepath.Glob(deviceNodes[kind]) // the patterns are well-formed
		for _, node := range nodes {
			if st, err := os.Lstat(node); err == nil && st.Mode()&fs.ModeCharDevice != 0 && st.Mode()&0o006 != 0o006 {
				paths = append(paths, node)
			}
		}
	}
	return paths
}

// deviceKeeper is root's part of a run, as the run sees it.
type deviceKeeper struct {
	cmd  *exec.Cmd
	hold io.Closer // while it is open the devices are lent
	says *bufio.Reader
	read io.Closer
	err  strings.Builder
}

// startDeviceKeeper has the keeper started.
func startDeviceKeeper(argv []string) (*deviceKeeper, error) {
	input, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	says, output, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	defer output.Close()
	k := &deviceKeeper{cmd: exec.Command(argv[0], argv[1:]...), hold: hold, says: bufio.NewReaderSize(says, 16), read: says}
	k.cmd.Dir, k.cmd.Env = "/", []string{"PATH=" + adminPath}
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = input, output, &k.err
	k.cmd.WaitDelay = leaveWait
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal to ask at
	if err := k.cmd.Start(); err != nil {
		return nil, errors.Join(err, hold.Close(), says.Close())
	}
	return k, says.SetReadDeadline(time.Now().Add(devicesWait))
}

// await returns when the devices are lent, or with the reason why they are not.
func (k *deviceKeeper) await() error {
	line, err := k.says.ReadString('\n')
	if err == nil && line == devicesLent {
		return nil
	}
	k.end()
	if said := strings.Join(strings.Fields(printable(k.err.String())), " "); said != "" {
		return errors.New(said)
	}
	return fmt.Errorf("%s: %w", k.cmd.Args[0], err)
}

// end has the devices taken back, and waits until they are.
func (k *deviceKeeper) end() {
	if k == nil || k.cmd.ProcessState != nil {
		return
	}
	k.hold.Close()
	k.read.Close()
	kill := time.AfterFunc(devicesWait, func() { _ = k.cmd.Process.Kill() })
	_ = k.cmd.Wait() // how it ended tells nothing more
	kill.Stop()
}

// keepDevices is the keeper: it lends what the owner may open of the kinds, says so, and takes it back when its input ends.
func keepDevices(args []string) error {
	if os.Geteuid() != 0 || len(args) < 3 {
		return errors.New("devices are lent by sandbox-audio run, through sudo")
	}
	uid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	owner, err := accountByUID(uid)
	if err != nil {
		return err
	}
	p, err := FindProfile(owner, args[1])
	if err != nil {
		return err
	}
	if helper, err := accountByName(p.Helper); err != nil {
		return fmt.Errorf("the helper %s: %w", p.Helper, err)
	} else if helper.UID != p.HelperUID || helper.UID == 0 {
		return fmt.Errorf("%s has the uid %d, not %d as setup made it", p.Helper, helper.UID, p.HelperUID)
	}
	nodes, err := openTo(owner, closedNodes(args[2:]))
	if err != nil {
		return err
	}
	l, err := newDeviceLender()
	if err != nil {
		return err
	}
	err = l.sweep()
	for _, node := range nodes {
		err = errors.Join(err, l.lend(&lentDevice{Path: node, Helper: p.HelperUID}))
	}
	if err == nil {
		_, err = io.WriteString(os.Stdout, devicesLent)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return errors.Join(err, l.takeBack())
}

// openTo is those of the paths that an account may read and write, as the kernel sees it.
func openTo(a Account, paths []string) (open []string, err error) {
	if a.UID == 0 {
		return paths, nil
	}
	groups, err := a.groups()
	if err != nil {
		return nil, err
	}
	if err := syscall.Setgroups(groups); err != nil {
		return nil, err
	}
	if err := errors.Join(syscall.Setregid(a.GID, 0), syscall.Setreuid(a.UID, 0)); err != nil { // access(2) goes by the real ids
		return nil, err
	}
	for _, path := range paths {
		if unix.Access(path, unix.R_OK|unix.W_OK) == nil {
			open = append(open, path)
		}
	}
	return open, errors.Join(syscall.Setreuid(0, 0), syscall.Setregid(0, 0), syscall.Setgroups(nil))
}
