package gateway

import (
	"net/http"
	"sync"
	"time"
)

// deadlines are those of one request while its handler runs. Who goes on reading the body after that, as a transport does whose upstream
// has answered early, sets none any more: over HTTP/1.1 it would be that of the next request, and over HTTP/2 there is nothing to set it on,
// which net/http panics about.
type deadlines struct {
	control *http.ResponseController
	mu      sync.Mutex
	over    bool
}

// read sets that for reading the body; none where t is zero. A server without deadlines has none to set.
func (d *deadlines) read(t time.Time) { d.set(d.control.SetReadDeadline, t) }

// write is the same for writing the answer.
func (d *deadlines) write(t time.Time) { d.set(d.control.SetWriteDeadline, t) }

func (d *deadlines) set(deadline func(time.Time) error, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		_ = deadline(t)
	}
}

// end is called when the handler returns.
func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}
