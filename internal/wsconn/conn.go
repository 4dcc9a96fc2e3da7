// Package wsconn provides the connection that a guard puts between a WebSocket
// handler and its client.
//
// The handler's WebSocket library owns the socket: it writes the frames, and
// offers no way to close it from outside. To close a socket with a close code
// that a browser can read, this package follows the headers of the frames that
// the library writes. At the end, it inserts a close frame between two of
// them, refuses later writes of the library, and shuts down the connection
// without losing data: half-close, drain, close. Closing a connection with
// unread input would reset it, and the peer's kernel would discard the close
// frame.
package wsconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Grace is the maximum time from End until the connection is closed. Within
// half of it, the handler must finish its current frame, and a slow peer must
// receive it. Within all of it, the peer must close the connection.
const Grace = 5 * time.Second

// A Conn is the net.Conn that a guarded handler gets from Hijack. It is safe
// for concurrent use.
type Conn struct {
	conn   net.Conn
	budget budget
	held   func() bool // see HoldWhile

	ownerMu  sync.Mutex // guards owner and released
	owner    closer     // nil until there is one
	released bool       // the connection is closed

	// Held during writes, and while out advances by the written bytes.
	writeMu sync.Mutex
	out     stream
	// Nil after the response header has been sent, or if no subprotocol is to
	// be selected.
	choice *choice

	// Held during reads, so that the drain can wait for the handler's reader.
	readMu sync.Mutex

	// Orders the handler's deadlines and Close with respect to End.
	endMu  sync.Mutex
	closed bool
	cut    bool // End was called while the connection lingered
	// The handler has closed the connection, but the peer has not received
	// everything.
	lingers atomic.Bool
	// The peer has reset the connection: nothing is left to be received.
	reset  atomic.Bool
	next   Ender // the new owner after Handover
	ending atomic.Pointer[ending]
}

// New wraps conn, a server's connection before the first byte of a response.
// It calls onClosed once when the connection is closed, by End or by the
// handler.
func New(conn net.Conn, onClosed func()) *Conn {
	return &Conn{conn: conn, owner: closedFunc(onClosed), held: func() bool { return false }}
}

// A closer is notified when a connection is closed.
type closer interface{ Closed() }

// A closedFunc is a function that implements closer.
type closedFunc func()

// Closed calls f.
func (f closedFunc) Closed() { f() }

// own sets the owner, and notifies it immediately if the connection is already
// closed.
func (c *Conn) own(o closer) {
	c.ownerMu.Lock()
	c.owner = o
	released := c.released
	c.ownerMu.Unlock()
	if released {
		o.Closed()
	}
}

// release notifies the owner, once, that the connection is closed.
func (c *Conn) release() {
	c.ownerMu.Lock()
	first := !c.released
	c.released = true
	owner := c.owner
	c.ownerMu.Unlock()
	if first && owner != nil {
		owner.Closed()
	}
}

// HoldWhile blocks the handler's reads and writes while held returns true. It
// must be called before the handler uses the connection.
func (c *Conn) HoldWhile(held func() bool) { c.held = held }

// await waits until the connection is no longer held.
func (c *Conn) await() {
	for c.held() && c.ending.Load() == nil {
		time.Sleep(2 * time.Millisecond)
	}
}

