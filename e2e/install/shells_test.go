package install_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/e2e/need"
)

const prompt = "ready> "

// In each shell, started with what is installed where it looks for completions, a person types the beginning of words
// and the tab key. What the shell then runs tells how it completed them.
func TestCompletions(t *testing.T) {
	need.Packages(t, "bash", "bash-completion", "zsh", "fish")
	dir := installed(t)
	bin := stub(t, dir+prefix+"/bin/sandbox-audio")
	home := t.TempDir()
	for path, text := range map[string]string{
		".config/sandbox-audio/config.toml":           "[profile.bank]\n",
		".local/share/applications/only-here.desktop": "[Desktop Entry]\nType=Application\nName=x\nExec=x\n",
		".bashrc": "PS1='" + prompt + "'; bind 'set enable-bracketed-paste off'; . /usr/share/bash-completion/bash_completion\n",
		".zshrc": "PS1='" + prompt + "'; unsetopt zle_bracketed_paste prompt_cr prompt_sp; fpath=(" + dir + prefix +
			"/share/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D\n",
		".config/fish/config.fish":                     "set fish_greeting; function fish_prompt; echo '" + prompt + "'; end\n",
		".local/share/fish/generated_completions/none": "", // where fish finds no such folder, it makes it from all man pages, also after its end
	} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			sh := start(t, []string{
				"HOME=" + home, "PATH=" + bin + ":/usr/bin:/bin", "TERM=xterm", "LANG=C.UTF-8", "SHELL=/bin/sh",
				"XDG_DATA_DIRS=" + dir + prefix + "/share:/usr/local/share:/usr/share",
			}, shell, "-i")
			for typed, want := range map[string]string{
				"teard\t":                    "teardown",
				"run --prof\tba\t":           "run --profile bank",
				"run dpkg-spli\t":            "run dpkg-split",
				"desktop add only-h\t":       "desktop add only-here",
				"daemon --device nul\t":      "daemon --device null",
				"run --method su\tdo\t true": "run --method sudo true",
				"profile show b\t":           "profile show bank",
				"alias --shell f\tdpkg-sp\t": "alias --shell fish dpkg-split",
			} {
				sh.await(t, prompt)
				sh.typed(t, "sandbox-audio "+typed+"\r")
				sh.await(t, "got<")
				if got := strings.TrimSuffix(sh.await(t, ">"), ">"); got != want {
					t.Errorf("%q ran %q, not %q", typed, got, want)
				}
			}
			sh.await(t, prompt)
			alias := dir + prefix + "/bin/sandbox-audio alias --profile bank --shell " + shell + " firefox"
			if shell == "fish" {
				alias += " | source"
			} else {
				alias = `eval "$(` + alias + `)"`
			}
			sh.typed(t, alias+"\r")
			sh.await(t, prompt)
			sh.typed(t, "firefox --new-tab 'a b'\r")
			sh.await(t, "got<")
			if got := sh.await(t, ">"); got != "run --profile bank firefox --new-tab a b>" {
				t.Errorf("the alias ran %q", got)
			}
		})
	}
}

// stub is a folder with the program in it, which completes as ever and otherwise says how it was called.
func stub(t *testing.T, program string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in __complete*) exec %s \"$@\";; esac\necho \"got<$*>\"\n", program)
	if err := os.WriteFile(dir+"/sandbox-audio", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// terminal is a shell in a pseudo-terminal.
type terminal struct {
	master *os.File
	seen   strings.Builder // of what it showed since the last await
}

func start(t *testing.T, env []string, argv ...string) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		master.Close()
	})
	return &terminal{master: master}
}

func (s *terminal) typed(t *testing.T, text string) {
	t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// await reads until the shell has shown text, and returns all it has shown since the last call.
func (s *terminal) await(t *testing.T, text string) string {
	t.Helper()
	if err := s.master.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1); !strings.HasSuffix(s.seen.String(), text); s.seen.Write(b) {
		if _, err := s.master.Read(b); err != nil {
			t.Fatalf("no %q: %v; the shell showed\n%q", text, err, s.seen.String())
		}
	}
	shown := s.seen.String()
	s.seen.Reset()
	return shown
}
