package wsconn

import (
	"errors"
	"io"
	"sync/atomic"
)

// errSpent is what a handler's read fails with when it was the first to find
// the budget spent; later ones fail with the cause of the end.
var errSpent = errors.New("wsconn: the client sent more than it may before it is known")

// A budget bounds how many bytes a client may send. The zero budget is no
// bound.
type budget struct {
	limit atomic.Pointer[limit]
}

// A limit is a bound, and who is told when the client wants to pass it.
type limit struct {
	left  atomic.Int64
	spent func()
}

// Limit bounds what the client may send from now on to n bytes, frame heads
// included. When it wants to send more, spent is called, which is to End the
// connection; the handler gets nothing of it.
func (c *Conn) Limit(n int64, spent func()) {
	l := &limit{spent: spent}
	l.left.Store(n)
	c.budget.limit.Store(l)
}

// Unlimit lifts the bound that Limit set.
func (c *Conn) Unlimit() { c.budget.limit.Store(nil) }

// read reads from r as far as the budget goes. What lies beyond it is one byte
// that is read to know that there is more, and dropped.
func (b *budget) read(r io.Reader, p []byte) (int, error) {
	l := b.limit.Load()
	if l == nil || len(p) == 0 {
		return r.Read(p)
	}
	if left := max(l.left.Load(), 1); int64(len(p)) > left {
		p = p[:left]
	}
	n, err := r.Read(p)
	if n == 0 || l.left.Add(-int64(n)) >= 0 {
		return n, err
	}
	if b.limit.Load() != l {
		return n, err // lifted while this read waited: the bytes are welcome
	}
	l.spent()
	return 0, errSpent
}

// reader is r as far as the budget goes.
func (b *budget) reader(r io.Reader) io.Reader {
	if l := b.limit.Load(); l != nil {
		return io.LimitReader(r, max(l.left.Load(), 0))
	}
	return r
}
