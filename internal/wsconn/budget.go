package wsconn

import (
	"errors"
	"io"
	"sync/atomic"
)

// errOverBudget is returned by the first read that exceeds the budget. Later
// reads fail with the cause of the end.
var errOverBudget = errors.New("wsconn: the client sent too much before it was authenticated")

// A budget limits the number of bytes that a client may send. The zero budget
// has no limit.
type budget struct {
	limit atomic.Pointer[limit]
}

// A limit is a number of bytes, a condition under which it applies, and a
// callback for when it is exceeded.
type limit struct {
	left     atomic.Int64
	applies  func() bool
	exceeded func()
}

// Limit limits the bytes that the client may send from now on to n, including
// frame headers, while applies returns true. If the client sends more, the
// handler's Read calls exceeded, which should End the connection. The handler
// does not get the excess bytes.
func (c *Conn) Limit(n int64, applies func() bool, exceeded func()) {
	l := &limit{applies: applies, exceeded: exceeded}
	l.left.Store(n)
	c.budget.limit.Store(l)
}

// current returns the limit if it still applies, or nil. It drops one that no
// longer applies.
func (b *budget) current() *limit {
	l := b.limit.Load()
	if l != nil && !l.applies() {
		b.limit.CompareAndSwap(l, nil)
		return nil
	}
	return l
}

// read reads from r within the budget. Once the budget is used up, it reads one
// more byte to detect excess data, and discards it.
func (b *budget) read(r io.Reader, p []byte) (int, error) {
	l := b.current()
	if l == nil || len(p) == 0 {
		return r.Read(p)
	}
	if left := max(l.left.Load(), 1); int64(len(p)) > left {
		p = p[:left]
	}
	n, err := r.Read(p)
	if n == 0 || l.left.Add(-int64(n)) >= 0 || b.current() == nil {
		return n, err // within the limit, or it was removed during the read
	}
	l.exceeded()
	return 0, errOverBudget
}

// reader returns r, limited to the rest of the budget.
func (b *budget) reader(r io.Reader) io.Reader {
	if l := b.current(); l != nil {
		return io.LimitReader(r, max(l.left.Load(), 0))
	}
	return r
}
