// Package vm runs scripts in a Debian guest whose sound cards are emulated, for tests that need a real kernel's sound
// drivers, a system whose accounts they may change, or both.
//
//	root        built once, cached, a memory that all guests read; each has a layer of memory of its own above it
//	/job        a folder in the guest's memory: files from the host come into it as a script begins, what is new in it goes
//	            to the host as the script ends
//	/host       the host's side of /job, shared by 9p, for what cannot wait for that
//	Guest.Run   writes the script there, names it on a serial port, waits there for its status
//	card N      a sound card; QEMU writes what its converter puts out into a WAV file on the host
//
// Hardware virtualisation is not used, since many machines that run tests have none: a boot takes about fifteen seconds of
// a core, so let one guest serve many checks. The guest's time is its own (QEMU's -icount, which serves a single processor):
// an instruction takes 2 ns of it, however long it takes the host, and when all sleep it goes on to the next timer at once.
// So a busy host makes a test slower and does not make a card stutter, and a minute of sound takes less than a minute. But
// what the guest waits for and the host does takes any length of the guest's time: nothing touches /host while sound plays.
// The root is no disk for that reason: memory is there when an instruction asks for it.
package vm

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
)

// Card is a kind of emulated sound card.
type Card string

const (
	HDA  Card = "hda"  // card id Intel, snd-hda-intel
	AC97 Card = "ac97" // card id I82801AAICH, snd-intel8x0
	USB  Card = "usb"  // card id QEMUUSBAudio, snd-usb-audio

	HDAIn  Card = "hda-in"  // card id Intel, or Intel_1 beside HDA: hears Options.Line
	AC97In Card = "ac97-in" // card id I82801AAICH, or I82801AAICH_1 beside AC97: hears silence
)

// device is QEMU's part for the card that plays into the audiodev a, with the modules that drive it.
func (c Card) device(n int, a string) (args, modules []string) {
	switch c {
	case HDA, HDAIn: // without its codec's driver at hand the controller gives up
		bus, codec := fmt.Sprintf("hda%d", n), "hda-output"
		if c == HDAIn {
			codec = "hda-duplex"
		}
		return []string{"-device", "intel-hda,id=" + bus, "-device", codec + ",bus=" + bus + ".0,audiodev=" + a}, []string{"snd-hda-codec-generic", "snd-hda-intel"}
	case AC97, AC97In:
		return []string{"-device", "AC97,audiodev=" + a}, []string{"snd-intel8x0"}
	case USB:
		return []string{"-device", "usb-audio,id=" + a + "-usb,bus=xhci.0,audiodev=" + a}, []string{"snd-usb-audio"}
	}
	panic("no such card: " + string(c))
}

// Options say what a guest has.
type Options struct {
	Cards   []Card            // address them by card id: the kernel numbers them as they come up
	Modules []string          // further kernel modules to load, such as snd-aloop
	Line    []byte            // what HDAIn hears, round and round for three minutes: frames of 48 kHz, 16 bit, stereo
	Files   map[string]string // path in the guest: path on the host; permissions are kept, the owner is root
	Timeout time.Duration     // of the guest's whole life; 12 minutes when zero, for guests share the host's processors
}

// Guest is a running guest. One goroutine at a time may call its methods, but for the ones that say otherwise.
type Guest struct {
	dir      string // the host's side: card files, console, /host
	orders   *os.File
	answers  *bufio.Reader
	process  *os.Process
	exited   chan struct{}
	deadline time.Time
	runs     int

	qmp        *os.File
	qmpAnswers *json.Decoder
	qmpOpen    bool
}

// Result is what a script did.
type Result struct {
	Output   string // standard output and error, as they came
	ExitCode int
}

//go:embed guest
var guestFiles embed.FS

// Boot starts a guest that lives until t ends, Close is called or its time is up. It needs root, and installs what it
// needs. The sound cards are unmuted and at full volume, and belong to group audio.
func Boot(t testing.TB, o Options) *Guest {
	t.Helper()
	need.Root(t)
	r, err := cached()
	if err != nil {
		t.Fatal(err)
	}
	if o.Timeout == 0 {
		o.Timeout = 12 * time.Minute
	}
	g := &Guest{dir: t.TempDir(), exited: make(chan struct{}), deadline: time.Now().Add(o.Timeout)}
	if err := g.start(r, o); err != nil {
		t.Fatalf("start the guest: %v", err)
	}
	t.Cleanup(g.Close)
	ready := g.await(t)
	if want := fmt.Sprintf("ready %d", len(o.Cards)); ready != want {
		t.Fatalf("the guest says %q instead of %q; its console:\n%s", ready, want, g.console())
	}
	return g
}

