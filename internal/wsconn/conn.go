// Package wsconn is the connection that a guard puts between a WebSocket
// handler and its client.
//
// The handler's WebSocket library owns the socket: it frames the messages, and
// no interface reaches into it from outside. To end a socket whose right has
// ended, with a close code that a browser can read, this package follows the
// frames which the library writes (their heads only), and when the time has
// come it puts one close frame between two of them, refuses what the library
// writes later, and shuts the connection in the order that loses nothing:
// half-close, drain, close. Closing over unread input would reset the
// connection, and the peer's kernel would throw the close frame away.
package wsconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Grace bounds how long an end may take: half of it for the handler to finish
// the frame that it is in and for a slow peer to take it, the whole of it for
// the peer to hang up.
const Grace = 5 * time.Second

// A Conn is the net.Conn that a guarded handler gets from Hijack. All methods
// are safe for concurrent use.
type Conn struct {
	conn     net.Conn
	onClosed func()
	released sync.Once
	budget   budget
	held     func() bool // see HoldWhile

	wmu    sync.Mutex // held while writing: the stream advances with what was written
	out    stream
	choice *choice // nil once the head of the response has passed, or nothing is to be chosen

	rmu sync.Mutex // held while reading, so that the drain can wait for the handler's reader to leave

	dmu      sync.Mutex // orders the handler's deadlines and Close against End
	closed   bool
	cut      bool        // an End came while it lingered
	lingers  atomic.Bool // the handler has closed it, and the peer has not taken all
	next     Ender       // who has the connection now, if it was handed over
	farewell atomic.Pointer[farewell]
}

// New interposes on conn, a server's connection before its first response
// byte. It calls onClosed once, when the connection has come to its end,
// whether by End or because the handler closed it.
func New(conn net.Conn, onClosed func()) *Conn {
	return &Conn{conn: conn, onClosed: onClosed, held: func() bool { return false }}
}

// HoldWhile has what the client and the handler send wait for as long as held
// reports true. It is called before the handler has the connection.
func (c *Conn) HoldWhile(held func() bool) { c.held = held }

// await waits until nothing holds the connection.
func (c *Conn) await() {
	for c.held() && c.farewell.Load() == nil {
		time.Sleep(2 * time.Millisecond)
	}
}

func (c *Conn) release() { c.released.Do(c.onClosed) }

