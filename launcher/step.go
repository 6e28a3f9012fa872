package launcher

import (
	"errors"
	"fmt"
	"io/fs"
)

// Step is one resource that a command needs: an account, a file, a directory. Setup applies its steps in order and
// teardown undoes them in reverse; a dry run only describes them.
type Step interface {
	// Describe says in one line what the step leaves on the machine.
	Describe() string
	// Check reports whether that is there as it should be. It changes nothing.
	Check() (bool, error)
	// Apply makes it so, from nothing or from something damaged.
	Apply() error
	// Undo takes it away. What is gone already is no error.
	Undo() error
}

// Report is told of each step as it happens; state is "made", "there already", "removed", "would be made", "would be
// removed", "undone", or, in a dry run by somebody who may not look, "for root to see".
type Report func(state string, s Step)

// apply applies, in order, the steps that are not there yet. When one fails and this is the first setup, those that
// came before it are undone, so that nothing half made stays; a repair leaves what it has repaired.
func apply(steps []Step, dryRun, first bool, report Report) error {
	var done []Step
	for _, s := range steps {
		ok, err := s.Check()
		switch {
		case err == nil && ok:
			report("there already", s)
			continue
		case dryRun && errors.Is(err, fs.ErrPermission):
			report("for root to see", s)
			continue
		case dryRun && err == nil:
			report("would be made", s)
			continue
		}
		if err == nil {
			done = append(done, s)
			err = s.Apply()
		}
		if err == nil {
			report("made", s)
			continue
		}
		err = fmt.Errorf("%s: %w", s.Describe(), err)
		if !first {
			return err
		}
		if undoErr := undo(done, false, func(_ string, s Step) { report("undone", s) }); undoErr != nil {
			return fmt.Errorf("%w; and then: %w; what is left goes with: sandbox-audio teardown", err, undoErr)
		}
		return err
	}
	return nil
}

// undo undoes the steps in reverse. It goes on after a failure, because every later step is one thing less left
// behind, and returns the first one; but then the first step of the list, the record, stays to tell of what is left.
func undo(steps []Step, dryRun bool, report Report) (first error) {
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if i == 0 && first != nil {
			return first
		}
		if dryRun {
			report("would be removed", s)
			continue
		}
		if err := s.Undo(); err != nil {
			if first == nil {
				first = fmt.Errorf("remove %s: %w", s.Describe(), err)
			}
			continue
		}
		report("removed", s)
	}
	return first
}