func (g *Guest) start(r root, o Options) error {
	boot := g.Shared("boot")
	if err := os.MkdirAll(filepath.Join(boot, "files"), 0o755); err != nil {
		return err
	}
	for to, from := range o.Files {
		if err := copyFile(from, filepath.Join(boot, "files", to)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(g.dir, "initramfs"), initramfs(r), 0o644); err != nil {
		return err
	}
	args := []string{"-M", "q35,nvdimm=on", "-accel", "tcg", "-icount", "shift=1,sleep=off", "-cpu", "max", "-smp", "1", "-m", fmt.Sprintf("1536M,slots=1,maxmem=%dM", 1536+r.size>>20),
		"-object", fmt.Sprintf("memory-backend-file,id=root,share=on,readonly=on,size=%d,mem-path=%s", r.size, r.image),
		"-device", "nvdimm,memdev=root,unarmed=on",
		"-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-no-reboot",
		"-kernel", r.kernel, "-initrd", filepath.Join(g.dir, "initramfs"),
		"-append", "console=ttyS0 quiet cryptomgr.notests panic=-1 mitigations=off nokaslr tsc=reliable",
		"-serial", "file:" + filepath.Join(g.dir, "console"),
		"-chardev", "socket,id=orders,fd=3", "-serial", "chardev:orders",
		"-chardev", "socket,id=qmp,fd=4", "-mon", "chardev=qmp,mode=control",
		"-virtfs", "local,mount_tag=host,security_model=none,path=" + g.Shared(""),
		"-device", "qemu-xhci,id=xhci"}
	drivers := []string{"xhci-pci"}
	for i, card := range o.Cards {
		id := fmt.Sprintf("card%d", i)
		switch card {
		case HDAIn:
			if err := g.feed(id, o.Line); err != nil {
				return err
			}
			args = append(args, "-audiodev", "alsa,id="+id+",in.dev="+id+",in.frequency=48000,in.try-poll=off,out.dev=null,out.try-poll=off")
		case AC97In: // it takes what it hears as fast as it is given that
			args = append(args, "-audiodev", "none,id="+id+",in.frequency=48000")
		default:
			args = append(args, "-audiodev", "wav,id="+id+",out.frequency=48000,path="+g.CardWAV(i))
		}
		device, its := card.device(i, id)
		args, drivers = append(args, device...), append(drivers, its...)
	}
	first := map[string]string{"drivers": strings.Join(drivers, "\n"), "modules": strings.Join(o.Modules, "\n"), "cards": fmt.Sprint(len(o.Cards))}
	script, _ := guestFiles.ReadFile("guest/guest-init")
	first["guest-init"] = string(script)
	for name, text := range first {
		if err := os.WriteFile(filepath.Join(boot, name), []byte(text), 0o755); err != nil {
			return err
		}
	}

	orders, theirOrders, err := socketpair()
	if err != nil {
		return err
	}
	qmp, theirQMP, err := socketpair()
	if err != nil {
		return err
	}
	g.orders, g.answers, g.qmp, g.qmpAnswers = orders, bufio.NewReader(orders), qmp, json.NewDecoder(qmp)
	log, err := os.Create(filepath.Join(g.dir, "qemu.log"))
	if err != nil {
		return err
	}
	cmd := exec.Command("qemu-system-x86_64", args...)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{theirOrders, theirQMP}, log, log
	cmd.Env = append(os.Environ(), "ALSA_CONFIG_PATH="+filepath.Join(g.dir, "asound.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig speaks of the thread, not the process (prctl(2))
		err := cmd.Start()
		for _, f := range cmd.ExtraFiles {
			f.Close() // so that its end is the end of the line
		}
		log.Close()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(g.exited)
	}()
	err = <-started
	g.process = cmd.Process
	return err
}

// feed has the card of that id hear line. QEMU has sound from alsa-lib, and that from a file, as fast as it is asked for it: what a card hears
// depends on the guest's time alone.
func (g *Guest) feed(id string, line []byte) error {
	const long = 3 * 60 * 48000 * 4
	file := filepath.Join(g.dir, id+".line")
	if err := os.WriteFile(file, bytes.Repeat(line, 1+long/max(1, len(line))), 0o644); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(g.dir, "asound.conf"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conf, "pcm.null { type null }\npcm.%s { type file slave.pcm null file /dev/null infile %q format raw }\n", id, file)
	return errors.Join(err, conf.Close())
}

// Run runs script with bash, as root of the guest, and waits for its end. A guest that dies or whose time is up fails t.
func (g *Guest) Run(t testing.TB, script string) Result {
	t.Helper()
	g.runs++
	if err := os.WriteFile(g.Shared(fmt.Sprint(g.runs, ".sh")), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(g.orders, "run %d\n", g.runs)
	answer := g.await(t)
	r := Result{ExitCode: -1}
	if _, err := fmt.Sscanf(answer, "done "+fmt.Sprint(g.runs)+" %d", &r.ExitCode); err != nil {
		t.Fatalf("the guest says %q instead of the status of script %d", answer, g.runs)
	}
	out, err := os.ReadFile(g.Shared(fmt.Sprint(g.runs, ".out")))
	if err != nil {
		t.Fatal(err)
	}
	r.Output = string(out)
	return r
}

// Must is the output of a script that has to succeed.
func (g *Guest) Must(t testing.TB, script string) string {
	t.Helper()
	r := g.Run(t, script)
	if r.ExitCode != 0 {
		t.Fatalf("status %d of %s\n%s", r.ExitCode, script, r.Output)
	}
	return r.Output
}

// await reads the guest's next line.
func (g *Guest) await(t testing.TB) string {
	t.Helper()
	g.orders.SetReadDeadline(g.deadline)
	line, err := g.answers.ReadString('\n')
	if err != nil {
		g.orders.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(g.orders, "show %d\n", g.runs)
		g.answers.ReadString('\n')
		out, _ := os.ReadFile(g.Shared(fmt.Sprint(g.runs, ".out")))
		log, _ := os.ReadFile(filepath.Join(g.dir, "qemu.log"))
		g.process.Kill()
		t.Fatalf("no answer from the guest: %v\noutput of script %d: %s\nqemu: %s\nconsole: %s", err, g.runs, last(out, 4000), last(log, 2000), g.console())
	}
	return strings.TrimSpace(line)
}

// CardWAV is where card n's sound is, from 0 in the order of Options.Cards: 48 kHz, 16 bit, stereo. It holds only what
// played while a stream ran. Its last 20 ms and its header's sizes are complete after Close.
func (g *Guest) CardWAV(n int) string { return filepath.Join(g.dir, fmt.Sprintf("card%d.wav", n)) }

// Shared is the host's path of a file of the guest's: written before a script begins, the script has it as /job/name; what
// a script leaves as /job/name is there when Run returns. The guest has it as /host/name at any time.
func (g *Guest) Shared(name string) string { return filepath.Join(g.dir, "host", name) }

// Monitor gives QEMU an order over QMP, such as device_add, and returns what it answered.
func (g *Guest) Monitor(t testing.TB, command string, arguments map[string]any) json.RawMessage {
	t.Helper()
	answer, err := g.order(command, arguments)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Unplug takes card n, a USB one, out of the running guest. Another goroutine may be in Run meanwhile.
func (g *Guest) Unplug(n int) error {
	_, err := g.order("device_del", map[string]any{"id": fmt.Sprintf("card%d-usb", n)})
	return err
}

// order opens the connection first, which takes an order too.
func (g *Guest) order(command string, arguments map[string]any) (json.RawMessage, error) {
	g.qmp.SetDeadline(time.Now().Add(30 * time.Second))
	if !g.qmpOpen {
		if _, err := g.say("qmp_capabilities", nil); err != nil {
			return nil, err
		}
		g.qmpOpen = true
	}
	return g.say(command, arguments)
}

func (g *Guest) say(command string, arguments map[string]any) (json.RawMessage, error) {
	if arguments == nil {
		arguments = map[string]any{}
	}
	if err := json.NewEncoder(g.qmp).Encode(map[string]any{"execute": command, "arguments": arguments}); err != nil {
		return nil, err
	}
	for { // past the greeting and events
		var answer struct{ Return, Error json.RawMessage }
		if err := g.qmpAnswers.Decode(&answer); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("%s: %s", command, answer.Error)
		}
		if answer.Return != nil {
			return answer.Return, nil
		}
	}
}

// Close ends the guest; its cards' files are complete then.
func (g *Guest) Close() {
	g.process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(10 * time.Second):
		g.process.Kill()
		<-g.exited
	}
	g.orders.Close()
	g.qmp.Close()
}

func (g *Guest) console() []byte {
	b, _ := os.ReadFile(filepath.Join(g.dir, "console"))
	return last(b, 4000)
}

func initramfs(r root) []byte {
	init, _ := guestFiles.ReadFile("guest/initramfs-init")
	entries := []entry{{"init", modeExec, init}}
	for _, dir := range []string{"bin", "proc", "lower", "upper", "new", "modules", "dev"} {
		entries = append(entries, entry{dir, modeDir, nil})
	}
	for _, path := range append([]string{r.busybox}, r.modules...) {
		data, err := os.ReadFile(path)
		if err != nil {
			panic(err) // the cached root is not what build made
		}
		if path == r.busybox {
			entries = append(entries, entry{"bin/busybox", modeExec, data})
			continue
		}
		entries = append(entries, entry{"modules/" + filepath.Base(path), modeExec, data})
	}
	var b bytes.Buffer
	writeCPIO(&b, entries)
	return b.Bytes()
}

func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "guest"), os.NewFile(uintptr(fds[1]), "qemu"), nil
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
