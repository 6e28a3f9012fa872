package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sandbox-audio/e2e/need"
)

// packages are what the guest has besides Debian's minimal base. busybox-static and kmod also build the initramfs.
var packages = []string{"alsa-utils", "pulseaudio-utils", "sudo", "procps", "sox", "libasound2-plugins", "iproute2", "kmod", "busybox-static", "udev", "strace", "dbus", "pulseaudio", "pipewire", "wireplumber"}

// early are the modules without which the guest cannot reach its root.
var early = []string{"nfit", "nd_pmem", "ext4", "overlay", "virtio_pci", "9p", "9pnet_virtio"}

// unused is most of what a guest never opens; its root is all in its address space.
var unused = []string{"usr/share/doc", "usr/share/locale", "usr/share/man", "usr/lib/modules/*/kernel/drivers/gpu", "usr/lib/modules/*/kernel/drivers/infiniband",
	"usr/lib/modules/*/kernel/drivers/net", "usr/lib/modules/*/kernel/drivers/scsi", "var/cache/apt/archives"}

// A root is what guests boot from: made once for a recipe, shared by all guests, never written again.
type root struct {
	image   string   // the guest's file system, an ext4 one
	size    int64    // of the image, in bytes
	kernel  string   // bzImage
	busybox string   // static
	modules []string // the early ones with what they depend on, in loading order
}

// Prepare makes what guests boot from, unless this machine has it already. That takes a minute or two, root, apt and
// the network; a guest needs none of them but root.
func Prepare() error {
	_, err := cached()
	return err
}

func cached() (root, error) {
	if err := need.Install("debootstrap", "debian-archive-keyring", "e2fsprogs", "qemu-system-x86"); err != nil {
		return root{}, err
	}
	cache := os.Getenv("SANDBOX_AUDIO_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/sandbox-audio-test"
	}
	suite, err := codename()
	if err != nil {
		return root{}, err
	}
	recipe := sha256.Sum256([]byte(strings.Join(slices.Concat([]string{"3", suite}, packages, early, unused), " ")))
	dir := filepath.Join(cache, hex.EncodeToString(recipe[:6]))
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return root{}, err
	}
	unlock, err := need.Lock(filepath.Join(cache, "lock"))
	if err != nil {
		return root{}, err
	}
	defer unlock()
	if _, err := os.Stat(dir); err != nil {
		if err := build(dir, suite); err != nil {
			return root{}, fmt.Errorf("build the guest's root: %w", err)
		}
	}
	r := root{image: filepath.Join(dir, "image"), kernel: filepath.Join(dir, "kernel"), busybox: filepath.Join(dir, "busybox")}
	info, err := os.Stat(r.image)
	if err != nil {
		return root{}, err
	}
	r.size = info.Size()
	r.modules, err = filepath.Glob(filepath.Join(dir, "early/*"))
	return r, err
}

// build makes dir complete, or not at all.
func build(dir, suite string) error {
	began := time.Now()
	tell := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "vm: %3.0f s: %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	partial := dir + ".partial"
	target := filepath.Join(partial, "root")
	for _, mounted := range []string{"proc", "sys"} { // by a debootstrap that was killed
		exec.Command("umount", "-q", filepath.Join(target, mounted)).Run()
	}
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}

	mirror := mirror(suite)
	tell("a Debian %s with %s, from %s", suite, strings.Join(packages, " "), mirror)
	if err := run(partial, "debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, target, mirror); err != nil {
		tail, _ := os.ReadFile(filepath.Join(target, "debootstrap/debootstrap.log"))
		return fmt.Errorf("%w\n%s", err, last(tail, 2000))
	}

	if err := need.Update(); err != nil {
		return err
	}
	out, err := exec.Command("apt-cache", "depends", "linux-image-amd64").Output()
	if err != nil {
		return fmt.Errorf("apt-cache depends linux-image-amd64: %w", err)
	}
	image := regexp.MustCompile(`Depends: (linux-image-\S+)`).FindSubmatch(out)
	if image == nil {
		return fmt.Errorf("the guest runs Debian's kernel for amd64, which this machine's apt does not offer: %s", out)
	}
	tell("its kernel, %s", image[1])
	if err := run(partial, "apt-get", "download", "-qq", string(image[1])); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(partial, "linux-image-*.deb"))
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download left %d packages", len(debs))
	}
	unpacked := filepath.Join(partial, "unpacked")
	if err := run(partial, "dpkg", "-x", debs[0], unpacked); err != nil {
		return err
	}
	version, err := kernelInto(unpacked, partial)
	if err != nil {
		return err
	}
	for _, pattern := range unused {
		paths, _ := filepath.Glob(filepath.Join(target, pattern))
		for _, path := range paths {
			os.RemoveAll(path)
		}
	}
	if err := run(partial, "chroot", target, "depmod", version); err != nil {
		return err
	}
	if err := earlyModules(target, version, filepath.Join(partial, "early")); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(target, "bin/busybox"), filepath.Join(partial, "busybox")); err != nil {
		return err
	}
	pulseHook := filepath.Join(target, "etc/alsa/conf.d/99-pulse.conf") // with it every program that uses ALSA starts PulseAudio
	for _, rest := range append(debs, unpacked, pulseHook) {
		os.RemoveAll(rest)
	}
	tell("its image")
	if err := imageOf(target, filepath.Join(partial, "image")); err != nil {
		return err
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	tell("done, in %s", dir)
	return os.Rename(partial, dir)
}

