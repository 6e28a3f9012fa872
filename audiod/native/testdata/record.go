//go:build ignore

// Record makes the captures beside it: what real clients and a real PulseAudio say to each other. As root, with pulseaudio,
// all the clients (the packages in e2e/cmd/runtests) and a throwaway user, from the package's folder:
//
//	useradd --create-home listener
//	go run testdata/record.go -user listener [-save 'firefox|vlc']
//
// A capture is one connection: for each packet '>' (from the client) or '<', the 20 bytes of its header and, on the control channel
// alone, its payload. The host's name and machine id are overwritten. NAME-v17 was recorded with the version in AUTH
// and its reply lowered to 17, so that both ends speak the old protocol.
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const dir = "/run/native-captures" // of sockets and sounds

var (
	account = flag.String("user", "listener", "who the server and the clients run as")
	out     = flag.String("out", "testdata/captures", "where the captures go")
	save    = flag.String("save", "", "a regular expression: the names of the captures to save")
	cred    *syscall.Credential
	scrub   [][]byte
)

func main() {
	runtime.LockOSThread() // it is this thread whose death the children hear of
	log.SetFlags(0)
	flag.Parse()
	u, err := user.Lookup(*account)
	check(err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	check(os.MkdirAll(dir, 0o755))
	check(os.Chown(dir, uid, gid))
	check(os.MkdirAll(*out, 0o755))
	host, _ := os.Hostname()
	id, _ := os.ReadFile("/etc/machine-id")
	for _, secret := range []string{host, strings.TrimSpace(string(id))} {
		if secret != "" {
			scrub = append(scrub, []byte(secret))
		}
	}
	sh("sox -n -r 44100 -c 2 -b 16 tone.wav synth 0.3 sine 440 gain -30")

	server := start("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=file:"+dir+"/log",
		"-L", "module-null-sink sink_name=out", "-L", "module-null-sink sink_name=other", "-L", "module-rescue-streams",
		"-L", "module-stream-restore", "-L", "module-native-protocol-unix auth-anonymous=1 socket="+dir+"/server")
	defer stop(server)
	sh("for i in $(seq 100); do pactl info >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1")
	sh("pactl set-default-sink out")
	sh("pactl upload-sample tone.wav bell")

	record("pactl-info", 0, "pactl info")
	record("pactl-stat", 0, "pactl stat")
	record("paplay", 0, "paplay tone.wav")
	record("paplay-volume", 0, "paplay --volume=32768 --device=out --property=media.role=music tone.wav")
	record("pacat-mono-u8", 0, "head -c 4000 /dev/zero | pacat --raw --format=u8 --rate=8000 --channels=1 --latency-msec=60 --process-time-msec=20")
	record("pacat-6ch-fix", 0, "head -c 400000 /dev/zero | pacat --raw --format=float32le --rate=96000 --channels=6 --fix-rate --fix-channels --no-remix --no-remap")
	record("pacat-underflow", 0, "(head -c 60000 /dev/zero; sleep 1; head -c 60000 /dev/zero) | pacat --raw --latency-msec=50")
	record("parec", 0, "timeout 0.6 parec --raw --latency-msec=50 -d out.monitor >/dev/null; true")
	record("parec-direct", 0, "timeout 0.5 parec --raw --monitor-stream=7777 >/dev/null; true")
	record("mpv", 0, "mpv --no-config --no-terminal --ao=pulse --volume=70 tone.wav")
	record("ffmpeg", 0, "ffmpeg -nostdin -loglevel error -f lavfi -i sine=d=0.3 -f pulse tone")
	record("aplay", 0, "aplay -q -D pulse tone.wav")
	record("amixer", 0, "amixer -q -D pulse set Master 50% && amixer -q -D pulse set Master 100%")
	record("arecord", 0, "arecord -q -D pulse -f cd -d 1 /dev/null")
	record("speaker-test", 0, "speaker-test -D pulse -r 48000 -c 1 -t sine -l 1 -p 20000 -b 200000 >/dev/null")
	record("sox", 0, "sox -q tone.wav -t pulseaudio default")
	record("sox-record", 0, "sox -q -t pulseaudio default -n trim 0 0.5")
	record("gstreamer", 0, "gst-launch-1.0 -q filesrc location=tone.wav ! wavparse ! audioconvert ! pulsesink")
	record("gstreamer-record", 0, "gst-launch-1.0 -q pulsesrc num-buffers=30 ! fakesink")
	record("sdl", 0, "SDL_AUDIODRIVER=pulseaudio SDL_VIDEODRIVER=dummy ffplay -loglevel error -nodisp -autoexit tone.wav")
	record("vlc", 0, "cvlc --quiet --aout=pulse --no-video --play-and-exit tone.wav 2>/dev/null")
	browsers()
	record("pactl-sample", 0, "pactl upload-sample tone.wav chime && pactl play-sample chime && pactl play-sample chime out && pactl remove-sample chime")
	record("pactl-refused", 0, "pactl set-card-profile 0 none; pactl set-sink-port out none; pactl play-sample none; pactl move-sink-input 9999 out; pactl set-port-latency-offset card port 100; true")
	record("pactl-module", 0, "pactl unload-module $(pactl load-module module-null-sink sink_name=third)")
	record("pactl-message", 0, "pactl send-message /core list-handlers; pactl send-message /core none '\"x\"'; true")
	record("pactl-device", 0, "pactl set-sink-volume out 50% && pactl set-sink-volume out 100% && pactl set-sink-mute out 1 && pactl set-sink-mute out 0 && "+
		"pactl set-source-volume out.monitor 100% && pactl set-source-mute out.monitor 0 && pactl suspend-sink other 1 && pactl suspend-sink other 0 && "+
		"pactl suspend-source 1 && pactl suspend-source 0 && pactl set-default-source out.monitor && pactl get-sink-volume @DEFAULT_SINK@")

	// A stream that others meddle with, and those who do.
	play := capture("pacat-moved", 0, "pacat --raw --latency-msec=100 </dev/zero")
	parec := capture("parec-moved", 0, "parec --raw --latency-msec=100 -d other.monitor >/dev/null")
	watch := capture("pactl-subscribe", 0, "pactl subscribe")
	sh("sleep 0.5")
	record("pavucontrol", 0, "timeout 3 xvfb-run -a pavucontrol 2>/dev/null; true")
	record("pactl-stream", 0, `i=$(pactl list short sink-inputs | cut -f1 | head -n1); o=$(pactl list short source-outputs | cut -f1 | head -n1)
		pactl set-sink-input-volume $i 50%; pactl set-sink-input-mute $i 1; pactl set-sink-input-mute $i 0; pactl move-sink-input $i other
		pactl set-source-output-volume $o 40%; pactl set-source-output-mute $o 1; pactl set-source-output-mute $o 0; pactl move-source-output $o out.monitor`)
	sh("for sink in out other; do pactl suspend-sink $sink 1; sleep 0.2; pactl suspend-sink $sink 0; done")

	// Every version that changed a layout, with objects of every kind to list.
	for _, v := range []uint32{13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27, 29, 34, 35} {
		record(fmt.Sprintf("pactl-list-v%d", v), v, "pactl list")
		record(fmt.Sprintf("pacat-v%d", v), v, "(head -c 40000 /dev/zero; sleep 0.3; head -c 9000 /dev/zero) | pacat --raw --latency-msec=40")
		record(fmt.Sprintf("parec-v%d", v), v, "timeout 0.3 parec --raw --latency-msec=50 >/dev/null; true")
	}
	watch.stop()
	play.stop()
	parec.stop()
	last := capture("pacat-killed", 0, "pacat --raw --latency-msec=100 </dev/zero")
	sh("sleep 0.5; pactl unload-module module-rescue-streams; pactl unload-module module-null-sink; sleep 0.3")
	last.stop()
}

// browsers has each browser play by WebAudio and an audio element, which seeks, and record from the default source.
func browsers() {
	const page = `<!doctype html><meta charset="utf-8"><script>
const after = ms => new Promise(done => setTimeout(done, ms));
(async () => {
	const context = new AudioContext(), tone = new OscillatorNode(context);
	tone.connect(context.destination);
	tone.start();
	await after(500);
	await context.close();
	const audio = new Audio('tone.wav');
	audio.loop = true;
	await audio.play();
	await after(500);
	audio.currentTime = 0.1;
	await after(500);
	audio.pause();
	const stream = await navigator.mediaDevices.getUserMedia({audio: true});
	await after(500);
	stream.getTracks().forEach(track => track.stop());
})();
</script>`
	check(os.WriteFile(dir+"/page.html", []byte(page), 0o644))
	sh("mkdir -p profile")
	check(os.WriteFile(dir+"/profile/user.js", []byte(`user_pref("media.autoplay.default", 0);
user_pref("media.navigator.permission.disabled", true);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
`), 0o644))
	sh("pactl load-module module-remap-source source_name=mic master=out.monitor >module && pactl set-default-source mic") // Chromium takes no monitor for a microphone
	record("firefox", 0, "timeout 15 xvfb-run -a firefox-esr --no-remote --profile profile file://$HOME/page.html >firefox.log 2>&1; true")
	record("chromium", 0, "timeout 10 xvfb-run -a chromium --no-first-run --autoplay-policy=no-user-gesture-required --use-fake-ui-for-media-stream "+
		"--user-data-dir=chromium file://$HOME/page.html >chromium.log 2>&1; true")
	sh("pactl unload-module $(cat module)")
}

// record captures all connections that the shell command makes and waits for it.
func record(name string, version uint32, command string) {
	c := capture(name, version, command)
	if err := c.cmd.Wait(); err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	c.save()
}

type session struct {
	name    string
	version uint32
	cmd     *exec.Cmd
	listen  net.Listener
	open    sync.WaitGroup
	mu      sync.Mutex
	conns   []*bytes.Buffer
}

func capture(name string, version uint32, command string) *session {
	s := &session{name: name, version: version}
	socket := filepath.Join(dir, name)
	os.Remove(socket)
	var err error
	s.listen, err = net.Listen("unix", socket)
	check(err)
	check(os.Chmod(socket, 0o777))
	go s.accept()
	s.cmd = shell(command, "PULSE_SERVER=unix:"+socket)
	check(s.cmd.Start())
	return s
}

func (s *session) stop() {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	s.cmd.Wait()
	s.save()
}

func (s *session) save() {
	s.listen.Close()
	s.open.Wait()
	if wanted, err := regexp.MatchString(*save, s.name); err != nil || !wanted {
		return
	}
	for i, b := range s.conns {
		if b.Len() == 0 {
			continue // only knocked
		}
		name := s.name
		if len(s.conns) > 1 {
			name = fmt.Sprintf("%s.%02d", s.name, i+1)
		}
		check(os.WriteFile(filepath.Join(*out, name+".bin"), clean(b.Bytes()), 0o644))
	}
	log.Printf("%s: %d connections", s.name, len(s.conns))
}

func clean(b []byte) []byte {
	for _, secret := range scrub {
		b = bytes.ReplaceAll(b, secret, bytes.Repeat([]byte{'0'}, len(secret)))
	}
	return b
}

func (s *session) accept() {
	for {
		client, err := s.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", dir+"/server")
		check(err)
		log := new(bytes.Buffer)
		s.mu.Lock()
		s.conns = append(s.conns, log)
		s.mu.Unlock()
		s.open.Add(2)
		go s.forward('>', client, server, log)
		go s.forward('<', server, client, log)
	}
}

func (s *session) forward(way byte, from, to net.Conn, log *bytes.Buffer) {
	defer s.open.Done()
	defer to.Close()
	for first := true; ; first = false {
		packet := make([]byte, 20)
		if _, err := io.ReadFull(from, packet); err != nil {
			return
		}
		packet = append(packet, make([]byte, binary.BigEndian.Uint32(packet))...)
		if _, err := io.ReadFull(from, packet[20:]); err != nil {
			return
		}
		if first && s.version != 0 { // AUTH or its reply: operation, tag, version, each with its 'L'
			binary.BigEndian.PutUint32(packet[20+11:], s.version)
		}
		s.mu.Lock()
		log.WriteByte(way)
		if binary.BigEndian.Uint32(packet[4:]) == 0xFFFFFFFF {
			log.Write(packet)
		} else {
			log.Write(packet[:20])
		}
		s.mu.Unlock()
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

// sh runs a shell command beside the recording.
func sh(command string) {
	cmd := shell(command, "PULSE_SERVER=unix:"+dir+"/server")
	if err := cmd.Run(); err != nil {
		log.Fatalf("%s: %v", command, err)
	}
}

func shell(command string, env ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = append(env, "PATH=/usr/bin:/bin", "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "LANG=C.UTF-8")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

func start(name string, args ...string) *exec.Cmd {
	cmd := shell("exec \"$@\"")
	cmd.Args = append(append(cmd.Args, name, name), args...)
	check(cmd.Start())
	return cmd
}

func stop(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
	cmd.Wait()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