// End ends the connection. It sends frame between two frames of the handler,
// calls cancel, makes later Reads and Writes of the handler fail with cause,
// and closes the connection. It returns immediately; the connection is closed
// within Grace, and then onClosed is called. If the connection has already
// ended, End does nothing.
//
// If the handler has not started its response, End calls cancel immediately.
// The handler may still send a response: a 101, followed by frame, or a
// complete plain response.
func (c *Conn) End(cause error, frame []byte, cancel func()) {
	f := newEnding(cause, frame, cancel)

	c.endMu.Lock()
	defer c.endMu.Unlock()
	if c.next != nil {
		c.next.End(frame, cancel)
		return
	}
	if c.lingers.Load() { // do not wait for the rest
		c.cut = true
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	if c.closed || !c.ending.CompareAndSwap(nil, f) {
		return
	}
	// Set the deadline before taking the lock: if the peer does not read, a
	// write of the handler may hold the lock forever.
	_ = c.conn.SetWriteDeadline(f.startedAt.Add(Grace / 2))
	go c.finish(f)
}

// Read reads from the client. After End, it waits until End has called cancel,
// and then fails with the cause. It does not fail earlier, because handlers
// whose reads fail do not finish the frame that they are writing.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	c.await()
	if f := c.ending.Load(); f != nil {
		<-f.notified
		return 0, f.cause
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.ending.Load() != nil {
		return 0, nil
	}
	if c.lingers.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.budget.read(c.conn, p)
	if errors.Is(err, syscall.ECONNRESET) {
		c.reset.Store(true)
	}
	return n, err
}

// Write writes p to the client. After End, it writes only the rest of the
// current frame, and fails with the cause.
func (c *Conn) Write(p []byte) (int, error) {
	c.await()
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.choice == nil {
		return c.send(p)
	}
	out, passed := c.choice.decide(p)
	if !passed {
		return len(p), nil
	}
	c.choice = nil
	n, err := c.send(out)
	if n == len(out) {
		return len(p), err
	}
	// Earlier writes are part of out, so n may exceed len(p); a failed Write
	// must return less.
	return min(n, max(len(p)-1, 0)), err
}

// send is like Write, but does not select a subprotocol. c.writeMu must be
// held.
func (c *Conn) send(p []byte) (int, error) {
	f := c.ending.Load()
	if f == nil {
		if c.lingers.Load() {
			return 0, net.ErrClosed
		}
		n, err := c.conn.Write(p)
		c.out.advance(p[:n])
		return n, err
	}
	if c.sendCloseFrame(f) {
		f.done()
		return 0, f.cause
	}
	rest, complete := c.out.toBoundary(p)
	n, err := c.conn.Write(p[:rest])
	c.out.advance(p[:n])
	if err != nil {
		f.over = true // cut off within a frame: nothing more can be sent
		f.done()
		return n, f.cause
	}
	if !complete {
		return n, nil
	}
	if c.sendCloseFrame(f) {
		f.done()
	}
	if n < len(p) {
		return n, f.cause
	}
	return n, nil
}

// Close closes the connection, unless End is closing it or it was handed over.
// It returns immediately. A peer that has not received everything gets time to
// do so: Grace, and more while it makes progress.
func (c *Conn) Close() error {
	c.endMu.Lock()
	if c.ending.Load() != nil || c.next != nil {
		c.endMu.Unlock()
		return nil
	}
	if c.lingers.Load() {
		c.endMu.Unlock()
		return net.ErrClosed
	}
	first := !c.closed
	c.closed = true
	if first && !c.reset.Load() && Unsent(c.conn) > 0 {
		c.lingers.Store(true)
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // wakes readers and writers
		c.endMu.Unlock()
		go c.linger()
		return nil
	}
	c.endMu.Unlock()
	defer c.release()
	return c.conn.Close()
}

// Cut closes the connection after an incomplete plain response, so that the
// peer can detect this. See [Reset].
func (c *Conn) Cut() {
	c.endMu.Lock()
	over := c.closed || c.ending.Load() != nil || c.next != nil
	c.closed = true
	c.endMu.Unlock()
	if over {
		return
	}
	defer c.release()
	if !Reset(c.conn) {
		_ = c.conn.Close()
	}
}

// Reset closes a connection such that the peer receives a reset instead of the
// end of the stream. If the length of a response is determined only by the end
// of the connection, the peer would otherwise mistake an incomplete response
// for a complete one (RFC 9112 section 8). For the same reason, it does not
// send a TLS close notification. If the connection does not support resets,
// Reset does nothing and returns false.
func Reset(conn net.Conn) bool {
	if outer, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = outer.NetConn()
	}
	tcp, ok := conn.(interface{ SetLinger(seconds int) error })
	if ok {
		_ = tcp.SetLinger(0) // fails if the connection is already closed
		_ = conn.Close()
	}
	return ok
}

// CloseWrite closes the writing side, like the method of a net.TCPConn or a
// tls.Conn. It holds no lock, because over TLS it waits for a write that a slow
// peer blocks.
func (c *Conn) CloseWrite() error {
	if c.ending.Load() != nil || c.lingers.Load() {
		return nil
	}
	return CloseWrite(c.conn)
}

// CloseWrite closes the writing side of conn. It returns
// [errors.ErrUnsupported] if conn does not support this.
func CloseWrite(conn net.Conn) error {
	if cw, ok := conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr returns the address of the server.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the address of the client.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines. It has no effect after End, which sets its
// own.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetDeadline) }

// SetReadDeadline is like SetDeadline, for Read only.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetReadDeadline) }

// SetWriteDeadline is like SetDeadline, for Write only.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetWriteDeadline) }

func (c *Conn) setDeadline(t time.Time, set func(time.Time) error) error {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	if c.ending.Load() != nil || c.next != nil || c.lingers.Load() {
		return nil
	}
	return set(t)
}
