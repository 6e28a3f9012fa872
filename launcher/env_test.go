package launcher

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironmentIsBuiltNew(t *testing.T) {
	helper := Account{Name: "alice-sandbox", Home: "/home/alice-sandbox"}
	own := environment(nil, "/home/alice", helper, "/run/r", "unix:/s")
	kept := []string{
		"COLORTERM=truecolor", "LANG=de_DE.UTF-8", "LC_TIME=C", "TERM=xterm", "TZ=Europe/Vienna", "http_proxy=http://10.0.0.1:3128",
		"LC_ALL=C", "NO_COLOR=",
	}
	dropped := []string{
		// of the session, which is the owner's
		"SSH_AUTH_SOCK=/run/ssh", "SSH_AGENT_PID=1", "GPG_AGENT_INFO=/x", "GNOME_KEYRING_CONTROL=/x", "KRB5CCNAME=FILE:/tmp/krb5cc_1000",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus", "SESSION_MANAGER=local/x", "DISPLAY=:0", "XAUTHORITY=/home/alice/.Xauthority",
		"ICEAUTHORITY=/run/user/1000/ICEauthority", "WAYLAND_DISPLAY=wayland-0", "XDG_RUNTIME_DIR=/run/user/1000", "XDG_SESSION_ID=2",
		"XDG_ACTIVATION_TOKEN=t", "INVOCATION_ID=1", "JOURNAL_STREAM=8:1", "SUDO_USER=alice", "SUDO_COMMAND=/usr/bin/flatpak", "MAIL=/var/mail/alice", "OLDPWD=/home/alice",
		// of the owner's sound server
		"PULSE_SERVER=/run/user/1000/pulse/native", "PULSE_COOKIE=/home/alice/.config/pulse/cookie", "PULSE_RUNTIME_PATH=/x", "PULSE_SINK=x", "PULSE_CLIENTCONFIG=/x",
		// of the owner's files
		"HOME=/home/alice", "USER=alice", "LOGNAME=alice", "PATH=/home/alice/bin:/usr/bin", "XDG_CONFIG_HOME=/home/alice/.config", "XDG_DATA_DIRS=/home/alice/.local/share:/usr/share",
		"GTK_MODULES=x", "PYTHONPATH=/x", "LANGUAGE=/home/alice/locale",
		// that make a program run other code
		"LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x", "BASH_ENV=/x", "ENV=/x", "BASH_FUNC_ls%%=() { id; }", "NODE_OPTIONS=--require=/x",
		// malformed, or nearly of the list
		"LANG", "=C", "LC=x", "XLC_ALL=x", "TERMCAP=x", "lang=C",
	}
	got := environment(slices.Concat(dropped, kept, dropped, kept), "/home/alice", helper, "/run/r", "unix:/s")
	want := slices.Sorted(slices.Values(slices.Concat(own, kept)))
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, v := range got {
		if strings.Contains(v, "/home/alice/") || strings.HasSuffix(v, "/home/alice") {
			t.Errorf("%s points into the owner's home", v)
		}
	}
}
