package connlimit

import (
	"net"
	"net/http"

	"wsauth/internal/proxyproto"
)

// Listener returns a listener that assigns a place to each connection, and
// closes connections that get none.
func (l *Limiter) Listener(of net.Listener) net.Listener { return &listener{of, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept returns the next connection that gets a place.
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
		seat := NewSeat(place, conn.RemoteAddr())
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &tcpConn{tcp, seat}, nil
		}
		return &otherConn{conn, seat}, nil
	}
}

// A Seat adds the place of a connection to a net.Conn.
type Seat struct {
	place  *Place
	remote net.Addr
	header *proxyproto.Header // nil without a PROXY header
}

// NewSeat returns the Seat of a connection from remote. place may be nil.
func NewSeat(place *Place, remote net.Addr) Seat { return Seat{place: place, remote: remote} }

// Place returns the place of the connection.
func (s *Seat) Place() *Place { return s.place }

// RemoteAddr returns the address of the client.
func (s *Seat) RemoteAddr() net.Addr { return s.remote }

// Header returns the PROXY header of the connection.
func (s *Seat) Header() *proxyproto.Header { return s.header }

// Introduce implements proxyproto.Conn.
func (s *Seat) Introduce(h *proxyproto.Header) bool {
	s.header, s.remote = h, h.Client()
	return s.place.Move(h.Source)
}

// A tcpConn keeps the methods of TCP connections.
type tcpConn struct {
	*net.TCPConn
	Seat
}

// RemoteAddr returns the address of the client.
func (c *tcpConn) RemoteAddr() net.Addr { return c.Seat.RemoteAddr() }

// Close closes the connection and releases its place.
func (c *tcpConn) Close() error {
	defer c.place.Release()
	return c.TCPConn.Close()
}

type otherConn struct {
	net.Conn
	Seat
}

// RemoteAddr returns the address of the client.
func (c *otherConn) RemoteAddr() net.Addr { return c.Seat.RemoteAddr() }

// Close closes the connection and releases its place.
func (c *otherConn) Close() error {
	defer c.place.Release()
	return c.Conn.Close()
}

// Bound applies the limits for operators to the connections of l, which server
// will serve. Connections that wait for a request are evicted, so that idle
// connections cannot lock operators out.
func Bound(server *http.Server, l net.Listener) net.Listener {
	server.ConnState = ConnState
	return New(ForOperators(Descriptors()), nil).Listener(l)
}

// ConnState implements [http.Server.ConnState]: it marks connections that wait
// for a request, so that they can be evicted.
func ConnState(conn net.Conn, state http.ConnState) {
	place := Of(conn)
	switch state {
	case http.StateNew, http.StateIdle:
		if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = over.NetConn() // its Close does not block
		}
		place.Wait(func() { _ = conn.Close() })
	default:
		place.Busy()
	}
}
