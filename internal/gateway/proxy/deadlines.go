package proxy

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// deadlines sets the read and write deadlines of a request while its handler
// runs. After the handler has returned, it sets none: a transport whose
// upstream has answered early still reads the body. A deadline set then would
// apply to the next request over HTTP/1.1. Over HTTP/2, net/http would panic,
// since the stream is gone.
type deadlines struct {
	control *http.ResponseController
	mu      sync.Mutex
	over    bool
	cut     bool // by wake or allowRefusal

	silent atomic.Bool // the read deadline has passed
}

// read sets the deadline for reading the body; a zero t means none. It does
// nothing if the server does not support deadlines.
func (d *deadlines) read(t time.Time) { d.set(d.control.SetReadDeadline, t) }

// write is like read, for writing the answer.
func (d *deadlines) write(t time.Time) { d.set(d.control.SetWriteDeadline, t) }

func (d *deadlines) set(deadline func(time.Time) error, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over && !d.cut {
		_ = deadline(t)
	}
}

// wake unblocks all reads of the body and, if the answer has started, all
// writes of it, because the request is no longer wanted. Over HTTP/2 it also
// resets the stream of an answer that has started.
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

// allowRefusal gives the handler Patience to write a refusal, even after wake.
func (d *deadlines) allowRefusal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.cut = true
		_ = d.control.SetWriteDeadline(time.Now().Add(Patience))
	}
}

// end disables the other methods. It is called when the handler returns.
func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}
