package wsconn

import (
	"net"
	"time"
)

// An Ender ends a connection that was handed over to it, as Conn.End does: it
// sends frame between two frames, calls said, and hangs up. It returns at once,
// and does nothing the second time.
type Ender interface {
	End(frame []byte, said func())
}

// Handover gives the connection away to somebody who needs the bare one, such
// as a relay that moves bytes without a goroutine for each connection. The
// handler calls it between its reads and writes, with what it has sent ending
// at a frame's boundary, and does nothing with c afterwards.
//
// take is called with the bare connection, unless the connection is ending
// already: Handover then returns false, and the handler goes on to find the
// cause in its next write. Whoever took it closes it, and calls closed
// afterwards. From then on an End is that of the Ender.
func (c *Conn) Handover(take func(bare net.Conn, closed func()) Ender) bool {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if c.closed || c.next != nil || c.farewell.Load() != nil {
		return false
	}
	c.closed = true
	c.next = take(c.conn, c.release)
	c.conn = gone{} // so that the bare one lives no longer than who took it wants
	return true
}

// NetConn is the connection beneath, for who wants to know of what kind it is.
func (c *Conn) NetConn() net.Conn {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	return c.conn
}

// gone is what is left of a connection that was handed over.
type gone struct{}

func (gone) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (gone) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (gone) Close() error                     { return net.ErrClosed }
func (gone) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (gone) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (gone) SetDeadline(time.Time) error      { return net.ErrClosed }
func (gone) SetReadDeadline(time.Time) error  { return net.ErrClosed }
func (gone) SetWriteDeadline(time.Time) error { return net.ErrClosed }
