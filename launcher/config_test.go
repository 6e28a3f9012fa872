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
		if err := c.decode(text); err != nil {
			t.Fatal(err)
		}
	}
	if want := (Config{Device: "alsa:0", Method: "sudo", Allow: []string{}}); !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestConfigErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"device = \"null\"\n\nlatency = 20\n":               `line 3: unknown key "latency"`,
		"devices = 1\ndevice = \"null\"\n":                  `line 1: unknown key "devices"`,
		"device = \"null\"\n[profile.bank]\nmethod = \"x\"": `line 2: unknown key "profile`,
		"\nmethod = \"doas\"\n":                             `line 2: method "doas"`,
		"device = \"null\"\nallow = \"bob\"\n":              "line 2",
		"device = \n":                                       "line 1",
	} {
		var c Config
		if err := c.decode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, without %q", text, err, want)
		}
	}
}