// imageOf makes of a tree the file system that the guest has as non-volatile memory. It is only ever read, so nothing is left free in it but what
// cannot be known beforehand.
func imageOf(tree, image string) error {
	out, err := exec.Command("du", "-s", "--block-size=1M", tree).Output()
	if err != nil {
		return fmt.Errorf("du: %w", err)
	}
	var mega int
	if _, err := fmt.Sscan(string(out), &mega); err != nil {
		return err
	}
	return run(filepath.Dir(image), "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree, image, fmt.Sprintf("%dM", (mega+mega/10+16)&^1))
}

// kernelInto moves the image and the modules of an unpacked kernel package to their places below partial.
func kernelInto(unpacked, partial string) (version string, err error) {
	images, _ := filepath.Glob(filepath.Join(unpacked, "boot/vmlinuz-*"))
	trees, _ := filepath.Glob(filepath.Join(unpacked, "lib/modules/*"))
	usrTrees, _ := filepath.Glob(filepath.Join(unpacked, "usr/lib/modules/*"))
	trees = append(trees, usrTrees...)
	if len(images) != 1 || len(trees) != 1 {
		return "", fmt.Errorf("the kernel package holds %d images and %d module trees", len(images), len(trees))
	}
	version = filepath.Base(trees[0])
	modules := filepath.Join(partial, "root/usr/lib/modules")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(trees[0], filepath.Join(modules, version)); err != nil {
		return "", err
	}
	return version, os.Rename(images[0], filepath.Join(partial, "kernel"))
}

// earlyModules puts what the initramfs has to load into dir, named so that their order is that of loading.
func earlyModules(target, version, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, module := range early {
		out, err := exec.Command("chroot", target, "modprobe", "-S", version, "--show-depends", module).Output()
		if err != nil {
			return fmt.Errorf("modprobe --show-depends %s: %w", module, err)
		}
		for line := range strings.Lines(string(out)) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "insmod ")
			if !ok || seen[path] {
				continue // built in, or had
			}
			seen[path] = true
			copied := filepath.Join(dir, fmt.Sprintf("%02d-%s", len(seen), filepath.Base(path)))
			if err := copyFile(filepath.Join(target, path), copied); err != nil {
				return err
			}
			if strings.HasSuffix(path, ".xz") { // busybox cannot load it packed
				if err := run(dir, "xz", "-d", copied); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// run runs a command in dir, through the proxy that apt is told to use if any.
func run(dir, name string, args ...string) error {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	for _, scheme := range []string{"http", "https"} {
		if out, _ := exec.Command("apt-config", "shell", "P", "Acquire::"+scheme+"::Proxy").Output(); len(out) > 0 {
			if proxy := strings.Trim(strings.TrimPrefix(strings.TrimSpace(string(out)), "P="), "'"); proxy != "" && proxy != "DIRECT" {
				cmd.Env = append(cmd.Env, scheme+"_proxy="+proxy)
			}
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, last(out, 2000))
	}
	return nil
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// codename is the release that this machine runs; the guest runs the same.
func codename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	name := regexp.MustCompile(`(?m)^VERSION_CODENAME="?([a-z]+)"?$`).FindSubmatch(b)
	if !regexp.MustCompile(`(?m)^ID="?debian"?$`).Match(b) || name == nil {
		return "", fmt.Errorf("the guest is built with debootstrap and apt from this machine's own release, which must be a Debian stable release")
	}
	return string(name[1]), nil
}

// mirror is where this machine's apt has its packages of suite from.
func mirror(suite string) string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, uri := range sources(string(b), suite) {
			if u, err := url.Parse(uri); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
				return uri
			}
		}
	}
	return "http://deb.debian.org/debian"
}

// sources lists the URIs that an apt source file, in either of its two forms (sources.list(5)), has for suite's main.
func sources(file, suite string) (uris []string) {
	for line := range strings.Lines(file) {
		if f := strings.Fields(regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(line, "")); len(f) >= 4 && f[0] == "deb" && f[2] == suite && f[3] == "main" {
			uris = append(uris, f[1])
		}
	}
	for stanza := range strings.SplitSeq(file, "\n\n") {
		field := map[string][]string{}
		for line := range strings.Lines(stanza) {
			if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
				field[name] = strings.Fields(value)
			}
		}
		if slices.Contains(field["Types"], "deb") && slices.Contains(field["Suites"], suite) && slices.Contains(field["Components"], "main") {
			uris = append(uris, field["URIs"]...)
		}
	}
	return uris
}
