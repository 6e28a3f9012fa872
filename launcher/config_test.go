package launcher

import (
	"reflect"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	system := "device = \"alsa:0\"\nallow = [\"@audio-kids\", \"bob\"]\n"
	own := "# mine\nmethod = \"sudo\"\nallow = []\n"
	var c Config
	for _, text := range []string{system, own} {
		if _, err := c.decode(text); err != nil {
			t.Fatal(err)
		}
	}
	if want := (Config{Device: "alsa:0", Allow: []string{}, Rules: Rules{Method: "sudo"}}); !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestConfigErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"device = \"null\"\n\nlatency = 20\n":               `line 3: unknown key "latency"`,
		"devices = 1\ndevice = \"null\"\n":                  `line 1: unknown key "devices"`,
		"device = \"null\"\n[profile.bank]\nmethod = \"x\"": `line 3: method "x"`,
		"[profile.a]\n[profile.bank]\n\nmethods = \"su\"":   `line 4: unknown key "profile.bank.methods"; there are method, `,
		"[profile.bank]\nmax_volume_db = 21":                `line 2: max_volume_db 21 is not from -100 to 20`,
		"device = \"null\"\nresampler = \"good\"":           `line 2: resampler "good" is neither normal nor best`,
		"[profile.bank]\ndither = true":                     `line 2: unknown key "profile.bank.dither"`,
		"display = \"window\"":                              `line 1: display "window" is none of auto, wayland, x11, none`,
		"[profile.bank]\nx11 = \"no\"":                      `line 2: x11 "no" is none of`,
		"tty = true":                                        "line 1",
		"network = \"on\"":                                  `line 1: network "on" is none of host, off`,
		"nice = -1":                                         `line 1: nice -1 is not from 0 to 19`,
		"memory = \"much\"":                                 `line 1: memory "much": write it as`,
		"memory = \"1M\"":                                   `line 1: memory "1M" is less than 64M`,
		"\nprocesses = 3":                                   `line 2: processes 3 is not from 50`,
		"cpu_percent = -1":                                  `line 1: cpu_percent -1 is not from 1`,
		"umask = \"888\"":                                   `line 1: umask "888" is not octal`,
		"umask = \"1777\"":                                  `line 1: umask "1777" is not octal`,
		"environment = { \"A B\" = \"1\" }":                 `line 1: "A B" is no name of a variable`,
		"environment = { 1A = \"1\" }":                      `line 1: "1A" is no name of a variable`,
		"environment = { \"\" = \"1\" }":                    `"" is no name of a variable`,
		"[environment]\nX = \"1\"\nLD_PRELOAD = \"/x\"":     `line 1: LD_PRELOAD changes the code`,
		"[profile.a.environment]\nPATH = \"/x\"":            `line 1: PATH is for run to set`,
		"environment.PULSE_SERVER = \"tcp:other\"":          `line 1: PULSE_SERVER is for run to set`,
		"environment.X = \"a\\u0000b\"":                     `line 1: the value of X holds a zero byte`,
		"microphone = \"on\"":                               `line 1: microphone "on" is none of`,
		"max_volume_db = \"loud\"":                          "line 1",
		"[profile.bank]\ndevice = \"null\"":                 `line 2: unknown key "profile.bank.device"`,
		"profile.bank.x = 1":                                `line 1: unknown key "profile.bank.x"`,
		"allow = [\n \"device=\",\n]\n[profile.\"a b\"]":    `line 4: "a b" is no profile name`,
		"device = \"x\"\n[profile.bank]\nmethod = 3":        "line 3",
		"device = \"x\"\n[profile]\nbank = 3":               "line 3",
		"[profiles.bank]":                                   `line 1: unknown key "profiles`,
		"\nmethod = \"ksu\"\n":                              `line 2: method "ksu"`,
		"device = \"null\"\nallow = \"bob\"\n":              "line 2",
		"device = \n":                                       "line 1",
	} {
		var c Config
		if _, err := c.decode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, without %q", text, err, want)
		}
	}
}

// What the configuration says of sound in all goes to the daemon as it takes it.
func TestDaemonOptions(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "dither = false": "", "resampler = \"best\"": "--resampler best",
		"device = \"alsa:0\"\nresampler = \"normal\"\ndither = true": "--device alsa:0 --resampler normal --dither",
	} {
		ownConfigFile(t, text)
		c, err := LoadConfig("default")
		if got := strings.Join(c.daemonOptions(), " "); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What a profile says of sound the daemon hears of under the helper's name.
func TestDaemonRules(t *testing.T) {
	ownConfigFile(t, "max_volume_db = -3.5\n[profile.bank]\nmax_volume_db = 6\nmicrophone = \"ask\"\n")
	for profile, want := range map[string]string{"bank": "--max-volume x=6 --mic x=ask", "default": "--max-volume x=-3.5"} {
		c, err := LoadConfig(profile)
		if got := strings.Join(c.daemonRules("x"), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v", profile, got, err)
		}
	}
	if args := new(Rules).daemonRules("x"); len(args) > 0 {
		t.Errorf("no rules are %q", args)
	}
}

// What is shown of the settings in force is what somebody has set.
func TestConfigText(t *testing.T) {
	for _, text := range []string{"", "nice = 10\nmemory = \"2G\"\n", "device = \"null\"\ngpu = false\nmax_volume_db = 0.0\n"} {
		var c Config
		if _, err := c.decode(text); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Text(); err != nil || got != text {
			t.Errorf("%q is shown as %q, %v", text, got, err)
		}
	}
}
