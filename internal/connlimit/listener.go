package connlimit

import (
	"net"
	"net/http"
)

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

// Bound has server take connections of l within the limits for operators.
// Those that wait for a request make room, so that nobody keeps operators out
// by connecting.
func Bound(server *http.Server, l net.Listener) net.Listener {
	server.ConnState = ConnState
	return New(ForOperators(Descriptors()), nil).Listener(l)
}

// ConnState is an [http.Server.ConnState]: another connection may have the
// place of one that waits for a request.
func ConnState(conn net.Conn, state http.ConnState) {
	place := Of(conn)
	switch state {
	case http.StateNew, http.StateIdle:
		if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = over.NetConn() // whose Close does not wait
		}
		place.Wait(func() { _ = conn.Close() })
	default:
		place.Busy()
	}
}
