package connlimit

import (
	"net"
	"net/http"

	"wsauth/internal/proxyproto"
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
		seat := seat{place: place, remote: conn.RemoteAddr()}
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &tcpConn{tcp, seat}, nil
		}
		return &otherConn{conn, seat}, nil
	}
}

// A seat is what a connection has beside what net gives it.
type seat struct {
	place  *Place
	remote net.Addr
	header *proxyproto.Header // nil without a proxy that has said whose it is
}

// Place returns the place of the connection.
func (s *seat) Place() *Place { return s.place }

// RemoteAddr is the address of the client.
func (s *seat) RemoteAddr() net.Addr { return s.remote }

// Header returns what a proxy has said of the connection.
func (s *seat) Header() *proxyproto.Header { return s.header }

// Introduce is for proxyproto.Conn.
func (s *seat) Introduce(h *proxyproto.Header) bool {
	s.header, s.remote = h, h.Client()
	return s.place.Move(h.Source)
}

// A tcpConn does all that TCP can.
type tcpConn struct {
	*net.TCPConn
	seat
}

// RemoteAddr is the address of the client.
func (c *tcpConn) RemoteAddr() net.Addr { return c.seat.RemoteAddr() }

// Close gives the place back.
func (c *tcpConn) Close() error {
	defer c.place.Release()
	return c.TCPConn.Close()
}

type otherConn struct {
	net.Conn
	seat
}

// RemoteAddr is the address of the client.
func (c *otherConn) RemoteAddr() net.Addr { return c.seat.RemoteAddr() }

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
