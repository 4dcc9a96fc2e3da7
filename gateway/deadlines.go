package gateway

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// deadlines are those of one request while its handler runs. Who goes on reading the body after that, as a transport does whose upstream
// has answered early, sets none any more: over HTTP/1.1 it would be that of the next request, and over HTTP/2 there is nothing to set it on,
// which net/http panics about.
type deadlines struct {
	control *http.ResponseController
	mu      sync.Mutex
	over    bool
	cut     bool // the session has ended

	silent atomic.Bool // the deadline for reading the body has passed
}

// read sets that for reading the body; none where t is zero. A server without deadlines has none to set.
func (d *deadlines) read(t time.Time) { d.set(d.control.SetReadDeadline, t) }

// write is the same for writing the answer.
func (d *deadlines) write(t time.Time) { d.set(d.control.SetWriteDeadline, t) }

func (d *deadlines) set(deadline func(time.Time) error, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over && !d.cut {
		_ = deadline(t)
	}
}

// wake ends the waits of whoever reads the body and, if the answer has begun,
// of whoever writes it: nobody wants the request any more. Over HTTP/2 it also
// resets the stream of an answer that has begun.
func (d *deadlines) wake(answered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.cut {
		return
	}
	d.cut = true
	_ = d.control.SetReadDeadline(time.Unix(1, 0))
	if answered {
		_ = d.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

// refuse has time for one more answer, after wake too.
func (d *deadlines) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.cut = true
		_ = d.control.SetWriteDeadline(time.Now().Add(patience))
	}
}

// end is called when the handler returns.
func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}
