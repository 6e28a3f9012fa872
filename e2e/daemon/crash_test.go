package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
	"sandbox-audio/e2e/sound"
)

func init() { roles["impostor"] = impostor }

// impostor tries, until its standard input ends, to take the daemon's addresses, and says when it gets one.
func impostor(args []string) {
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(done) }()
	path, _ := strings.CutPrefix(args[0], "unix:")
	where, _ := strings.CutPrefix(args[1], "tcp:")
	addr, err := net.ResolveTCPAddr("tcp", where)
	if err != nil {
		fmt.Println("BAD ADDRESS", err)
		return
	}
	sa := &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}
	tries := 0
	for ; ; tries++ {
		select {
		case <-done:
			fmt.Println("tried", tries)
			return
		default:
		}
		for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				continue
			}
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1)
			if unix.Bind(fd, sa) == nil && unix.Listen(fd, 1) == nil {
				fmt.Println("GOT", args[1])
			}
			unix.Close(fd)
		}
		os.Remove(path)
		if l, err := net.Listen("unix", path); err == nil {
			fmt.Println("GOT", args[0])
			l.Close()
		}
	}
}

// installation is an owner with a helper, as setup makes them.
type installation struct {
	t       *testing.T
	owner   need.User
	binary  string
	wav     string
	profile struct {
		Socket string `json:"socket"`
		Port   int    `json:"port"`
		Helper string `json:"helper"`
	}
}

// install runs setup for a new owner, whose daemon is going to play into a file, and undoes it when t ends.
func install(t *testing.T) *installation {
	t.Helper()
	need.Packages(t, "sudo", "pulseaudio-utils")
	in := &installation{t: t, owner: need.NewUser(t), binary: rig.Binary(t)}
	in.wav = rig.Folder(t, in.owner) + "/heard.wav"
	config := in.owner.Home + "/.config/sandbox-audio"
	for _, args := range [][]string{{"mkdir", "-p", config}, {"sh", "-c", `printf 'device = "wav:%s"\n' "$1" > "$2/config.toml"`, "sh", in.wav, config}} {
		if out, err := in.owner.Command(t.Context(), nil, args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	in.asRoot("setup")
	t.Cleanup(func() { in.asRoot("teardown", "--purge") })
	record, err := os.ReadFile(fmt.Sprintf("/var/lib/sandbox-audio/%d/default.json", in.owner.UID))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(record, &in.profile); err != nil {
		t.Fatal(err)
	}
	return in
}

// asRoot runs the program as root on behalf of the owner, as sudo would.
func (in *installation) asRoot(args ...string) {
	in.t.Helper()
	cmd := exec.Command(in.binary, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SUDO_USER=" + in.owner.Name, fmt.Sprintf("SUDO_UID=%d", in.owner.UID), fmt.Sprintf("SUDO_GID=%d", in.owner.GID)}
	if out, err := cmd.CombinedOutput(); err != nil {
		in.t.Errorf("%v: %v\n%s", args, err, out)
	}
}

func (in *installation) run(ctx context.Context, args ...string) *exec.Cmd {
	return in.owner.Command(ctx, nil, in.binary, append([]string{"run"}, args...)...)
}

func (in *installation) unix() string { return "unix:" + in.profile.Socket }
func (in *installation) tcp() string  { return fmt.Sprintf("tcp:127.0.0.1:%d", in.profile.Port) }

// worker asks the daemon for its worker's process id; 0 when nobody answers.
func (in *installation) worker() int {
	st, err := rig.Status(in.owner, in.unix(), in.binary)
	if err != nil {
		return 0
	}
	return st.PID
}

// hear plays a tone through run and looks for it in what was heard after mark frames; it returns the new mark.
func (in *installation) hear(tone string, freq float64, mark int) int {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), time.Minute)
	defer cancel()
	if out, err := in.run(ctx, "paplay", tone).CombinedOutput(); err != nil {
		in.t.Errorf("run paplay: %v\n%s", err, out)
	}
	s, err := sound.ReadWAV(in.wav)
	if err != nil {
		in.t.Fatal(err)
	}
	heard, _ := s.Cut(mark, s.Frames()).Trim(-80)
	sound.Hear(in.t, heard, 0, -70, sound.Tone{Freq: freq, DB: -12})
	return s.Frames()
}

// A worker that is killed is back, its addresses were never to be had, and the next sound plays; so after the keeper.
func TestCrashes(t *testing.T) {
	in := install(t)
	tone := in.owner.Home + "/tone.wav"
	if err := sound.Sine(48000, 2, time.Second, 997, -12).WriteWAV(tone); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tone, "/var/tmp/"+in.owner.Name+".wav"); err != nil {
		t.Fatal(err)
	}
	tone = "/var/tmp/" + in.owner.Name + ".wav"
	t.Cleanup(func() { os.Remove(tone) })
	os.Chmod(tone, 0o644)

	program := in.run(t.Context(), "sleep", "600")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { program.Process.Signal(syscall.SIGTERM); program.Wait() }()
	need.Eventually(t, time.Minute, func() string {
		if in.worker() == 0 {
			return "run has not started the daemon"
		}
		return ""
	})
	mark := in.hear(tone, 997, 0)

	stranger := need.NewUser(t)
	thief := stranger.Command(t.Context(), nil, self(t), "role", "impostor", in.unix(), in.tcp())
	stdin, err := thief.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var loot strings.Builder
	thief.Stdout, thief.Stderr = &loot, os.Stderr
	if err := thief.Start(); err != nil {
		t.Fatal(err)
	}
	first := in.worker()
	for range 5 {
		old := in.worker()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		need.Eventually(t, time.Minute, func() string {
			if now := in.worker(); now == 0 || now == old {
				return fmt.Sprintf("no other worker after worker %d was killed", old)
			}
			return ""
		})
	}
	mark = in.hear(tone, 997, mark)
	stdin.Close()
	thief.Wait()
	if got := loot.String(); strings.Contains(got, "GOT") || !strings.Contains(got, "tried") || strings.Contains(got, "tried 0") {
		t.Errorf("the impostor: %s", got)
	}

	worker := in.worker()
	keeper := parent(t, worker)
	if keeper != parent(t, worker) || keeper == 1 || worker == first {
		t.Fatalf("worker %d of keeper %d", worker, keeper)
	}
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	need.Eventually(t, time.Minute, func() string {
		if now := in.worker(); now == 0 || now == worker {
			return "no other daemon after its keeper was killed"
		}
		return ""
	})
	if alive(worker) || alive(keeper) {
		t.Errorf("of the old pair is left: worker %v, keeper %v", alive(worker), alive(keeper))
	}
	in.hear(tone, 997, mark)
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func parent(t *testing.T, pid int) (ppid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	var state string
	fmt.Sscan(rest, &state, &ppid)
	return ppid
}
