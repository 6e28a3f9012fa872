package launcher

import (
	"fmt"
	"strings"
)

// outputAsHelper runs a program as the helper, without sound and held to no rules of the profile, whatever else runs, and returns
// what it writes, at most so many bytes. The program must be one that does the helper no favour.
func (p *Profile) outputAsHelper(owner Account, config Config, most int, argv ...string) ([]byte, error) {
	return p.output(Request{Argv: argv, Display: DisplayNone, TTY: TTYNo, aside: true}, owner, config, most, func(string) {})
}

// output is outputAsHelper with what else a run can be asked for.
func (p *Profile) output(req Request, owner Account, config Config, most int, say func(string)) ([]byte, error) {
	req.Profile, req.Dir = p.Name, "/"
	plan, err := NewPlan(req, owner, config)
	if err != nil {
		return nil, err
	}
	out := &boundedBuffer{most: most}
	plan.Output = out
	status, err := plan.Run(nil, say)
	switch {
	case err != nil:
		return nil, err
	case status != 0:
		return nil, fmt.Errorf("%s as %s: status %d: %s", req.Argv[0], p.Helper, status, strings.TrimSpace(printable(string(out.text))))
	case out.over:
		return nil, fmt.Errorf("%s as %s: more than %d bytes", req.Argv[0], p.Helper, most)
	}
	return out.text, nil
}

// ReadAsHelper reads a file in the helper's home, which only the helper can. What it holds is the helper's word.
func (p *Profile) ReadAsHelper(owner Account, config Config, path string) ([]byte, error) {
	if !strings.HasPrefix(path, p.Home+"/") {
		return nil, fmt.Errorf("%s is neither yours to read nor in the helper's home", path)
	}
	return p.outputAsHelper(owner, config, maxIcon, "cat", "--", path)
}

// boundedBuffer keeps the first bytes that are written to it.
type boundedBuffer struct {
	text []byte
	most int
	over bool
}

func (b *boundedBuffer) Write(text []byte) (int, error) {
	fits := min(len(text), b.most-len(b.text))
	b.text = append(b.text, text[:fits]...)
	b.over = b.over || fits < len(text)
	return len(text), nil
}
