package main

import (
	"bytes"
	"os/exec"
	"testing"
)

// Whatever a program is called, the shell makes an alias that runs just this.
func TestAlias(t *testing.T) {
	for _, shell := range shells {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Errorf("%s is not installed: %v", shell, err) // tests of the whole install it
			continue
		}
		const app = `/opt/it's $HOME/\a "b"/prog`
		var lines bytes.Buffer
		if err := runAlias(&lines, aliasOptions{profile: "default", shell: shell}, []string{app}); err != nil {
			t.Fatal(err)
		}
		define := map[string]string{"bash": "shopt -s expand_aliases\n"}[shell] + "sandbox-audio() { printf '%s\\n' \"$@\"; }\n" + lines.String() + "prog 'x y'\n"
		if shell == "fish" {
			define = "function sandbox-audio; printf '%s\\n' $argv; end\n" + lines.String() + "prog 'x y'\n"
		}
		cmd := exec.Command(path)
		cmd.Stdin = bytes.NewReader([]byte(define))
		out, err := cmd.CombinedOutput()
		if want := "run\n" + app + "\nx y\n"; err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s\nfrom\n%s", shell, err, out, define)
		}
	}
	if err := runAlias(new(bytes.Buffer), aliasOptions{profile: "default", shell: "csh"}, []string{"a"}); err == nil {
		t.Error("an alias for csh was made up")
	}
	for _, app := range []string{"a b", "-x", "a;b", "a=b", "$(x)"} {
		var out bytes.Buffer
		if err := runAlias(&out, aliasOptions{profile: "default", shell: "bash"}, []string{app}); err == nil {
			t.Errorf("%q became %s", app, out.String())
		}
	}
}
