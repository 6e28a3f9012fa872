// Runtests runs every check of the repository and says how many passed: gofmt, go vet and the tests of each package.
//
//	first       what tests need is installed, while gofmt and go vet look at the source
//	then        all packages but those below e2e, in parallel, while the guest of e2e/vm is made; those of the
//	            daemon once more with the race detector, which needs a C compiler as the program itself does not, and less
//	            of time that is only simulated;
//	            beside those below e2e that do all in guests, whose time is their own
//	last        the others below e2e, one at a time, since they play sound in real time and want the machine; screenshots
//	            that they take are kept in build/artifacts
//
// As root nothing is missing that a test could not install, so a skipped test counts as failed; so it does with CI=true.
// Not as root, the tests run through sudo where that works. The last line is "N passed, N failed".
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/vm"
)

// packages are all that tests ask for one by one, or are skipped without; here they come in one go.
var packages = []string{
	"acl", "alsa-utils", "bash-completion", "chromium", "chromium-sandbox", "dbus", "dbus-bin", "dbus-daemon", "dconf-cli", "dconf-gsettings-backend", "debootstrap", "desktop-file-utils",
	"doas", "e2fsprogs", "ffmpeg", "firefox-esr", "fish", "fontconfig", "fonts-dejavu-core", "gcc", "grim", "gstreamer1.0-plugins-good", "gstreamer1.0-pulseaudio", "gsettings-desktop-schemas", "gstreamer1.0-tools",
	"libasound2-plugins", "libc6-dev", "libglib2.0-bin", "libgtk-3-bin", "libsox-fmt-pulse", "make", "man-db", "mandoc", "mpv", "pavucontrol",
	"pipewire", "pipewire-pulse", "polkitd", "procps", "pulseaudio", "pulseaudio-utils", "pulsemixer", "qemu-system-x86", "rtkit", "sox", "strace", "sudo", "sway",
	"vlc-bin", "vlc-plugin-base", "wayland-utils", "weston", "wireplumber", "wl-clipboard", "x11-apps", "x11-utils", "x11-xserver-utils", "xauth", "xclip", "xdotool",
	"xserver-xephyr", "xvfb", "xwayland", "zsh",
}

func main() {
	if len(os.Args) == 2 { // this program as root
		if err := map[string]func() error{"install": func() error { return need.Install(packages...) }, "guest": vm.Prepare}[os.Args[1]](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt) // also so that tests get it, which a shell's background job ignores
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) { // there as well, or by nohup(1)
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	go func() {
		<-interrupted
		os.Exit(130)
	}()

	began := time.Now()
	root := os.Geteuid() == 0
	var sudo []string
	if !root {
		sudo = through()
	}
	tally := &tally{skipped: map[string]string{}, elsewhere: map[string]bool{}, strict: root || len(sudo) > 0 || os.Getenv("CI") == "true"}

	prepare := func(what string) (done chan error) {
		done = make(chan error, 1)
		go func() {
			self, err := os.Executable()
			if err == nil && (root || len(sudo) > 0) {
				err = command(append(sudo, self, what)...).Run()
			}
			done <- err
		}()
		return done
	}
	installed := prepare("install")
	tally.check("gofmt", formatted())
	tally.check("go vet", report(command("go", "vet", "./...")))
	units, guests, ends := list()
	if err := <-installed; err != nil {
		fmt.Println("not all that tests need could be installed; they will tell:", err)
	}
	guest := prepare("guest")
	tally.test(sudo, set{flags: []string{"-timeout", "10m"}, pkgs: units})
	beside := []set{{flags: []string{"-timeout", "14m"}, pkgs: guests, ready: func() {
		if err := <-guest; err != nil {
			fmt.Println("the guest could not be made; the tests that need it will tell:", err)
		}
	}}}
	if _, err := exec.LookPath("gcc"); err == nil {
		fmt.Println("in guests, and those of the daemon with the race detector:")
		daemon := slices.DeleteFunc(slices.Clone(units), func(pkg string) bool { return !strings.Contains(pkg, "/audiod") })
		beside = append(beside, set{flags: []string{"-timeout", "10m", "-race", "-short"}, pkgs: daemon})
	} else {
		fmt.Println("no gcc: the race detector does not look")
	}
	tally.test(sudo, beside...)
	artifacts, _ := filepath.Abs("build/artifacts")
	os.RemoveAll(artifacts)
	os.MkdirAll(artifacts, 0o777)
	tally.test(sudo, set{flags: []string{"-p", "1", "-timeout", "14m", "-artifacts", "-outputdir", artifacts}, pkgs: ends})
	if len(sudo) > 0 { // so that make clean can remove them
		command(append(sudo, "chown", "-R", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), artifacts)...).Run()
	}
	tally.close(time.Since(began))
}

// through is how to run a program as plain root, not as somebody behind sudo, with what the go command and the tests must
// know; nil when sudo does not work.
func through() []string {
	sudo := exec.Command("sudo", "-v")
	if in, err := os.Stdin.Stat(); err != nil || in.Mode()&os.ModeCharDevice == 0 || os.Getenv("CI") != "" {
		sudo = exec.Command("sudo", "-n", "true")
	}
	sudo.Stdin, sudo.Stdout, sudo.Stderr = os.Stdin, os.Stdout, os.Stderr
	if sudo.Run() != nil {
		fmt.Println("sudo does not work here: tests that need root will be skipped")
		return nil
	}
	modules, _ := exec.Command("go", "env", "GOMODCACHE").Output()
	path := os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin" // where root has its tools, and others on Debian do not look
	return []string{"sudo", "-H", "env", "-u", "SUDO_USER", "-u", "SUDO_UID", "-u", "SUDO_GID", "-u", "SUDO_COMMAND", "PATH=" + path, "GOMODCACHE=" + strings.TrimSpace(string(modules)),
		"GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" -buildvcs=false"), // git tells root nothing of another's checkout
		"SANDBOX_AUDIO_TEST_CACHE=" + os.Getenv("SANDBOX_AUDIO_TEST_CACHE")}
}

// list is the import paths of all packages that have tests: those of e2e, of which some need guests, and all others.
func list() (units, guests, ends []string) {
	out, err := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.XTestImports}}{{end}}", "./...").Output()
	if err != nil {
		fmt.Println("go list:", err) // go vet has told why
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case pkg == "":
		case !strings.Contains(pkg, "/e2e/") || strings.HasSuffix(pkg, "/sound"):
			units = append(units, pkg)
		case strings.HasSuffix(pkg, "/vm") || strings.Contains(imports, "/e2e/vm"):
			guests = append(guests, pkg)
		default:
			ends = append(ends, pkg)
		}
	}
	return units, guests, ends
}

// formatted is nil when gofmt would change nothing.
func formatted() error {
	out, err := exec.Command("gofmt", "-l", ".").CombinedOutput()
	if err == nil && len(out) > 0 {
		err = fmt.Errorf("gofmt would change:\n%s", out)
	}
	return err
}

func report(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = nil, nil
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// command is a command without cgo that writes where this program does.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}
