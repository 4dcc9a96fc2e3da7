package wsconn

import (
	"net"
	"time"
)

// An Ender ends a connection that was handed over to it, like Conn.End: it
// sends frame between two frames, calls said, and closes the connection. It
// returns immediately. Further calls have no effect.
type Ender interface {
	End(frame []byte, said func())
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
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if c.closed || c.next != nil || c.ending.Load() != nil {
		return false
	}
	c.closed = true
	c.next = take(c.conn, c.release)
	c.conn = gone{} // do not keep the connection reachable
	return true
}

// NetConn returns the underlying connection, to determine its type.
func (c *Conn) NetConn() net.Conn {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	return c.conn
}

// gone replaces a connection that was handed over.
type gone struct{}

func (gone) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (gone) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (gone) Close() error                     { return net.ErrClosed }
func (gone) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (gone) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (gone) SetDeadline(time.Time) error      { return net.ErrClosed }
func (gone) SetReadDeadline(time.Time) error  { return net.ErrClosed }
func (gone) SetWriteDeadline(time.Time) error { return net.ErrClosed }
