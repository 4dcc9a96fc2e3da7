package connlimit

import "net"

// Listener returns a listener whose connections have a place each. Those for
// which there is none are closed.
func (l *Limiter) Listener(of net.Listener) net.Listener { return &listener{of, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept waits for a connection that has a place.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		place, ok := l.limiter.Enter(conn.RemoteAddr())
		if !ok {
			_ = conn.Close()
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &tcpConn{tcp, place}, nil
		}
		return &otherConn{conn, place}, nil
	}
}

// A tcpConn does all that TCP can.
type tcpConn struct {
	*net.TCPConn
	place *Place
}

// Place returns the place of the connection.
func (c *tcpConn) Place() *Place { return c.place }

// Close gives the place back.
func (c *tcpConn) Close() error {
	defer c.place.Release()
	return c.TCPConn.Close()
}

type otherConn struct {
	net.Conn
	place *Place
}

// Place returns the place of the connection.
func (c *otherConn) Place() *Place { return c.place }

// Close gives the place back.
func (c *otherConn) Close() error {
	defer c.place.Release()
	return c.Conn.Close()
}
