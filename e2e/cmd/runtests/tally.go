package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json` (go doc test2json; BuildFail and ImportPath come from the go command).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// tally counts what ended how.
type tally struct {
	strict         bool // a skip is a failure
	passed, failed int
	skipped        map[string]string // what was said, by package and test
	elsewhere      map[string]bool   // the last part of each passed subtest's name

	output map[[2]string]*strings.Builder // of what runs, by package and test
	counts map[string]int                 // passed, by package
}

// check counts one check that is no Go test.
func (c *tally) check(name string, err error) {
	if err == nil {
		c.passed++
		fmt.Printf("ok    %s\n", name)
		return
	}
	c.failed++
	fmt.Printf("FAIL  %s: %v\n", name, err)
}

// set is packages, the flags with which go tests them, and what is waited for before it does.
type set struct {
	flags, pkgs []string
	ready       func()
}

// test runs the tests of all sets at once, each binary with what exec says before its name, and counts what they tell. No package may be in
// two of them.
func (c *tally) test(exec []string, sets ...set) {
	c.output, c.counts = map[[2]string]*strings.Builder{}, map[string]int{}
	before := c.failed
	events, ends, alive := make(chan event), make(chan error), time.NewTicker(time.Minute)
	defer alive.Stop()
	for _, s := range sets {
		go func() { ends <- s.run(exec, events) }()
	}
	for open := len(sets); open > 0; {
		select {
		case e := <-events:
			c.count(e)
		case err := <-ends:
			if open--; err != nil && c.failed == before {
				c.check("go test", err)
			}
		case <-alive.C:
			for running := range c.output {
				if running[1] != "" && !strings.Contains(running[1], "/") {
					fmt.Printf("...   %s %s is running\n", short(running[0]), running[1])
				}
			}
		}
	}
}

// run is one go command, whose events go to the channel. The error says how it ended.
func (s set) run(exec []string, events chan<- event) error {
	if s.ready != nil {
		s.ready()
	}
	if len(s.pkgs) == 0 {
		return nil
	}
	args := append([]string{"go", "test", "-json", "-count=1"}, s.flags...)
	if len(exec) > 0 {
		args = append(args, "-exec", strings.Join(exec, " "))
	}
	cmd := command(append(args, s.pkgs...)...)
	if slices.Contains(s.flags, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		decode(out, events)
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

func decode(r io.Reader, events chan<- event) {
	for d := json.NewDecoder(r); ; {
		var e event
		if d.Decode(&e) != nil {
			rest, _ := io.ReadAll(io.MultiReader(d.Buffered(), r)) // not JSON: the go command's own complaint
			if rest = bytes.TrimSpace(rest); len(rest) > 0 {
				fmt.Printf("%s\n", rest)
			}
			return
		}
		events <- e
	}
}

func (c *tally) count(e event) {
	key := [2]string{e.Package, e.Test}
	name := strings.TrimSpace(short(e.Package) + " " + e.Test)
	said := func() string {
		defer delete(c.output, key)
		if b := c.output[key]; b != nil {
			return b.String()
		}
		return ""
	}
	switch {
	case e.Action == "output" || e.Action == "run" || e.Action == "build-output":
		if e.Action == "build-output" {
			fmt.Print(e.Output)
		}
		if c.output[key] == nil {
			c.output[key] = &strings.Builder{}
		}
		c.output[key].WriteString(e.Output)
	case e.Action == "skip" && e.Test != "":
		c.skipped[name] = said()
	case e.Action == "pass" && e.Test != "":
		said()
		c.passed++
		if strings.Contains(e.Test, "/") {
			c.elsewhere[path.Base(e.Test)] = true
		}
		c.counts[e.Package]++
	case e.Action == "pass":
		said()
		fmt.Printf("ok    %s (%d passed, %.1f s)\n", name, c.counts[e.Package], e.Elapsed)
	case e.Action == "fail" && e.Test != "":
		c.failed++
		c.counts["failed "+e.Package]++
		fmt.Printf("FAIL  %s\n%s", name, indent(said()))
	case e.Action == "fail":
		out := said()
		fmt.Printf("FAIL  %s (%.1f s)\n", name, e.Elapsed)
		if c.counts["failed "+e.Package] == 0 { // it did not compile, or died outside of a test
			c.failed++
			fmt.Print(indent(out))
		}
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "sandbox-audio/") }

// close says how all went and ends the program. A test that was skipped, but passed as the subtest of another, which ran
// it in the guest, was not left out.
func (c *tally) close(took time.Duration) {
	maps.DeleteFunc(c.skipped, func(name, _ string) bool { return c.elsewhere[name[strings.LastIndexByte(name, ' ')+1:]] })
	if len(c.skipped) > 0 {
		fmt.Printf("\n%d skipped:\n", len(c.skipped))
		for name, said := range c.skipped {
			fmt.Printf("%s\n%s", name, indent(said))
		}
		if c.strict {
			fmt.Println("here nothing may be skipped: each counts as failed")
			c.failed += len(c.skipped)
		}
	}
	fmt.Printf("\nin %v\n%d passed, %d failed\n", took.Round(time.Second), c.passed, c.failed)
	if c.failed > 0 {
		os.Exit(1)
	}
}

// indent is s below the line that names it, without the marks of go test that repeat its name.
func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "=== ") {
			b.WriteString("      " + line)
		}
	}
	return b.String()
}
