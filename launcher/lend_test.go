package launcher

import (
	"errors"
	"os"
	"testing"
)

// stuckLoan is a loan that cannot be taken back.
type stuckLoan struct{ Number int }

var errStuck = errors.New("it is stuck")

func (*stuckLoan) Describe() string     { return "a loan of the test's" }
func (*stuckLoan) Check() (bool, error) { return false, nil }
func (*stuckLoan) Apply() error         { return nil }
func (*stuckLoan) Undo() error          { return errStuck }
func (*stuckLoan) file() string         { return "stuck-1" }
func (*stuckLoan) leave()               {}

// What an earlier run has lent and cannot be taken back is not forgotten for a new loan of the same kind.
func TestLoanThatCannotBeTakenBack(t *testing.T) {
	loanKinds["stuck"] = func() loan { return new(stuckLoan) }
	t.Cleanup(func() { delete(loanKinds, "stuck") })
	l := &lender{dir: t.TempDir()}
	const old = "{\"Number\":1}\n"
	path := l.dir + "/stuck-1"
	put(t, path, old)
	if err := l.lend(&stuckLoan{2}); !errors.Is(err, errStuck) || len(l.held) != 0 {
		t.Errorf("lent over it: %v, %d loans", err, len(l.held))
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != old {
		t.Errorf("the file tells of %q, %v", text, err)
	}
}
