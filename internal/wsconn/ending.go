package wsconn

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// An ending is the state of an End in progress.
type ending struct {
	startedAt time.Time
	cause     error
	frame     []byte
	cancel    func()
	// The ending began before the handler's response. Guarded by writeMu.
	early bool
	// The close frame has been sent or can no longer be sent. Guarded by writeMu.
	over bool
	// The ending interrupted a plain response. Guarded by writeMu.
	cut bool

	notifyOnce, endOnce sync.Once
	notified            chan struct{} // closed when the handler is notified
	ended               chan struct{} // closed when over is set
}

func newEnding(cause error, frame []byte, cancel func()) *ending {
	return &ending{
		startedAt: time.Now(), cause: cause, frame: frame, cancel: cancel,
		notified: make(chan struct{}), ended: make(chan struct{}),
	}
}

// notify notifies the handler. The handler's context ends before its reads
// fail, so that it finds the cause in the context.
func (f *ending) notify() {
	f.notifyOnce.Do(func() {
		f.cancel()
		close(f.notified)
	})
}

// done notifies the handler that nothing more will be sent.
func (f *ending) done() {
	f.notify()
	f.endOnce.Do(func() { close(f.ended) })
}

// finish sends the close frame and closes the connection.
func (c *Conn) finish(f *ending) {
	c.writeMu.Lock()
	over, early := c.sendCloseFrame(f), f.early
	c.writeMu.Unlock()
	switch {
	case over:
		// If many sockets end at once, send all close frames first. Waking handlers and
		// closing connections takes much longer.
		runtime.Gosched()
		f.done()
	case early:
		// The handler has no frame to finish. Wake a Read that waits for the
		// peer to close the connection.
		f.notify()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	unfinished := time.NewTimer(time.Until(f.startedAt.Add(Grace / 2)))
	defer unfinished.Stop()
	select {
	case <-f.ended:
	case <-unfinished.C:
		f.done()
	}
	c.writeMu.Lock()
	cut := f.cut
	c.writeMu.Unlock()
	if cut && Reset(c.conn) {
		c.release()
		return
	}
	c.hangUp(f.startedAt.Add(Grace))
}

// sendCloseFrame sends the close frame if the stream is at a boundary. It
// reports whether the ending is over. c.writeMu must be held.
func (c *Conn) sendCloseFrame(f *ending) bool {
	select {
	case <-f.ended:
		f.over = true // out of time
	default:
	}
	f.early = f.early || !c.out.started()
	switch {
	case f.over:
	case c.out.broken:
		// A plain response that had started before the end is cut off. One that
		// began later is the handler's reaction to the end.
		f.over = !f.early
		f.cut = f.over
	case c.out.boundary() && c.out.frames.Closed():
		f.over = true
	case c.out.boundary():
		n, _ := c.conn.Write(f.frame)
		c.out.advance(f.frame[:n])
		f.over = true
	}
	return f.over
}

// hangUp half-closes the connection, discards what the peer sends until the
// peer closes it, exceeds its budget, or the deadline passes, and closes it.
func (c *Conn) hangUp(deadline time.Time) {
	defer c.release()
	defer c.conn.Close()
	// The deadline in the past wakes a handler that waits in Read. When readMu is
	// available, that Read has returned, so the new deadline does not block it
	// again.
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	c.readMu.Lock()
	if c.ending.Load() != nil {
		c.readMu.Unlock() // a later Read fails without reading
	} else {
		defer c.readMu.Unlock()
	}
	_ = c.conn.SetDeadline(deadline)
	if CloseWrite(c.conn) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.budget.reader(c.conn))
}

// linger is how long a peer has to read a plain HTTP response before the
// connection is closed. net/http uses the same time.
const linger = 500 * time.Millisecond

// Finish closes a connection that carries a plain HTTP response, after giving
// the peer time to read it. If the connection is ending, Finish completes the
// ending.
func (c *Conn) Finish() {
	c.endMu.Lock()
	if f := c.ending.Load(); f != nil {
		c.endMu.Unlock()
		c.writeMu.Lock()
		_ = c.sendCloseFrame(f)
		f.over = true
		c.writeMu.Unlock()
		f.done()
		return
	}
	if c.closed {
		c.endMu.Unlock()
		return
	}
	c.closed = true
	c.endMu.Unlock()
	c.hangUp(time.Now().Add(linger))
}
