package wsconn

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// A farewell is an end under way.
type farewell struct {
	begun  time.Time
	cause  error
	frame  []byte
	cancel func()
	early  bool // it began before the handler's response; changes under wmu
	over   bool // frame is out, or can no longer be sent; changes under wmu
	cut    bool // a plain response was under way; changes under wmu

	telling, saying sync.Once
	told            chan struct{} // closed when the handler knows
	said            chan struct{} // closed when it is over, which the handler then knows too
}

func newFarewell(cause error, frame []byte, cancel func()) *farewell {
	return &farewell{
		begun: time.Now(), cause: cause, frame: frame, cancel: cancel,
		told: make(chan struct{}), said: make(chan struct{}),
	}
}

// tell lets the handler know. Its context ends before its reads fail, so that
// it finds the cause there, too.
func (f *farewell) tell() {
	f.telling.Do(func() {
		f.cancel()
		close(f.told)
	})
}

// done lets the handler know that nothing of it is sent any more.
func (f *farewell) done() {
	f.tell()
	f.saying.Do(func() { close(f.said) })
}

// finish says farewell and hangs up.
func (c *Conn) finish(f *farewell) {
	c.wmu.Lock()
	said, early := c.sayFarewell(f), f.early
	c.wmu.Unlock()
	switch {
	case said:
		// Where many end at once, all peers are told before the first handler
		// is woken and the first connection hung up, which take far longer.
		runtime.Gosched()
		f.done()
	case early:
		// There is no frame that the handler would have to finish. Whoever
		// waits in Read for the peer to hang up leaves.
		f.tell()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	unfinished := time.NewTimer(time.Until(f.begun.Add(Grace / 2)))
	defer unfinished.Stop()
	select {
	case <-f.said:
	case <-unfinished.C:
		f.done()
	}
	c.wmu.Lock()
	cut := f.cut
	c.wmu.Unlock()
	if cut && Reset(c.conn) {
		c.release()
		return
	}
	c.hangUp(f.begun.Add(Grace))
}

// sayFarewell writes the close frame if the stream stands where one may stand.
// It reports whether the farewell is over. The caller holds wmu.
func (c *Conn) sayFarewell(f *farewell) bool {
	select {
	case <-f.said:
		f.over = true // out of time
	default:
	}
	f.early = f.early || !c.out.begun()
	switch {
	case f.over:
	case c.out.broken:
		// A plain response that was under way is cut. One that came later is
		// the handler's answer to the end.
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

// hangUp half-closes, drains what the peer still sends until it hangs up, has
// used up its budget, or until the deadline, and closes.
func (c *Conn) hangUp(deadline time.Time) {
	defer c.release()
	defer c.conn.Close()
	// The past deadline wakes a handler that waits in Read; rmu tells when it
	// has left, so that the new deadline cannot put it back to sleep.
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	c.rmu.Lock()
	if c.farewell.Load() != nil {
		c.rmu.Unlock() // a later Read fails without reading
	} else {
		defer c.rmu.Unlock()
	}
	_ = c.conn.SetDeadline(deadline)
	if CloseWrite(c.conn) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.budget.reader(c.conn))
}

// linger is how long a peer has to read a plain HTTP response before the
// connection is closed: as long as net/http gives it.
const linger = 500 * time.Millisecond

// Finish closes a connection that carries a plain HTTP response, after the
// peer has had the time to read it. An end that is under way has nothing more
// to wait for.
func (c *Conn) Finish() {
	c.dmu.Lock()
	if f := c.farewell.Load(); f != nil {
		c.dmu.Unlock()
		c.wmu.Lock()
		_ = c.sayFarewell(f)
		f.over = true
		c.wmu.Unlock()
		f.done()
		return
	}
	if c.closed {
		c.dmu.Unlock()
		return
	}
	c.closed = true
	c.dmu.Unlock()
	c.hangUp(time.Now().Add(linger))
}
