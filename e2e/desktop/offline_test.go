package desktop_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"sandbox-audio/e2e/rig"
)

// TestOffline has browsers of a profile without a network, new privileges and room for more than they need show a page and play
// its sound: both go by sockets in the file system, and the browsers' own sandboxes work within ours.
func TestOffline(t *testing.T) {
	d := newDesk(t)
	config := filepath.Join(d.owner.Home, ".config/sandbox-audio/config.toml")
	d.asOwner(t, `printf 'network = "off"\nno_new_privs = true\nprocesses = 3000\nmemory = "4G"\nnice = 1\n' >>`+config)
	for name, freq := range map[string]float64{"firefox": 523, "chromium": 659} {
		t.Run(name, func(t *testing.T) {
			x := xScreen(t, d)
			d.listen()
			file := "/home/" + d.helper + "/" + name + ".html"
			d.asHelper(t, "cat >"+file+" <<'END'\n"+fmt.Sprintf(page, "offline", fmt.Sprint(freq), colour)+"\nEND")
			argv := append(browsers[name](t, d, "offline-"+name), "file://"+file)
			r := d.start(t, x.env, argv...)
			x.shows(t, "offline-"+name)
			d.heard(t, freq)
			r.end(t)
		})
	}
	// The site of the other tests, on the machine's 127.0.0.1, answers the owner and not the helper.
	get := []string{"bash", "-c", `a=${0#http://}; exec 3<>/dev/tcp/${a%:*}/${a#*:}`, d.site.address}
	if out, err := d.owner.Command(t.Context(), nil, get[0], get[1:]...).CombinedOutput(); err != nil {
		t.Errorf("the owner: %v: %s", err, out)
	}
	if out, err := d.owner.Command(t.Context(), nil, rig.Binary(t), append([]string{"run"}, get...)...).CombinedOutput(); err == nil {
		t.Errorf("the helper reaches it: %s", out)
	}
}
