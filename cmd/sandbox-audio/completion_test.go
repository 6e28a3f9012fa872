package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the files of completions/ anew")

// The files that make install installs are what the program itself generates. After a change of commands or flags:
//
//	go test ./cmd/sandbox-audio -run TestCompletions -update
func TestCompletions(t *testing.T) {
	for path, generate := range map[string]func(*cobra.Command, io.Writer) error{
		"../../completions/sandbox-audio.bash": func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		"../../completions/_sandbox-audio":     (*cobra.Command).GenZshCompletion,
		"../../completions/sandbox-audio.fish": func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
	} {
		var want bytes.Buffer
		if err := generate(newRootCommand(), &want); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what the program generates; refresh it: go test ./cmd/sandbox-audio -run TestCompletions -update", path)
		}
	}
}

// What cobra completes is decided by the program at run time; the words must be there.
func TestCompletionWords(t *testing.T) {
	for args, want := range map[string]string{"": "setup", "run --": "--profile", "status --": "--json", "run --method ": "su", "profile add bank ": "network="} {
		var out bytes.Buffer
		root := newRootCommand()
		root.SetOut(&out)
		root.SetErr(io.Discard)
		root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, words(args)...))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(out.Bytes(), []byte(want+"\n")) {
			t.Errorf("after %q no %q is offered:\n%s", args, want, out.String())
		}
	}
}

// words splits a command line, the last word, which is being completed, included even when empty.
func words(line string) (all []string) {
	word := ""
	for _, r := range line {
		if r == ' ' {
			all, word = append(all, word), ""
		} else {
			word += string(r)
		}
	}
	return append(all, word)
}