// End ends the connection: it sends frame between two frames of the handler,
// calls cancel, lets every later Read and Write of the handler fail with cause,
// and hangs up. It returns at once; the connection is closed after Grace at the
// latest, and then onClosed is called. It does nothing where the connection has
// ended already.
//
// A handler that has not begun its handshake response yet is told at once. It
// may still send one: a 101, after which frame follows, or a plain one that
// refuses, whole.
func (c *Conn) End(cause error, frame []byte, cancel func()) {
	f := newFarewell(cause, frame, cancel)

	c.dmu.Lock()
	defer c.dmu.Unlock()
	if c.next != nil {
		c.next.End(frame, cancel)
		return
	}
	if c.lingers.Load() { // what is left is not worth waiting for any more
		c.cut = true
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	if c.closed || !c.farewell.CompareAndSwap(nil, f) {
		return
	}
	// The deadline comes before the lock: a peer that does not read may keep a
	// write of the handler, and with it the lock, for ever.
	_ = c.conn.SetWriteDeadline(f.begun.Add(Grace / 2))
	go c.finish(f)
}

// Read reads what the client sends, or fails with the cause of the end; that
// only once the handler is to know, because a handler whose reads fail would
// not finish the frame that it writes.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	c.await()
	if f := c.farewell.Load(); f != nil {
		<-f.told
		return 0, f.cause
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.farewell.Load() != nil {
		return 0, nil
	}
	if c.lingers.Load() {
		return 0, net.ErrClosed
	}
	return c.budget.read(c.conn, p)
}

// Write sends p to the client. Once the connection is ending it takes only the
// rest of the frame that the stream is in, and fails with the cause.
func (c *Conn) Write(p []byte) (int, error) {
	c.await()
	c.wmu.Lock()
	defer c.wmu.Unlock()
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
	return min(n, max(len(p)-1, 0)), err
}

// send is Write without the choice of a subprotocol. The caller holds wmu.
func (c *Conn) send(p []byte) (int, error) {
	f := c.farewell.Load()
	if f == nil {
		if c.lingers.Load() {
			return 0, net.ErrClosed
		}
		n, err := c.conn.Write(p)
		c.out.advance(p[:n])
		return n, err
	}
	if c.sayFarewell(f) {
		f.done()
		return 0, f.cause
	}
	rest, complete := c.out.toBoundary(p)
	n, err := c.conn.Write(p[:rest])
	c.out.advance(p[:n])
	if err != nil {
		f.over = true // cut inside a frame: nothing more can be said
		f.done()
		return n, f.cause
	}
	if !complete {
		return n, nil
	}
	if c.sayFarewell(f) {
		f.done()
	}
	if n < len(p) {
		return n, f.cause
	}
	return n, nil
}

// Close closes the connection, unless End is closing it, or somebody else has
// it now. It returns at once. A peer that has not taken all that was sent is
// given time to: at least Grace, and more as long as it makes progress.
func (c *Conn) Close() error {
	c.dmu.Lock()
	if c.farewell.Load() != nil || c.next != nil {
		c.dmu.Unlock()
		return nil
	}
	if c.lingers.Load() {
		c.dmu.Unlock()
		return net.ErrClosed
	}
	first := !c.closed
	c.closed = true
	if first && Unsent(c.conn) > 0 {
		c.lingers.Store(true)
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // wakes who reads or writes
		c.dmu.Unlock()
		go c.linger()
		return nil
	}
	c.dmu.Unlock()
	defer c.release()
	return c.conn.Close()
}

// Cut closes the connection over a plain response that is not whole, so that
// the peer can tell. See [Reset].
func (c *Conn) Cut() {
	c.dmu.Lock()
	over := c.closed || c.farewell.Load() != nil || c.next != nil
	c.closed = true
	c.dmu.Unlock()
	if over {
		return
	}
	defer c.release()
	if !Reset(c.conn) {
		_ = c.conn.Close()
	}
}

// Reset closes a connection so that the peer gets a reset, and not the end of
// the stream: where nothing but that says how long an answer is, the peer
// would take a part of it for the whole (RFC 9112 section 8). For the same
// reason it leaves out what ends TLS. It reports false, and does nothing, if
// the connection knows no reset.
func Reset(conn net.Conn) bool {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	tcp, ok := conn.(interface{ SetLinger(seconds int) error })
	if ok {
		_ = tcp.SetLinger(0) // it fails for a connection that is gone
		_ = conn.Close()
	}
	return ok
}

// CloseWrite shuts the side that the server writes, as TCP and TLS know it. It
// holds no lock meanwhile: over TLS it waits for a write that a slow peer
// blocks.
func (c *Conn) CloseWrite() error {
	if c.farewell.Load() != nil || c.lingers.Load() {
		return nil
	}
	return CloseWrite(c.conn)
}

// CloseWrite closes the writing side of conn. The error is
// [errors.ErrUnsupported] if conn has no such side.
func CloseWrite(conn net.Conn) error {
	if cw, ok := conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr is the server's address.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines; without effect once the connection is
// ending, since the end has its own.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetDeadline) }

// SetReadDeadline is SetDeadline for Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetReadDeadline) }

// SetWriteDeadline is SetDeadline for Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, c.conn.SetWriteDeadline) }

func (c *Conn) setDeadline(t time.Time, set func(time.Time) error) error {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if c.farewell.Load() != nil || c.next != nil || c.lingers.Load() {
		return nil
	}
	return set(t)
}
