package wsconn

import (
	"net"
	"time"
)

// An Ender ends a connection that was handed over to it, like Conn.End: it
// sends frame between two frames, calls sent, and closes the connection. It
// returns immediately. Further calls have no effect.
type Ender interface {
	End(frame []byte, sent func())
}

// Handover gives the underlying connection to a new owner, such as a relay
// that moves bytes without a goroutine per connection. The handler must call
// it between reads and writes, at a frame boundary of what it has sent, and
// must not use c afterwards.
//
// Handover calls take with the underlying connection. If the connection is
// already ending, it returns false instead; the handler's next write then
// fails with the cause. The new owner must close the connection and then call
// closed. After Handover, End calls the Ender.
func (c *Conn) Handover(take func(bare net.Conn, closed func()) Ender) bool {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	if c.closed || c.next != nil || c.ending.Load() != nil {
		return false
	}
	c.closed = true
	c.next = take(c.conn, c.release)
	c.conn = movedConn{} // do not keep the connection reachable
	return true
}

// NetConn returns the underlying connection, so that callers can determine its
// type.
func (c *Conn) NetConn() net.Conn {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	return c.conn
}

// A movedConn replaces a connection that was handed over.
type movedConn struct{}

func (movedConn) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (movedConn) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (movedConn) Close() error                     { return net.ErrClosed }
func (movedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (movedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (movedConn) SetDeadline(time.Time) error      { return net.ErrClosed }
func (movedConn) SetReadDeadline(time.Time) error  { return net.ErrClosed }
func (movedConn) SetWriteDeadline(time.Time) error { return net.ErrClosed }
