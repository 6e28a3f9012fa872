package bench_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"sandbox-audio/e2e/need"
)

// generator is a load in a process of its own, on CPU 1; generate is what it does.
type generator struct {
	b   *testing.B
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newGenerator(b *testing.B, user need.User, self, address string) *generator {
	g := &generator{b: b, cmd: user.Command(b.Context(), nil, "taskset", "-c", "1", self, "generate", address)}
	g.cmd.Stderr = os.Stderr
	out, err := g.cmd.StdoutPipe()
	if err == nil {
		g.in, err = g.cmd.StdinPipe()
	}
	if err == nil {
		err = g.cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	g.out = bufio.NewReader(out)
	b.Cleanup(func() {
		g.in.Close()
		g.cmd.Wait()
	})
	return g
}

// try has the load do something, and tells what the server refused.
func (g *generator) try(do order) (outcome, error) {
	line, err := json.Marshal(do)
	if err == nil {
		_, err = fmt.Fprintf(g.in, "%s\n", line)
	}
	if err == nil {
		line, err = g.out.ReadBytes('\n')
	}
	var did outcome
	if err == nil {
		err = json.Unmarshal(line, &did)
	}
	if err != nil {
		g.b.Fatalf("the load's answer to %+v: %v", do, err)
	}
	if did.Refused != "" {
		return did, errors.New(did.Refused)
	}
	return did, nil
}

// do is try where nothing is to be refused.
func (g *generator) do(do order) outcome {
	did, err := g.try(do)
	if err != nil {
		g.b.Fatalf("%s: %v", g.cmd.Args[len(g.cmd.Args)-1], err)
	}
	return did
}
