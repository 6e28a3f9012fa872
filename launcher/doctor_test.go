package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with kernel, card or login is found where it stands, and the advice says how to mend it.
func TestDoctorLooks(t *testing.T) {
	busy := exec.Command("sleep", "600")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer busy.Wait()
	defer busy.Process.Kill()
	running := "state: RUNNING\nowner_pid   : " + fmt.Sprint(busy.Process.Pid) + "\n"
	for name, c := range map[string]struct {
		files   map[string]string
		environ []string
		look    func(*doctor)
		state   string
		advice  string
	}{
		"a terminal to type into":  {map[string]string{"proc/sys/dev/tty/legacy_tiocsti": "1\n"}, nil, (*doctor).kernel, Note, "legacy_tiocsti=0"},
		"a safe terminal":          {map[string]string{"proc/sys/dev/tty/legacy_tiocsti": "0\n"}, nil, (*doctor).kernel, Fine, ""},
		"no namespaces":            {map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, nil, (*doctor).kernel, Note, "sudo sysctl kernel.unprivileged_userns_clone=1"},
		"none at all":              {map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}, nil, (*doctor).kernel, Note, "sudo sysctl user.max_user_namespaces=15000"},
		"namespaces for some":      {map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, nil, (*doctor).kernel, Note, "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
		"no card":                  {nil, nil, (*doctor).card, Note, "lspci"},
		"a free card":              {map[string]string{"dev/snd/pcmC0D0p": "", "proc/asound/card0/pcm0p/sub0/status": "closed\n"}, nil, (*doctor).card, Fine, ""},
		"a busy card":              {map[string]string{"dev/snd/pcmC0D0p": "", "proc/asound/card0/pcm0p/sub0/status": running}, nil, (*doctor).card, Note, fmt.Sprintf("kill %d", busy.Process.Pid)},
		"a login in the back":      {map[string]string{"run/systemd/sessions/c2": "UID=1000\nACTIVE=0\n"}, []string{"XDG_SESSION_ID=c2"}, (*doctor).session, Trouble, "loginctl activate c2"},
		"a login in front":         {map[string]string{"run/systemd/sessions/c2": "UID=1000\nACTIVE=1\n"}, []string{"XDG_SESSION_ID=c2"}, (*doctor).session, Fine, ""},
		"a session of a bad name":  {nil, []string{"XDG_SESSION_ID=../x"}, (*doctor).session, "", ""},
		"another PULSE_SERVER":     {nil, []string{"PULSE_SERVER=tcp:elsewhere"}, (*doctor).daemon, Note, "unset PULSE_SERVER"},
		"the PULSE_SERVER of ours": {nil, []string{"PULSE_SERVER=unix:/nonexistent/native"}, (*doctor).daemon, Fine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				put(t, filepath.Join(root, path), text)
			}
			me := Account{Name: "root", Home: root}
			d := &doctor{root: root, owner: me, name: "default", environ: c.environ,
				profile: &Profile{Owner: "root", OwnerUID: os.Getuid() + 1, Socket: "/nonexistent/native", Port: 1}}
			c.look(d)
			worst := Finding{}
			for _, f := range d.found {
				if worst.State == "" || f.State == Trouble || f.State == Note && worst.State == Fine {
					worst = f
				}
			}
			if worst.State != c.state || !strings.Contains(worst.Advice, c.advice) {
				t.Errorf("found %+v", d.found)
			}
		})
	}
}

// Realtime priority comes by a limit or by RealtimeKit, and who has neither is told.
func TestDoctorOfPriority(t *testing.T) {
	const none, some = "Max nice priority         0                    0                    \nMax realtime priority     0                    0                    \n", "Max realtime priority     95                   95                   \n"
	const kit = "usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service"
	for name, c := range map[string]struct {
		files map[string]string
		state string
	}{
		"nothing": {map[string]string{"proc/self/limits": none}, Note},
		"a limit": {map[string]string{"proc/self/limits": some}, Fine},
		"rtkit":   {map[string]string{"proc/self/limits": none, kit: ""}, Fine},
	} {
		t.Run(name, func(t *testing.T) {
			d := &doctor{root: t.TempDir(), owner: Account{Name: "ann", UID: 1000}}
			for path, text := range c.files {
				put(t, filepath.Join(d.root, path), text)
			}
			if d.realtime(); len(d.found) != 1 || d.found[0].State != c.state || (c.state == Note) != strings.Contains(d.found[0].Advice, "ann - rtprio 5") {
				t.Errorf("found %+v", d.found)
			}
		})
	}
}

// A card that is another's to open is told from one that is not there.
func TestDoctorOfAClosedCard(t *testing.T) {
	root := t.TempDir()
	put(t, root+"/dev/snd/pcmC0D0p", "")
	if err := os.Chmod(root+"/dev/snd/pcmC0D0p", 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		// Root may open anything; what is not there when it is opened is closed as well.
		if err := os.Remove(root + "/dev/snd/pcmC0D0p"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("nowhere", root+"/dev/snd/pcmC0D0p"); err != nil {
			t.Fatal(err)
		}
	}
	d := &doctor{root: root, owner: Account{Name: "ann", UID: 1000}}
	d.card()
	if f := d.found[0]; f.State != Trouble || !strings.Contains(f.Advice, "usermod -aG audio ann") {
		t.Errorf("found %+v", d.found)
	}
}

// What a profile wants and the machine cannot give is told before it is missed.
func TestDoctorOfBounds(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		bounds Bounds
		state  string
		says   string
	}{
		"no network":                     {nil, Bounds{Network: NetworkOff}, Fine, "off"},
		"no network, and no namespaces":  {map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}, Bounds{Network: NetworkOff}, Trouble, "nothing is run"},
		"processes":                      {nil, Bounds{Processes: 100}, Fine, "holds programs"},
		"memory, and no control groups":  {nil, Bounds{Memory: "1G"}, Note, "each process by itself"},
		"a processor, and nobody for it": {nil, Bounds{CPU: 50}, Trouble, "cannot be held"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &doctor{root: t.TempDir(), owner: Account{Name: "ann", UID: 1000}}
			for path, text := range c.files {
				put(t, filepath.Join(d.root, path), text)
			}
			d.bounds(Config{Rules: Rules{Bounds: c.bounds}})
			if len(d.found) != 1 || d.found[0].State != c.state || !strings.Contains(d.found[0].Says, c.says) {
				t.Errorf("found %+v", d.found)
			}
		})
	}
}

func TestConfValue(t *testing.T) {
	const text = "# default-server = a\n default-server=b c \n;default-server = d\ndefault-server-x = e\n"
	if got := confValue(text, "default-server"); got != "b c" {
		t.Errorf("got %q", got)
	}
}
