package mixer

import "errors"

// ErrBudget is returned where a stream would take more memory than its user may have.
var ErrBudget = errors.New("the user's streams hold all the memory they may have")

// Budget is the bytes that the queues of several streams may take together: those of one user. It grows no further than the limit it was
// made with, whatever its streams ask for. Like the streams it belongs to the loop's goroutine.
type Budget struct{ limit, taken int }

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int) *Budget { return &Budget{limit: bytes} }

// Taken is the bytes that are in use.
func (b *Budget) Taken() int { return b.taken }

// Take takes n bytes, or nothing and reports false where there are fewer.
func (b *Budget) Take(n int) bool {
	if n > b.limit-b.taken {
		return false
	}
	b.taken += n
	return true
}

// Give returns n bytes.
func (b *Budget) Give(n int) { b.taken -= n }
